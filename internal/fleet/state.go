package fleet

import (
	"context"
	"maps"
	"sync"
	"time"

	"executionbackup/internal/identity"
	"executionbackup/internal/session"
	"executionbackup/internal/state"
)

// What outlives us. The owners (memory, chain, builds, capabilities, pool) have it; this file is the one place that
// takes it from them and gives it back, records.go says how it is written, and package state keeps it. It is saved in
// three ways:
//
//	SaveWords   objections, what they cover, their ends: on disk before an answer that rests on them (Await)
//	SaveBuild   a build: handed to the operating system before the CL has its id
//	Touch       all else, after the answer, at most once per slot

// saver saves what outlives us.
type saver struct {
	file *state.File // nil: nothing is kept

	mu     sync.Mutex      // held while records are taken and put, so that none comes after a later one; guards what follows
	words  <-chan struct{} // closed when the words that were put are on disk; nil where all are
	ended  <-chan struct{} // likewise, up to the last end of an objection
	other  state.Records   // all that isn't words, as it was put last
	chain  identity.Chain  // that the records are of; zero where it isn't known yet
	newest uint64          // the timestamp of the newest payload, when the rest was put last
	saved  time.Time       // when that was

	touched chan struct{} // has room for one
}

// maxWait bounds how long an answer waits for the disk: a block with such an answer earns no vote anyway.
const maxWait = 100 * time.Millisecond

// Restore gives the owners what another process kept. It is to be called before the pool is started and before the
// first call.
func (f *Fleet) Restore(records state.Records) {
	if f.Keeps() {
		defer f.Memory.NoteChanges()
	}
	if len(records) == 0 {
		return
	}
	was := f.read(records)
	f.Memory.Restore(was.memory)
	f.Memory.SawBefore(was.newest)
	f.Memory.Clean(was.clean())
	f.Controller.Chain.Restore(was.chain)
	f.Controller.Builds.Restore(was.builds)
	if f.Controller.Capabilities.Said() == nil && was.said != nil {
		f.Controller.Capabilities.Say(was.said)
	}
	f.Pool.RestoreDrained(was.drained)
	f.Pool.RestoreTold(was.told)
	if was.home != (identity.Chain{}) {
		f.Pool.RestoreHome(was.home)
	}
	f.saver.chain = was.home
	f.log(was)
	if f.Keeps() {
		f.dropStale(records)
	}
}

// dropStale drops the records of what isn't there any more: nodes that are no longer configured, builds that are over.
func (f *Fleet) dropStale(records state.Records) {
	now := f.Records()
	f.saver.mu.Lock()
	defer f.saver.mu.Unlock()
	f.saver.other = make(state.Records)
	stale := make(state.Records)
	for key, r := range records {
		if _, stays := now[key]; !stays {
			stale[key] = state.Record{}
		} else if !isWord(key) {
			f.saver.other[key] = r
		}
	}
	f.saver.file.Put(stale, state.Soon)
}

// Found takes in what another process kept, and could be read only while we run: what doesn't stand against our own.
func (f *Fleet) Found(records state.Records) {
	was := f.read(records)
	f.Memory.Restore(was.memory)
	f.Memory.SawBefore(was.newest)
	f.Memory.Clean(was.clean())
	f.Controller.Builds.Restore(was.builds)
	f.Pool.Elect()
	f.log(was)
	f.SaveAll()
}

// log says what was taken in.
func (f *Fleet) log(was *past) {
	objections := 0
	for _, o := range was.memory.Objections {
		if !o.Ended {
			objections++
		}
	}
	f.Log.Info("state of an earlier run taken in", "objections", objections, "builds", len(was.builds),
		"drained", len(was.drained), "blocks", len(was.chain.Valid))
}

// Records returns all that outlives us, as it is kept.
func (f *Fleet) Records() state.Records {
	f.saver.mu.Lock()
	defer f.saver.mu.Unlock()
	records := f.others()
	maps.Copy(records, wordRecords(f.Memory.Records()))
	return records
}

// Keeps reports whether anything outlives us.
func (f *Fleet) Keeps() bool { return f.saver.file != nil }

// SaveWords saves what has changed of objections and of the blocks that they cover. saved is closed when that is on
// disk, and what was saved before; nil where it is already. It makes no system call.
func (f *Fleet) SaveWords() (saved <-chan struct{}) {
	if !f.Keeps() {
		return nil
	}
	s := &f.saver
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open(f.saveWords())
}

// SaveEnds is SaveWords for an answer that rests on no objection, but may on the end of one.
func (f *Fleet) SaveEnds() (saved <-chan struct{}) {
	if !f.Keeps() {
		return nil
	}
	s := &f.saver
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ended := f.Memory.Unsaved(); ended {
		f.saveWords()
	}
	return s.open(&s.ended)
}

