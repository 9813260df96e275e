//go:build e2e

package live

import (
	"cmp"
	"syscall"
	"time"

	"executionbackup/internal/enginetest"
)

// fault is what can happen to one node. It is told twice: through ExecutionBackup with other nodes beside it, and to
// the only node of a Prysm.
type fault struct {
	name   string
	about  string
	short  bool // part of the short form, too
	halts  bool // a chain with a dispute stands still, rightly
	quick  bool // a crash and a return, which cost the consensus client no grace
	alone  bool // told behind ExecutionBackup only
	direct bool // told without it only
	path   path
	who    func(r *run) *node // behind ExecutionBackup
	slots  int                // how long it lasts
	after  int                // how many slots are watched after it; 0: six
	do     func(r *run, v *victim) (undo func())
}

// path is what is between the node and who calls it.
type path int

const (
	straight  path = iota
	overProxy      // a proxy of ours that can lie, wait and hang up
	overCable      // a network of its own
)

// victim is the node that the fault happens to, and the path to it.
type victim struct {
	*node
	proxy *enginetest.Node
	cable *cable
}

// faults are in the order in which they are told.
var faults = []fault{
	{
		name: restarts.name, about: "SIGTERM; it starts again after two slots.", direct: true, who: primary, slots: 2,
		do: func(r *run, v *victim) func() {
			r.terminate(v.node)
			return func() { r.start(v.node) }
		},
	},
	{
		name: "kill -9", about: "kill -9 of the primary; it starts again after five slots (in the short form, three).",
		short: true, quick: true, who: primary, slots: 5, do: kill,
	},
	{
		name: "kill -9 in mid-proposal",
		about: "kill -9 of the primary 30 ms into a slot, when the payload is fetched; " +
			"it starts again after three slots.",
		quick: true, alone: true, who: primary, slots: 3,
		do: func(r *run, v *victim) func() {
			r.until(r.startOf(r.slotAt(time.Now()) + 1).Add(30 * time.Millisecond))
			return kill(r, v)
		},
	},
	{
		name:  "kill -9 of another",
		about: "kill -9 of a geth that isn't the primary; it starts again after five slots.",
		quick: true, alone: true, who: other, slots: 5, do: kill,
	},
	{
		name:  "hangs",
		about: "SIGSTOP of the primary, SIGCONT five slots later: connections stay, and nothing answers.",
		who:   primary, slots: 5,
		do: func(r *run, v *victim) func() {
			v.Signal(syscall.SIGSTOP)
			return func() {
				v.Signal(syscall.SIGCONT)
				r.back(v.name)
			}
		},
	},
	{
		name: "empty data directory",
		about: "SIGTERM, its data directory is removed, and it starts again at once. Behind ExecutionBackup the " +
			"other geth is its peer.",
		who: other, slots: 5,
		do: func(r *run, v *victim) func() {
			r.terminate(v.node)
			v.wipe()
			v.start()
			r.introduce(v.node)
			return func() {}
		},
	},
	{
		name:  "wrong secret",
		about: "It is restarted with another JWT secret, and after five slots with the right one.",
		who:   other, slots: 5,
		do: func(r *run, v *victim) func() {
			right := v.secretFile
			r.terminate(v.node)
			v.secretFile = r.writeSecret("wrong.hex", [32]byte{1})
			v.start()
			return func() {
				r.terminate(v.node)
				v.secretFile = right
				r.start(v.node)
			}
		},
	},
	{
		name: "3 s late", about: "Every answer of it comes 3 s late, also to probes.",
		who: other, path: overProxy, slots: 5, do: script(enginetest.Rule{Delay: 3 * time.Second}),
	},
	{
		name: "30 % reset", about: "30 % of the calls to it, chosen at random, end with a reset connection.",
		who: other, path: overProxy, slots: 8, do: script(enginetest.Rule{Share: 0.3, Fault: enginetest.Reset}),
		after: 10, // a node whose replays have failed is fed again after 30 s at the latest
	},
	{
		name: "network cut", about: "No packet reaches it or comes from it. Nothing is refused or reset.",
		who: other, path: overCable, slots: 5,
		do: func(r *run, v *victim) func() {
			v.cable.cut()
			return func() {
				v.cable.mend()
				r.back(v.name)
			}
		},
	},
	{
		name: "200 ms and 5 % loss", about: "Every packet to it takes 200 ms, and 5 % are lost in each direction.",
		who: other, path: overCable, slots: 8,
		do: func(r *run, v *victim) func() {
			v.cable.impair(200*time.Millisecond, 0.05)
			return func() {
				v.cable.impair(0, 0)
				r.back(v.name)
			}
		},
	},
	{
		name:  "forged payloads",
		short: true,
		about: "A second beacon node, with the same secret, sends each of Prysm's payloads with another state root " +
			"under its hash: at once, and half a slot later.",
		who: other, path: overProxy, slots: 6, do: forge,
	},
	{
		name: "lies INVALID",
		about: "It calls every payload and head INVALID, although it executes them. Behind ExecutionBackup that is a " +
			"dispute, which halts the chain until the liar is removed, four slots later.",
		halts: true, who: other, path: overProxy, slots: 4,
		do: func(r *run, v *victim) func() {
			honest := v.proxy.Script(enginetest.Rule{Method: "engine_", Status: "INVALID", ValidationError: "a lie"})
			return func() {
				if r.eb != nil {
					r.leave(v.node)
				}
				honest()
			}
		},
	},
}

func kill(r *run, v *victim) func() {
	v.Kill()
	return func() { r.start(v.node) }
}

// script makes the proxy before a node follow a rule.
func script(rule enginetest.Rule) func(*run, *victim) func() {
	return func(r *run, v *victim) func() {
		honest := v.proxy.Script(rule)
		return func() {
			honest()
			r.back(v.name)
		}
	}
}

// primary is the primary, which must be a geth; the only node, where there is no ExecutionBackup.
func primary(r *run) *node {
	r.t.Helper()
	if r.eb == nil {
		return r.nodes[0]
	}
	n := r.node(r.eb.primary())
	if n.kind != "geth" {
		r.t.Fatalf("the primary is %s, want a geth", n.name)
	}
	return n
}

// other is a geth that isn't the primary; the only node, where there is no ExecutionBackup.
func other(r *run) *node {
	r.t.Helper()
	if r.eb == nil {
		return r.nodes[0]
	}
	primary := r.eb.primary()
	for _, n := range r.nodes {
		if n.kind == "geth" && n.name != primary {
			return n
		}
	}
	r.t.Fatal("there is no second geth")
	return nil
}

// play tells the fault.
func (f fault) play(r *run, v *victim) {
	r.note("it happens to %s", v.name)
	r.before(long(3, 2))
	undo := f.do(r, v)
	r.during(long(f.slots, 3))
	undo()
	r.after(long(cmp.Or(f.after, 6), 4))
}

// scenario is the fault behind ExecutionBackup, with other nodes beside the victim.
func (f fault) scenario() scenario {
	return scenario{name: f.name, about: f.about, short: f.short, halts: f.halts, quick: f.quick, play: func(r *run) {
		v := &victim{node: f.who(r)}
		switch f.path {
		case overProxy:
			r.divert(v)
		case overCable:
			r.move(v)
		}
		f.play(r, v)
	}}
}
