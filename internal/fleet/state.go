package fleet

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"executionbackup/internal/identity"
	"executionbackup/internal/memory"
	"executionbackup/internal/quorum"
	"executionbackup/internal/session"
	"executionbackup/internal/state"
)

// What outlives us. The owners (memory, chain, builds, capabilities, pool) have it; this file takes it from them and
// gives it back, records.go and past.go say how it is written and read, and package state keeps it: on disk, and where
// two instances stand side by side in a store that they share (shared.go, pair.go). It is saved in three ways:
//
//	SaveWords   objections, what they cover, their ends: on disk before an answer that rests on them (Await)
//	SaveBuild   a build: handed to the operating system before the CL has its id
//	Touch       all else, after the answer, at most once per slot

// saver saves what outlives us.
type saver struct {
	file   *state.File   // nil: nothing is kept on disk
	shared *state.Shared // nil: there is no other instance

	// mu is held while records are taken and put, so that none comes after a later one; it guards what follows.
	mu      sync.Mutex
	words   Saved                       // the words that were put last
	ended   Saved                       // likewise, with which an objection ended
	other   state.Records               // all that isn't words, as it was put on disk last
	sent    state.Records               // what the shared store was given, or gave us, last
	trusted map[quorum.NodeID]int64     // since when a node was trusted in an earlier run, in milliseconds
	broke   map[quorum.NodeID]time.Time // the breaks of which the other instance was told
	refused map[quorum.NodeID]bool      // drained at another instance, and needed here
	chain   identity.Chain              // that the records are of; zero where it isn't known yet
	newest  uint64                      // the timestamp of the newest payload, when the rest was put last
	saved   time.Time                   // when that was

	ending  atomic.Bool   // the end of an objection is being saved
	touched chan struct{} // has room for one
}

// Saved is something that is being saved. Its channels are closed when that is done; nil where there is nothing to wait
// for.
type Saved struct{ disk, store <-chan struct{} }

// left is what of it isn't done.
func (s Saved) left() Saved {
	select {
	case <-s.disk: // never where it is nil
		s.disk = nil
	default:
	}
	select {
	case <-s.store:
		s.store = nil
	default:
	}
	return s
}

// How long an answer waits at most: a block with such an answer earns no vote anyway.
const (
	maxDisk  = 100 * time.Millisecond
	maxStore = 30 * time.Millisecond
)

// recently is how old the newest payload of an earlier run may be, so that whoever followed then counts as following.
const recently = time.Minute

// Restore gives the owners what another process kept on disk. It is to be called before the pool is started and before
// the first call.
func (f *Fleet) Restore(records state.Records) {
	if f.Keeps() {
		defer f.Memory.NoteChanges()
	}
	if len(records) == 0 {
		return
	}
	was := f.read(records).only(f.Pool.Nodes())
	f.takeIn(was)
	f.Controller.Capabilities.Restore(was.said)
	f.Pool.RestoreDrained(was.isDrained())
	f.Pool.RestoreTold(was.told)
	if was.mode != nil {
		f.restoreMode(*was.mode)
	}
	if time.Since(time.Unix(int64(was.newest), 0)) < recently {
		f.Pool.RestoreAlive(was.trusted())
	}
	if was.home != (identity.Chain{}) {
		f.Pool.RestoreHome(was.home)
	}
	f.saver.chain, f.saver.trusted = was.home, was.since
	f.tell(was)
	if f.saver.file != nil {
		f.dropStale(records)
	}
}

// takeIn gives the owners what is good at any time: what doesn't stand against what they have.
func (f *Fleet) takeIn(was *past) {
	f.Memory.Restore(was.memory)
	f.Memory.SawBefore(was.newest)
	f.Memory.Clean(was.clean())
	f.Controller.Chain.Restore(was.chain)
	f.Controller.Builds.Restore(was.builds)
}

