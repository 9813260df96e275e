package fleet

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"executionbackup/internal/engine"
	"executionbackup/internal/memory"
	"executionbackup/internal/quorum"
)

// pair is what we know of whom the CL talks to, where two instances stand side by side: to us, who are active then, or
// to the other. Times are those of the shared store's clock, which both have. Safe for concurrent use.
type pair struct {
	mu               sync.Mutex // guards what follows
	own              spoken
	other            spoken    // of the other instances, the last each
	splitAt          time.Time // when the CL last came back from the other instance too soon
	passive, isSplit bool      // as the log has it

	active, split prometheus.Gauge // nil where there is no other instance
}

// spoken is when the CL last made a call: any newPayload or forkchoiceUpdated, and a forkchoiceUpdated.
type spoken struct{ call, forkchoice time.Time }

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
		active: gauge("active", "1 where the consensus client talks to this instance of a pair, 0 where to the other."),
		split: gauge("split_active",
			"1 where the consensus client, or several, talk to both instances of a pair in turn."),
	}
}

// Spoke notes a newPayload or forkchoiceUpdated of the CL's.
func (f *Fleet) Spoke(family engine.Family) {
	if f.saver.shared == nil {
		return
	}
	p, now := &f.pair, f.storeTime(time.Now())
	p.mu.Lock()
	isBack := p.other.call.After(p.own.call) && !p.own.call.IsZero() && now.Sub(p.own.call) <= 2*f.Slot()
	p.own.call = now
	if family == engine.ForkchoiceUpdated {
		p.own.forkchoice = now
	}
	if isBack {
		p.splitAt = now
	}
	p.mu.Unlock()
	f.Touch() // and the other instance is told
}

// Heard takes in the notes of the other instances.
func (f *Fleet) Heard(notes map[string][]byte) {
	p, slot := &f.pair, f.Slot()
	for _, text := range notes {
		var n note
		if json.Unmarshal(text, &n) != nil {
			continue
		}
		call, forkchoice := time.UnixMilli(n.Call), time.UnixMilli(n.Forkchoice)
		p.mu.Lock()
		if n.Call > 0 && call.After(p.other.call) {
			isBack := p.own.call.After(p.other.call) && call.After(p.own.call) && !p.other.call.IsZero() &&
				call.Sub(p.other.call) <= 2*slot
			if p.other.call = call; isBack {
				p.splitAt = call
			}
		}
		if n.Forkchoice > 0 && forkchoice.After(p.other.forkchoice) {
			p.other.forkchoice = forkchoice
		}
		p.mu.Unlock()
		f.believe(n.Proved)
	}
	f.Touch()
}

// tellOther tells the other instance when the CL last spoke to us, and who has proved itself.
func (f *Fleet) tellOther() {
	p := &f.pair
	p.mu.Lock()
	own := p.own
	p.mu.Unlock()
	n := note{Proved: make(map[quorum.NodeID]int64)}
	if !own.call.IsZero() {
		n.Call = own.call.UnixMilli()
	}
	if !own.forkchoice.IsZero() {
		n.Forkchoice = own.forkchoice.UnixMilli()
	}
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
	own, other := f.pair.own.forkchoice, f.pair.other.forkchoice
	return own.IsZero() || other.After(own) || f.storeTime(time.Now()).Sub(own) > 2*f.Slot()
}

// reviewPair draws the consequences of who is active, and tells the other instance of us.
func (f *Fleet) reviewPair() {
	if f.saver.shared == nil {
		return
	}
	f.tellOther()
	p, now := &f.pair, f.storeTime(time.Now())
	p.mu.Lock()
	passive, was := f.isPassive(), p.passive
	split := !p.splitAt.IsZero() && now.Sub(p.splitAt) <= 2*f.Slot()
	wasSplit := p.isSplit
	p.passive, p.isSplit = passive, split
	p.mu.Unlock()
	p.active.Set(one(!passive))
	p.split.Set(one(split))
	switch {
	case passive && !was:
		f.Pool.Stand()
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
		if n == nil || f.Memory.Qualified(id) {
			continue
		}
		_, breaks := f.Memory.Standing(id)
		watched := n.Added()
		if broke := n.LastBreak(); broke.After(watched) {
			watched = broke
		}
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
		proved := n.LastProof()
		if at := since[t.Node]; f.storeTime(proved).UnixMilli() <= at && f.saver.trusted[t.Node] <= at {
			f.Memory.Distrust(t.Node)
		}
	}
}

// storeTime is what the shared store's clock said at a time of ours.
func (f *Fleet) storeTime(t time.Time) time.Time { return t.Add(f.saver.shared.Offset()) }