// saveWords puts the words that have changed. s.mu is held.
func (f *Fleet) saveWords() *<-chan struct{} {
	s := &f.saver
	if changed, ended := f.Memory.Unsaved(); changed {
		s.words = s.file.Put(wordRecords(f.Memory.Changes()), state.Synced)
		if ended {
			s.ended = s.words
		}
	}
	return &s.words
}

// open returns a channel that isn't closed; nil where it is.
func (s *saver) open(saved *<-chan struct{}) <-chan struct{} {
	select {
	case <-*saved: // never where it is nil
		*saved = nil
	default:
	}
	return *saved
}

// SaveBuild saves a build. handed is closed when the operating system has it.
func (f *Fleet) SaveBuild(b *session.Build) (handed <-chan struct{}) {
	if !f.Keeps() {
		return nil
	}
	s := &f.saver
	s.mu.Lock()
	defer s.mu.Unlock()
	key, record := buildRecord(b)
	s.other[key] = record
	return s.file.Put(state.Records{key: record}, state.Written)
}

// SaveAll saves all that has changed. saved is closed when that is on disk.
func (f *Fleet) SaveAll() (saved <-chan struct{}) {
	if !f.Keeps() {
		return nil
	}
	s := &f.saver
	s.mu.Lock()
	defer s.mu.Unlock()
	f.saveWords()
	return f.saveOthers(state.Synced)
}

// saveOthers puts all that isn't words, as far as it has changed. s.mu is held.
func (f *Fleet) saveOthers(want state.Want) <-chan struct{} {
	s := &f.saver
	s.saved, s.newest = time.Now(), f.Memory.Newest()
	now, changes := f.others(), make(state.Records)
	for key, record := range now {
		if was, known := s.other[key]; !known || string(was.Value) != string(record.Value) {
			changes[key] = record
		} else {
			now[key] = was // with the rank that it had
		}
	}
	for key := range s.other {
		if _, stays := now[key]; !stays {
			changes[key] = state.Record{}
		}
	}
	s.other = now
	return s.file.Put(changes, want)
}

// Await waits until all of these are closed, each nil or closed when something is saved; but not for long: an answer is
// worth more.
func (f *Fleet) Await(ctx context.Context, saved ...<-chan struct{}) {
	var limit <-chan time.Time
	for _, one := range saved {
		if one == nil {
			continue
		}
		if limit == nil {
			limit = time.After(maxWait)
		}
		select {
		case <-one:
		case <-ctx.Done():
			return
		case <-limit:
			f.saver.file.Overdue()
			return
		}
	}
}

// Touch notes that something has changed that is saved after the answer.
func (f *Fleet) Touch() {
	select {
	case f.saver.touched <- struct{}{}:
	default:
	}
}

// Keep saves what changes until ctx ends, and then what is left.
func (f *Fleet) Keep(ctx context.Context) {
	if !f.Keeps() {
		return
	}
	f.saveIfDue()
	changed := f.Pool.Changed()
	later := time.NewTimer(0)
	defer later.Stop()
	for {
		select {
		case <-changed:
			changed = f.Pool.Changed()
		case <-f.saver.touched:
		case <-later.C:
		case <-ctx.Done():
			f.SaveAll()
			return
		}
		f.SaveWords()
		if wait := f.saveIfDue(); wait > 0 {
			later.Reset(wait)
		}
		f.settleChain()
	}
}

// saveIfDue saves all that isn't words: with the first payload of a slot, else at most once per slot. It returns when
// to look again; 0 where that isn't needed.
func (f *Fleet) saveIfDue() (wait time.Duration) {
	slot, newest := f.Slot(), f.Memory.Newest()
	s := &f.saver
	s.mu.Lock()
	defer s.mu.Unlock()
	isNew := newest > s.newest && time.Since(time.Unix(int64(newest), 0)) < 2*slot
	if wait = slot - time.Since(s.saved); wait > 0 && !isNew {
		return wait
	}
	f.saveOthers(state.Soon)
	return 0
}

// settleChain sets aside what was kept of another chain, as soon as it is known which one is ours.
func (f *Fleet) settleChain() {
	home := f.Pool.Home()
	if len(home) != 1 {
		return
	}
	followed, known := f.Pool.Followed()
	s := &f.saver
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.chain == home[0] || s.chain == (identity.Chain{}) && !known:
		return
	case s.chain == (identity.Chain{}):
		s.chain = followed
		return
	}
	s.file.SetAside("it is of " + s.chain.String() + ", and the nodes are on " + home[0].String())
	s.chain, s.other = home[0], make(state.Records)
	f.Memory.Drop()
	f.Controller.Chain.Drop()
	f.Controller.Builds.Drop()
	f.Pool.RestoreHome(home[0])
	f.Pool.Elect()
}
