package fleet

import (
	"context"
	"maps"
	"slices"
	"strings"
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
		if s.sent[key] = r; r.Value == nil {
			delete(s.sent, key)
		}
	}
	return s.shared.Put(records)
}

// Read takes in what another instance has put into the shared store: what stands against our own. What was read is not
// said: an objection makes a dispute and no INVALID, and a build says only whom to ask.
func (f *Fleet) Read(records state.Records) {
	s := &f.saver
	s.mu.Lock()
	maps.Copy(s.sent, records)
	s.mu.Unlock()

	was := f.read(records)
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
	f.Pool.Elect()
	f.SaveWords() // on disk, too
}

// readDrains sets nodes aside, or takes them back, as the operator has told another instance. The last voter that is
// alive stays.
func (f *Fleet) readDrains(drained map[quorum.NodeID]bool) {
	for _, n := range f.Pool.Nodes() {
		wanted, told := drained[n.ID]
		if !told || wanted == n.Status().Drained {
			continue
		}
		if err := f.Pool.Drain([]string{n.URL()}, wanted); err != nil {
			f.Log.Warn("another instance has this node drained, and we don't", "node", n.Name(), "error", err)
		}
	}
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

// wordsToShare are the records of words that have changed, for another instance. s.mu is held.
func (f *Fleet) wordsToShare(words memory.State) state.Records {
	if f.saver.shared == nil {
		return nil
	}
	records := wordRecords(f.toShare(words))
	maps.Copy(records, f.trustToShare())
	return records
}

// toShare is what another instance is to know of objections: not what stands only as long as nobody has proved itself
// here.
func (f *Fleet) toShare(m memory.State) memory.State {
	m = f.theirs().words(m)
	m.Objections = slices.DeleteFunc(m.Objections, func(o memory.Objection) bool { return o.Provisional && !o.Ended })
	m.Trust = nil // see trustToShare
	return m
}

// buildToShare is a build as another instance is to know it.
func (f *Fleet) buildToShare(b session.Build) session.Build { return f.theirs().build(b) }

// trustToShare are the breaks in this run of nodes that haven't proved themselves since. s.mu is held.
func (f *Fleet) trustToShare() state.Records {
	records := make(state.Records)
	for _, n := range f.Pool.Nodes() {
		id, broke := n.SharedID(), n.LastBreak()
		if id != "" && !broke.IsZero() && !f.Memory.Qualified(n.ID) {
			since := f.storeTime(broke)
			records[trustKey+"/"+id] = record(rank(since), trustValue{false, since.UnixMilli()})
		}
	}
	return records
}

// othersToShare are all records but words that another instance is to know. What nodes tell of themselves isn't among
// them: each instance asks for itself. s.mu is held.
func (f *Fleet) othersToShare() state.Records {
	s := &f.saver
	if s.shared == nil {
		return nil
	}
	records := f.others(f.theirs())
	for key := range s.sent {
		kind, _, _ := strings.Cut(key, "/")
		if _, stays := records[key]; stays || isWord(key) {
			continue
		}
		if records[key] = (state.Record{}); kind == drainedKey {
			records[key] = record(rank(f.storeTime(time.Now())), false)
		}
	}
	maps.DeleteFunc(records, func(key string, _ state.Record) bool { return strings.HasPrefix(key, nodeKey+"/") })
	return records
}
