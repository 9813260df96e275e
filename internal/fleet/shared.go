package fleet

import (
	"context"
	"maps"
	"slices"
	"time"

	"executionbackup/internal/memory"
	"executionbackup/internal/quorum"
	"executionbackup/internal/session"
	"executionbackup/internal/state"
)

// What two instances share. Nodes stand there under an id that is the same on both machines (config.Node.SharedID);
// what is of a node without one isn't shared.

// share puts records into the shared store, where there is one: those whose value it doesn't have already, lest two
// instances go on telling each other the same.
func (s *saver) share(records state.Records) <-chan struct{} {
	if s.shared == nil {
		return nil
	}
	maps.DeleteFunc(records, func(key string, r state.Record) bool {
		was, known := s.sent[key]
		return known && string(was.Value) == string(r.Value) || !known && r.Value == nil
	})
	if len(records) == 0 {
		return nil
	}
	for key, r := range records {
		if was := s.sent[key]; isByTime(key) && r.Value != nil && r.Rank <= was.Rank {
			r.Rank = was.Rank + 1 // it has changed since: within a millisecond, or by a clock that is behind
			records[key] = r
		}
		if s.sent[key] = r; r.Value == nil {
			delete(s.sent, key)
		}
	}
	return s.shared.Put(records)
}

// isByTime reports whether a record stands because it was written down last.
func isByTime(key string) bool {
	kind := kindOf(key)
	return kind == blockKey || kind == buildKey || kind == drainedKey || kind == saidKey
}

// Read takes in what another instance has put into the shared store: what stands against our own. What was read is not
// said: an objection makes a dispute and no INVALID, and a build says only whom to ask.
func (f *Fleet) Read(records state.Records) {
	was := f.read(f.noteRead(records))
	was.rename(f.ours())
	was.only(f.Pool.Nodes())
	distrusted := was.memory.Trust
	was.memory.Trust = nil
	f.takeIn(was)
	if f.Passive() && was.said != nil {
		f.Controller.Capabilities.Say(was.said)
	}
	f.distrust(distrusted, was.since)
	f.readDrains(was.drained)
	f.noteDrains(records)
	f.Pool.Elect()
	f.SaveWords() // on disk, too
}

// noteRead notes what was read, but for drains, and adds the blocks that were read before where there are objections:
// these may come after the blocks that they cover.
func (f *Fleet) noteRead(records state.Records) state.Records {
	s := &f.saver
	s.mu.Lock()
	defer s.mu.Unlock()
	objects := false
	for key, r := range records {
		objects = objects || kindOf(key) == objectionKey
		if kindOf(key) != drainedKey {
			s.sent[key] = r
		}
	}
	if !objects {
		return records
	}
	all := maps.Clone(records)
	for key, r := range s.sent {
		if kindOf(key) == blockKey {
			all[key] = r
		}
	}
	return all
}

// noteDrains notes the drains that were read, once they are in force: else they would seem to have been ended here.
func (f *Fleet) noteDrains(records state.Records) {
	f.saver.mu.Lock()
	defer f.saver.mu.Unlock()
	for key, r := range records {
		if kindOf(key) == drainedKey {
			f.saver.sent[key] = r
		}
	}
}

// readDrains sets nodes aside, or takes them back, as the operator has told another instance. The last voter that is
// alive stays, until another is there.
func (f *Fleet) readDrains(drained map[quorum.NodeID]bool) {
	for _, n := range f.Pool.Nodes() {
		wanted, told := drained[n.ID]
		if !told {
			continue
		}
		var err error
		if wanted != n.Status().Drained {
			err = f.Pool.Drain([]string{n.URL()}, wanted)
		}
		f.saver.mu.Lock()
		again := f.saver.refused[n.ID]
		if delete(f.saver.refused, n.ID); err != nil {
			f.saver.refused[n.ID] = true
		}
		f.saver.mu.Unlock()
		if err != nil && !again {
			f.Log.Warn("another instance has this node drained, and we don't", "node", n.Name(), "error", err)
		}
	}
}

// retryDrains is readDrains for those that were needed.
func (f *Fleet) retryDrains() {
	f.saver.mu.Lock()
	refused := maps.Clone(f.saver.refused)
	f.saver.mu.Unlock()
	f.readDrains(refused)
}

// FetchBuild looks for a build in the shared store that another instance began.
func (f *Fleet) FetchBuild(ctx context.Context, id string) (b session.Build, known bool) {
	if f.saver.shared == nil {
		return b, false
	}
	ctx, cancel := context.WithTimeout(ctx, maxStore)
	defer cancel()
	r, found := f.saver.shared.Fetch(ctx, buildKey+"/"+id)
	if !found {
		return b, false
	}
	was := f.read(state.Records{buildKey + "/" + id: r})
	was.rename(f.ours())
	if len(was.builds) == 0 {
		return b, false
	}
	return was.builds[0], true
}

