package fleet

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"executionbackup/internal/engine"
	"executionbackup/internal/lane"
	"executionbackup/internal/memory"
	"executionbackup/internal/node"
	"executionbackup/internal/quorum"
)

// pair is what we know of whom the CL talks to, where two instances stand side by side: to us, who are active then, or
// to the other. Its times are those of our own clock: that of the shared store may be another after a failover. Safe
// for concurrent use.
type pair struct {
	mu               sync.Mutex // guards what follows
	own              calls
	forkchoice       time.Time // the last that came to another instance
	others           map[string]heard
	told             note                    // of our own calls, as the store's clock had it then
	splitAt          time.Time               // when the CL last came back from the other instance too soon
	broken           map[quorum.NodeID]int64 // when nodes had a break that was read, by the store's clock (ms)
	passive, isSplit bool                    // as the log has it

	active, split prometheus.Gauge // nil where there is no other instance
}

// calls are when the CL called an instance: with any newPayload or forkchoiceUpdated in the last two slots, one for all
// that came at once, and last with a forkchoiceUpdated.
type calls struct {
	times      []time.Time // oldest first
	forkchoice time.Time
}

// add notes a call, and forgets those from before a time.
func (c *calls) add(at, since time.Time) {
	if n := len(c.times); n == 0 || at.Sub(c.times[n-1]) > clocksDiffer {
		c.times = append(c.times, at)
	}
	c.times = slices.DeleteFunc(slices.Clone(c.times), func(t time.Time) bool { return t.Before(since) })
}

// returned reports whether the CL called this instance, then the other, and then this one again.
func (c *calls) returned(other *calls) bool {
	if len(c.times) == 0 {
		return false
	}
	first, last := c.times[0], c.times[len(c.times)-1]
	return slices.ContainsFunc(other.times, func(t time.Time) bool {
		return t.Sub(first) > clocksDiffer && last.Sub(t) > clocksDiffer
	})
}

// heard is what another instance, a process, said last, and what came of that.
type heard struct {
	note
	calls
}

// clocksDiffer bounds by how much two instances may take the store's clock differently: a store that answers later is
// degraded.
const clocksDiffer = 100 * time.Millisecond

// note is what an instance tells the other.
type note struct {
	Call       int64                   `json:"call"`       // in milliseconds of the store's clock, 0 for none; likewise
	Forkchoice int64                   `json:"forkchoice"` //
	Proved     map[quorum.NodeID]int64 `json:"proved"`     // when nodes that have proved themselves last did
}

func newPair(r prometheus.Registerer) pair {
	gauge := func(name, help string) prometheus.Gauge {
		return promauto.With(r).NewGauge(prometheus.GaugeOpts{Namespace: Namespace, Name: name, Help: help})
	}
	return pair{
		broken: make(map[quorum.NodeID]int64),
		active: gauge("active", "1 where the consensus client talks to this instance of a pair, 0 where to the other."),
		split: gauge("split_active",
			"1 where the consensus client, or several, talk to both instances of a pair in turn."),
	}
}

// Spoke notes a newPayload or forkchoiceUpdated of the CL's.
func (f *Fleet) Spoke(family engine.Family) {
	p, now := &f.pair, time.Now()
	f.silence.end(now)
	if f.saver.shared == nil {
		return
	}
	p.mu.Lock()
	p.own.add(now, now.Add(-2*f.Slot()))
	for _, h := range p.others {
		if p.own.returned(&h.calls) {
			p.splitAt = now
		}
	}
	p.told.Call = f.storeTime(now).UnixMilli()
	if family == engine.ForkchoiceUpdated {
		p.own.forkchoice, p.told.Forkchoice = now, p.told.Call
	}
	p.mu.Unlock()
	f.Touch() // and the other instance is told
}

// Heard takes in the notes of the other instances, by their run ids.
func (f *Fleet) Heard(notes map[string][]byte) {
	p, now := &f.pair, time.Now()
	others := make(map[string]heard)
	p.mu.Lock()
	for run, text := range notes {
		h := p.others[run]
		before := h.note
		h.note = note{}
		if json.Unmarshal(text, &h.note) != nil {
			continue
		}
		if h.Call != before.Call && h.Call > 0 {
			at := f.ownTime(h.Call, now)
			f.silence.end(at)
			h.add(at, now.Add(-2*f.Slot()))
			if h.returned(&p.own) {
				p.splitAt = now
			}
		}
		if h.Forkchoice != before.Forkchoice && h.Forkchoice > 0 {
			h.forkchoice = f.ownTime(h.Forkchoice, now)
		}
		p.forkchoice = latest(p.forkchoice, h.forkchoice)
		others[run] = h
	}
	p.others = others
	p.mu.Unlock()
	for _, h := range others {
		f.believe(h.Proved)
	}
	f.Touch()
}