// dropStale drops the records of what isn't there any more: nodes that are no longer configured, builds that are over.
func (f *Fleet) dropStale(records state.Records) {
	f.saver.mu.Lock()
	defer f.saver.mu.Unlock()
	now := f.Records()
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

// Found takes in what another process kept on disk, and could be read only while we run: what doesn't stand against our
// own.
func (f *Fleet) Found(records state.Records) {
	was := f.read(records).only(f.Pool.Nodes())
	f.takeIn(was)
	f.Pool.RestoreDrained(was.isDrained())
	f.Pool.Elect()
	f.tell(was)
	f.dropStale(records)
	f.SaveAll()
}

// tell logs what was taken in.
func (f *Fleet) tell(was *past) {
	objections := 0
	for _, o := range was.memory.Objections {
		if !o.Ended {
			objections++
		}
	}
	f.Log.Info("state of an earlier run taken in", "objections", objections, "builds", len(was.builds),
		"drained", len(was.drained), "blocks", len(was.chain.Valid))
}

// Records returns all that outlives us, as it is kept on disk.
func (f *Fleet) Records() state.Records {
	records := f.others(f.ofChain())
	maps.Copy(records, wordRecords(f.Memory.Records(), f.storeTime(time.Now())))
	return records
}

// others are all that is kept on disk but words: what is of the chain, and the rest.
func (f *Fleet) others(ofChain state.Records) state.Records {
	records := maps.Clone(ofChain)
	maps.Copy(records, f.ofNodes(f.same()))
	maps.Copy(records, f.ofClients())
	maps.Copy(records, f.ofMode())
	return records
}

// Keeps reports whether anything outlives us.
func (f *Fleet) Keeps() bool { return f.saver.file != nil || f.saver.shared != nil }

// SaveWords saves what has changed of objections and of the blocks that they cover, and returns what is being saved of
// that, now or since before. It makes no system call.
func (f *Fleet) SaveWords() Saved {
	if !f.Keeps() {
		return Saved{}
	}
	s := &f.saver
	s.mu.Lock()
	defer s.mu.Unlock()
	f.saveWords()
	s.words = s.words.left()
	return s.words
}

// SaveEnds is SaveWords for an answer that rests on no objection, but may on the end of one.
func (f *Fleet) SaveEnds() Saved {
	if !f.Keeps() {
		return Saved{}
	}
	s := &f.saver
	_, ended := f.Memory.Unsaved()
	if !ended && !s.ending.Load() { // every VALID comes here: it waits for no lock
		return Saved{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.saveWords()
	s.ended = s.ended.left()
	s.ending.Store(s.ended != Saved{})
	return s.ended
}

// saveWords puts the words that have changed. s.mu is held.
func (f *Fleet) saveWords() {
	changed, ended := f.Memory.Unsaved()
	if !changed {
		return
	}
	f.putWords(f.Memory.Changes())
	if ended {
		f.saver.ended = f.saver.words
		f.saver.ending.Store(true)
	}
}

// putWords puts words. s.mu is held.
func (f *Fleet) putWords(words memory.State) {
	s, now := &f.saver, f.storeTime(time.Now())
	s.words = Saved{disk: s.keep(wordRecords(words, now), state.Synced)}
	if s.shared != nil {
		s.words.store = s.share(wordRecords(f.toShare(words), now))
	}
}

// keep puts records on disk, where anything is kept there.
func (s *saver) keep(records state.Records, want state.Want) <-chan struct{} {
	if s.file == nil || len(records) == 0 {
		return nil
	}
	return s.file.Put(records, want)
}

// SaveBuild saves what a CL knows as id, as it is now.
func (f *Fleet) SaveBuild(cl *session.Session, id string) Saved {
	if !f.Keeps() {
		return Saved{}
	}
	s := &f.saver
	s.mu.Lock()
	defer s.mu.Unlock()
	b, known := cl.Builds.Find(id)
	if !known {
		return Saved{}
	}
	now := f.storeTime(time.Now())
	key, r := buildRecord(&b, now)
	s.other[key] = r
	written := Saved{disk: s.keep(state.Records{key: r}, state.Written)}
	shared := f.buildToShare(b)
	key, r = buildRecord(&shared, now)
	s.share(state.Records{key: r})
	return written
}

// SaveAll saves all that has changed.
func (f *Fleet) SaveAll() (words, others Saved) {
	if !f.Keeps() {
		return Saved{}, Saved{}
	}
	s := &f.saver
	s.mu.Lock()
	defer s.mu.Unlock()
	f.saveWords()
	s.words = s.words.left()
	return s.words, f.saveOthers(state.Synced)
}

// saveOthers puts all that isn't words, as far as it has changed. s.mu is held.
func (f *Fleet) saveOthers(want state.Want) Saved {
	s := &f.saver
	s.saved, s.newest = time.Now(), f.Memory.Newest()
	ofChain, changes := f.ofChain(), make(state.Records)
	now := f.others(ofChain)
	for _, n := range f.Pool.Nodes() { // what was read stands by when the operator said so
		key, was := drainedKey+"/"+string(n.ID), s.sent[drainedKey+"/"+n.SharedID()]
		if r, drained := now[key]; drained && string(was.Value) == "true" {
			r.Rank = was.Rank
			now[key] = r
		}
	}
	for key, r := range now {
		if was, known := s.other[key]; !known || string(was.Value) != string(r.Value) {
			changes[key] = r
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
	return Saved{s.keep(changes, want), s.share(f.othersToShare(ofChain))}
}

// Await waits until all of these are done, but not for long: an answer is worth more.
func (f *Fleet) Await(ctx context.Context, all ...Saved) {
	if !slices.ContainsFunc(all, func(s Saved) bool { return s != Saved{} }) {
		return
	}
	store, cancel := context.WithTimeout(ctx, maxStore)
	defer cancel()
	disk, cancel := context.WithTimeout(ctx, maxDisk)
	defer cancel()
	for _, s := range all {
		if s.store != nil && !isDone(store, s.store) && ctx.Err() == nil {
			f.saver.shared.Overdue()
		}
	}
	for _, s := range all {
		if s.disk != nil && !isDone(disk, s.disk) && ctx.Err() == nil {
			f.saver.file.Overdue()
		}
	}
}

// isDone waits until something is done, or ctx ends; it reports whether it is.
func isDone(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// Touch notes that something has changed that is saved after the answer.
func (f *Fleet) Touch() {
	select {
	case f.saver.touched <- struct{}{}:
	default:
	}
}

// StartSaving saves what outlives us until stop is called. That waits until all is saved, but no longer than a limit,
// for a disk or a server may hang; it reports whether all is.
func (f *Fleet) StartSaving() (stop func(limit time.Duration) (saved bool)) {
	if !f.Keeps() {
		return func(time.Duration) bool { return true }
	}
	writing, stopWriting := context.WithCancel(context.Background())
	taking, stopTaking := context.WithCancel(writing)
	var writers, taker sync.WaitGroup
	if f.saver.file != nil {
		writers.Go(func() { f.saver.file.Run(writing) })
	}
	if f.saver.shared != nil {
		writers.Go(func() { f.saver.shared.Run(writing) })
	}
	taker.Go(func() { f.keepSaving(taking) })
	return func(limit time.Duration) bool {
		stopTaking()
		taker.Wait()
		stopWriting()
		written := make(chan struct{})
		go func() {
			writers.Wait()
			close(written)
		}()
		select {
		case <-written:
			return true
		case <-time.After(limit):
			return false
		}
	}
}

// keepSaving saves what changes until ctx ends, and then what is left.
func (f *Fleet) keepSaving(ctx context.Context) {
	changed, ready := f.Pool.Changed(), f.Pool.Ready()
	later := time.NewTimer(0)
	defer later.Stop()
	for {
		select {
		case <-changed:
			changed = f.Pool.Changed()
		case <-ready: // now it is known which chain is ours
			ready = nil
		case <-f.saver.touched:
		case <-later.C:
		case <-ctx.Done():
			f.SaveAll()
			return
		}
		f.reviewPair()
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
	_, followed := f.Pool.Followed()
	s := &f.saver
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shared != nil && f.Pool.IsReady() {
		s.shared.Enter(home[0].ID, home[0].Genesis)
	}
	switch none := (identity.Chain{}); {
	case s.chain == home[0]:
	case s.chain == none && followed:
		s.chain = home[0]
	case s.chain != none:
		f.changeChain(home[0])
	}
}

// changeChain drops what was kept of another chain. s.mu is held.
func (f *Fleet) changeChain(to identity.Chain) {
	s := &f.saver
	if s.file != nil {
		s.file.SetAside("it is of " + s.chain.String() + ", and the nodes are on " + to.String())
	}
	s.chain, s.other, s.sent = to, make(state.Records), make(state.Records)
	clear(s.broke)
	f.Memory.Drop()
	f.putWords(f.Memory.Records()) // that are of this run
	f.Controller.Chain.Drop()
	f.Controller.Builds.Drop()
	f.Pool.RestoreHome(to)
	f.Pool.Elect()
}

// Degraded is why what should outlive us isn't kept, for people; each is "" where all is well.
type Degraded struct {
	File   string // it isn't on disk
	Shared string // the other instance lacks it
	Split  string // consensus clients talk to both instances
}

// Words are those that aren't "".
func (d Degraded) Words() (why []string) {
	for _, reason := range []string{d.File, d.Shared, d.Split} {
		if reason != "" {
			why = append(why, reason)
		}
	}
	return why
}

// Degraded says why what should outlive us isn't kept.
func (f *Fleet) Degraded() (d Degraded) {
	if f.saver.file != nil {
		if reason := f.saver.file.Degraded(); reason != "" {
			d.File = "What must outlive a restart isn't kept on disk: " + reason
		}
	}
	if f.saver.shared != nil {
		if reason := f.saver.shared.Degraded(); reason != "" {
			d.Shared = "Another instance knows less of us, and we of it: " + reason
		}
	}
	if f.IsSplit() {
		d.Split = "Consensus clients talk to this instance and to another one in turn: all must talk to the same one"
	}
	return d
}
