//go:build e2e

package live

import (
	"syscall"
	"time"

	"executionbackup/internal/enginetest"
)

// baseline is what the others are measured by.
var baseline = scenario{
	name: "baseline", short: true,
	about: "Nothing is broken. No scenario with one broken node may miss more slots.",
	play:  func(r *run) { r.during(long(32, 4)) },
}

// restarts comes first: a geth that is killed before it ever wrote a state needs peers.
var restarts = scenario{
	name: "clean restart", short: true,
	about: "SIGTERM for a geth that isn't the primary, which starts again after two slots; " +
		"then the same for the primary.",
	play: func(r *run) {
		r.before(long(3, 2))
		for _, n := range []*node{other(r), primary(r)} {
			r.terminate(n)
			r.during(2)
			r.start(n)
			r.after(long(3, 2))
		}
	},
}

// fork goes over the border of Electra and Fulu without one node.
var fork = scenario{
	name: "fork without one node", short: true,
	about: "Fulu begins (for the execution clients: Osaka) while a geth that isn't the primary is down after " +
		"kill -9. It starts again three slots into it.",
	play: func(r *run) {
		first := r.fuluEpoch * slotsPerEpoch
		if now := r.slotAt(time.Now()); now > first-4 {
			r.t.Fatalf("it is slot %d, too late for the fork in slot %d", now, first)
		}
		r.until(r.startOf(first - 5).Add(r.slot / 2))
		v := other(r)
		r.note("it happens to %s", v.name)
		r.before(2)
		v.Kill()
		r.during(5)
		r.start(v)
		r.after(4)
	},
}

// both loses two of the nodes, one after the other.
var both = scenario{
	name: "kill -9 of both geths", quick: true,
	about: "The primary is killed, and two slots later the other geth. Two more slots later both start again. " +
		"Erigon remains.",
	play: func(r *run) {
		first, second := primary(r), other(r)
		r.before(3)
		first.Kill()
		r.during(2)
		second.Kill()
		r.during(2)
		r.start(first)
		r.start(second)
		r.after(6)
	},
}

// killed loses ExecutionBackup itself.
var killed = scenario{
	name: "kill -9 of ExecutionBackup", short: true,
	about: "It is killed in the middle of three slots in a row, between the forkchoiceUpdated with attributes, which " +
		"Prysm sends when the last block is in, and the getPayload, which comes with the next slot. A supervisor " +
		"starts it again. No proposal may be lost.",
	play: func(r *run) {
		r.before(2)
		_, starts := r.eb.current()
		for range 3 {
			p, _ := r.eb.current()
			p.Kill()
			r.during(1)
		}
		r.after(3)
		if _, now := r.eb.current(); now != starts+3 {
			r.fail("it was started %d times, want 3", now-starts)
		}
	},
}

// changes are scenarios in which ExecutionBackup is told to change or to stop.
var changes = []scenario{
	{
		name: "SIGHUP",
		about: "In mid-slot the primary leaves the configuration; two slots later it comes back and Erigon leaves, " +
			"at once; two slots later Erigon is back.",
		play: func(r *run) {
			n, erigon := primary(r), r.node("r1")
			r.note("the primary is %s", n.name)
			r.before(2)
			n.left = true
			r.reload()
			r.during(2)
			n.left, erigon.left = false, true
			r.reload()
			r.back(n.name)
			r.during(2)
			erigon.left = false
			r.reload()
			r.back(erigon.name)
			r.after(4)
		},
	},
	{
		name: "SIGTERM in mid-call", spotless: true,
		about: "One node answers newPayload 1 s late. While ExecutionBackup waits for it, it gets SIGTERM: the call " +
			"must have its answer, what Prysm calls next is answered by it or by the process that the supervisor " +
			"starts, the exit status is 0, and no slot may be missed.",
		play: func(r *run) {
			v := &victim{node: other(r)}
			r.divert(v)
			r.before(2)
			quick := v.proxy.Script(enginetest.Rule{Method: "engine_newPayload", Delay: time.Second})
			defer quick()
			v.proxy.Wait("engine_newPayload", len(v.proxy.CallsOf("engine_newPayload"))+1)
			p, _ := r.eb.current()
			p.Signal(syscall.SIGTERM)
			<-p.Gone()
			if code := p.Cmd.ProcessState.ExitCode(); code != 0 {
				r.fail("the exit status is %d", code)
			}
			r.during(2)
			quick()
			r.after(3)
		},
	},
}