// latest returns the later of two times.
func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// tellOther tells the other instance when the CL last spoke to us, and who has proved itself.
func (f *Fleet) tellOther() {
	p := &f.pair
	p.mu.Lock()
	n := p.told
	p.mu.Unlock()
	n.Proved = make(map[quorum.NodeID]int64)
	for _, node := range f.Pool.Nodes() {
		proved := node.LastProof()
		if id := node.SharedID(); id != "" && !proved.IsZero() && f.Memory.Qualified(node.ID) {
			n.Proved[quorum.NodeID(id)] = f.storeTime(proved).UnixMilli()
		}
	}
	text, err := json.Marshal(n)
	if err == nil {
		f.saver.shared.Note(text)
	}
}

// Passive reports whether another instance leads the nodes: the CL has sent us no forkchoiceUpdated for two slots, or
// the other a newer one. Where there is no other instance we aren't.
func (f *Fleet) Passive() bool {
	if f.saver.shared == nil {
		return false
	}
	f.pair.mu.Lock()
	defer f.pair.mu.Unlock()
	return f.isPassive()
}

// isPassive is Passive; p.mu is held.
func (f *Fleet) isPassive() bool {
	own, other := f.pair.own.forkchoice, f.pair.forkchoice
	return own.IsZero() || other.After(own) || time.Since(own) > 2*f.Slot()
}

// Answered notes that the CL has its answer to a call, or has hung up. Where another instance leads the nodes by now,
// it is of no use to them.
func (f *Fleet) Answered(nodes []*node.Node, c *lane.Call) {
	f.Pool.Answered(nodes, c)
	if f.Passive() {
		f.Pool.Stand()
	}
}

// reviewPair draws the consequences of who is active, and tells the other instance of us.
func (f *Fleet) reviewPair() {
	if f.saver.shared == nil {
		return
	}
	f.tellOther()
	f.shareBreaks()
	f.retryDrains()
	p, now := &f.pair, time.Now()
	p.mu.Lock()
	passive, was := f.isPassive(), p.passive
	split := !p.splitAt.IsZero() && now.Sub(p.splitAt) <= 2*f.Slot()
	wasSplit := p.isSplit
	p.passive, p.isSplit = passive, split
	p.mu.Unlock()
	p.active.Set(one(!passive))
	p.split.Set(one(split))
	if passive {
		f.Pool.Stand()
	}
	switch {
	case passive && !was:
		f.Log.Info("passive: the consensus client talks to another instance, or to none")
	case !passive && was:
		f.Log.Info("active: the consensus client talks to this instance")
	}
	switch {
	case split && !wasSplit:
		f.Log.Error("consensus clients talk to both instances of a pair in turn: all must talk to the same one")
	case !split && wasSplit:
		f.Log.Info("consensus clients no longer talk to both instances in turn")
	}
}

// IsSplit reports whether the CL talks to both instances in turn.
func (f *Fleet) IsSplit() bool {
	f.pair.mu.Lock()
	defer f.pair.mu.Unlock()
	return f.pair.isSplit
}

// believe notes which nodes have proved themselves to another instance, while it leads them: those count as having
// proved themselves here, if our own probes have watched them without a break since before that.
func (f *Fleet) believe(proved map[quorum.NodeID]int64) {
	if !f.Passive() {
		return
	}
	for id, at := range ofMap(f.ours(), proved) {
		n := f.Pool.Node(id)
		f.pair.mu.Lock()
		broke, isBroken := f.pair.broken[id]
		f.pair.mu.Unlock()
		if n == nil || f.Memory.Qualified(id) || isBroken && at <= broke {
			continue
		}
		_, breaks := f.Memory.Standing(id)
		watched := latest(n.Added(), n.LastBreak())
		if s := n.Status(); f.storeTime(watched).UnixMilli() < at && s.Reachable() {
			f.Memory.Prove(id, breaks)
		}
	}
}

// distrust takes their proof from nodes that had a break which another instance saw, unless they have proved themselves
// since.
func (f *Fleet) distrust(broken []memory.Trust, since map[quorum.NodeID]int64) {
	for _, t := range broken {
		n := f.Pool.Node(t.Node)
		if n == nil || t.Qualified {
			continue
		}
		at := since[t.Node]
		f.pair.mu.Lock()
		f.pair.broken[t.Node] = max(f.pair.broken[t.Node], at)
		f.pair.mu.Unlock()
		proved := n.LastProof()
		if f.storeTime(proved).UnixMilli() <= at && f.saver.trusted[t.Node] <= at {
			f.Memory.Distrust(t.Node)
		}
	}
}

// storeTime is what the shared store's clock said at a time of ours; our own where there is none.
func (f *Fleet) storeTime(t time.Time) time.Time {
	if f.saver.shared == nil {
		return t
	}
	return t.Add(f.saver.shared.Offset())
}

// ownTime is what our clock said at a time of the shared store's, in milliseconds; no later than now.
func (f *Fleet) ownTime(at int64, now time.Time) time.Time {
	t := now.Add(time.UnixMilli(at).Sub(f.storeTime(now)))
	if t.After(now) {
		return now
	}
	return t
}