// names translate the ids of nodes; "" where one has none.
type names map[quorum.NodeID]quorum.NodeID

// theirs translates our ids to those in the shared store.
func (f *Fleet) theirs() names {
	translate := make(names)
	for _, n := range f.Pool.Nodes() {
		translate[n.ID] = quorum.NodeID(n.SharedID())
	}
	return translate
}

// same translates our ids to themselves.
func (f *Fleet) same() names {
	translate := make(names)
	for _, n := range f.Pool.Nodes() {
		translate[n.ID] = n.ID
	}
	return translate
}

// ours translates the ids in the shared store to ours.
func (f *Fleet) ours() names {
	translate := make(names)
	for _, n := range f.Pool.Nodes() {
		if shared := n.SharedID(); shared != "" {
			translate[quorum.NodeID(shared)] = n.ID
		}
	}
	return translate
}

// of translates ids; those that have no other are left out.
func (t names) of(ids []quorum.NodeID) (translated []quorum.NodeID) {
	for _, id := range ids {
		if other := t[id]; other != "" {
			translated = append(translated, other)
		}
	}
	return translated
}

// ofMap translates the ids by which something is known.
func ofMap[V any](t names, of map[quorum.NodeID]V) map[quorum.NodeID]V {
	translated := make(map[quorum.NodeID]V)
	for id, v := range of {
		if other := t[id]; other != "" {
			translated[other] = v
		}
	}
	return translated
}

// words translates what is kept of a memory.
func (t names) words(m memory.State) (translated memory.State) {
	for _, b := range m.Blocks {
		b.Marks = slices.Clone(b.Marks)
		for i := range b.Marks {
			b.Marks[i].Node = t[b.Marks[i].Node]
		}
		b.Marks = slices.DeleteFunc(b.Marks, func(mark memory.Mark) bool { return mark.Node == "" })
		translated.Blocks = append(translated.Blocks, b)
	}
	for _, o := range m.Objections {
		o.Node, o.Accepted, o.Died = t[o.Node], t.of(o.Accepted), t.of(o.Died)
		if o.Node != "" {
			translated.Objections = append(translated.Objections, o)
		}
	}
	for _, trust := range m.Trust {
		if trust.Node = t[trust.Node]; trust.Node != "" {
			translated.Trust = append(translated.Trust, trust)
		}
	}
	return translated
}

// build translates a build.
func (t names) build(b session.Build) session.Build {
	b.IDs, b.Winner = ofMap(t, b.IDs), t[b.Winner]
	return b
}

// rename translates all ids in what another instance kept.
func (p *past) rename(t names) {
	p.memory = t.words(p.memory)
	for i := range p.builds {
		p.builds[i] = t.build(p.builds[i])
	}
	p.drained, p.told, p.since = ofMap(t, p.drained), ofMap(t, p.told), ofMap(t, p.since)
}

// toShare is what another instance is to know of objections: not what stands only as long as nobody has proved itself
// here.
func (f *Fleet) toShare(m memory.State) memory.State {
	m = f.theirs().words(m)
	m.Objections = slices.DeleteFunc(m.Objections, func(o memory.Objection) bool { return o.Provisional && !o.Ended })
	m.Trust = nil // see shareBreaks
	return m
}

// buildToShare is a build as another instance is to know it.
func (f *Fleet) buildToShare(b session.Build) session.Build { return f.theirs().build(b) }

// shareBreaks tells another instance of the breaks in this run.
func (f *Fleet) shareBreaks() {
	s, records := &f.saver, make(state.Records)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range f.Pool.Nodes() {
		id, broke := n.SharedID(), n.LastBreak()
		if id == "" || broke.Equal(s.broke[n.ID]) {
			continue
		}
		since := f.storeTime(broke)
		records[trustKey+"/"+id], s.broke[n.ID] = record(rank(since), trustValue{false, since.UnixMilli()}), broke
	}
	s.share(records)
}

// othersToShare are all records but words that another instance is to know: what is of the chain, and what is of nodes.
// What these tell of themselves isn't among them: each instance asks for itself. s.mu is held.
func (f *Fleet) othersToShare(ofChain state.Records) state.Records {
	s := &f.saver
	if s.shared == nil {
		return nil
	}
	records := f.ofNodes(f.theirs())
	maps.Copy(records, ofChain)
	for key := range s.sent {
		if _, stays := records[key]; !stays && !isWord(key) && kindOf(key) != drainedKey {
			records[key] = state.Record{}
		}
	}
	for _, n := range f.Pool.Nodes() {
		key := drainedKey + "/" + n.SharedID()
		if r, drained := records[key]; drained { // it stands by when the operator said so, also after a restart
			r.Rank = s.other[drainedKey+"/"+string(n.ID)].Rank
			records[key] = r
		} else if was := s.sent[key]; string(was.Value) == "true" && !s.refused[n.ID] {
			records[key] = record(rank(f.storeTime(time.Now())), false)
		}
	}
	return records
}
