//go:build e2e

package soak

import (
	"syscall"
	"time"

	"executionbackup/internal/enginetest"
)

// slot is how long a slot takes. Payloads have its beginning as their timestamp, so it is whole seconds.
const slot = 2 * time.Second

// fault is what can break, and what that may cost.
type fault struct {
	name     string
	about    string
	lasts    [2]time.Duration // at least, and at most
	lost     int              // slots that it may cost
	halts    bool             // it may cost every slot in which it lasts, too
	disputes bool             // it may make a dispute
	alone    bool             // never beside another: it lasts long, or halts the chain
	ends     bool             // the process of ExecutionBackup ends
	node     bool             // it happens to a node, else to ExecutionBackup or what is beside it
	thing    string           // what it happens to, where only one fault at a time may
	// begin makes the fault, and returns what ends it. v is the node, or nil.
	begin func(w *world, v *node) (undo func())
}

// short and long are how long most faults last. What is long is longer than --timeout, and than two slots' graces.
var (
	atOnce = [2]time.Duration{}
	short  = [2]time.Duration{2 * time.Second, 15 * time.Second}
	long   = [2]time.Duration{25 * time.Second, 35 * time.Second}
)

// faults are all that can break. One node of three, and two for as long as the third is well, may cost no slot at all.
var faults = []fault{
	{
		name: "kill -9", about: "kill -9 of a geth, which is started again",
		lasts: short, node: true, begin: kill,
	},
	{
		name: "kill -9, long", about: "kill -9 of a geth, which is started again half a minute later",
		lasts: long, node: true, alone: true, begin: kill,
	},
	{
		name: "SIGTERM", about: "a geth ends as it should, and is started again",
		lasts: short, node: true, begin: func(w *world, v *node) func() { v.terminate(); return v.start },
	},
	{
		name: "empty data directory", about: "a geth ends, and is started again with nothing: it syncs from its peers",
		lasts: short, node: true, begin: func(w *world, v *node) func() {
			v.terminate()
			v.empty()
			return v.start
		},
	},
	{
		name: "SIGSTOP", about: "a geth hangs with its connections open",
		lasts: short, node: true, begin: hang,
	},
	{
		name: "SIGSTOP, long", about: "a geth hangs for longer than any call is waited for",
		lasts: long, node: true, alone: true, begin: hang,
	},
	{
		name: "slow", about: "every answer of a node takes 400 ms more",
		lasts: short, node: true, begin: script(enginetest.Rule{Delay: 400 * time.Millisecond}),
	},
	{
		name: "late", about: "every answer of a node takes more than a slot",
		lasts: short, node: true, begin: late,
	},
	{
		name: "resets", about: "three of ten calls to a node end with a reset connection",
		lasts: short, node: true, begin: script(enginetest.Rule{Share: 0.3, Fault: enginetest.Reset}),
	},
	{
		name: "half answers", about: "three of ten answers of a node break off in the middle",
		lasts: short, node: true, begin: script(enginetest.Rule{Share: 0.3, Fault: enginetest.Truncated}),
	},
	{
		name: "lies INVALID", about: "a node calls every payload and head INVALID. The chain halts, rightly, and " +
			"goes on within two slots of its first VALID",
		lasts: short, node: true, alone: true, halts: true, disputes: true, lost: 2, begin: lie,
	},
	{
		name: "lies INVALID, upgraded", about: "a node calls all INVALID, until it is stopped, and " +
			"another program started behind its URL. That takes three slots at most",
		lasts: short, node: true, alone: true, halts: true, disputes: true, lost: 3 + 2,
		begin: func(w *world, v *node) func() {
			honest := lie(w, v)
			return func() { v.terminate(); honest(); v.start() }
		},
	},
	{
		name: "power cut", about: "kill -9 of all geths and of ExecutionBackup at once, and all are started again. " +
			"The consensus client hears VALID four slots of a beacon chain's four seconds later",
		lasts: short, alone: true, ends: true, halts: true, lost: 8,
		begin: func(w *world, _ *node) func() { return w.powerCut() },
	},
	{
		name: "rolling upgrade", about: "one geth after the other is drained, stopped, started again and undrained",
		lasts: atOnce, alone: true, begin: func(w *world, _ *node) func() {
			w.upgradeAll()
			return func() {}
		},
	},
	{
		name: "removed", about: "a node is removed over the REST API, and added again",
		lasts: short, node: true, begin: func(w *world, v *node) func() {
			w.change("/remove_nodes", v.name)
			return func() { w.add(v) }
		},
	},
	{
		name: "drained", about: "a node is drained over the REST API, and back again",
		lasts: short, node: true, begin: func(w *world, v *node) func() {
			w.change("/drain_nodes", v.name)
			return func() { w.change("/undrain_nodes", v.name) }
		},
	},
	{
		name: "drained, lies INVALID", about: "a drained node calls every payload and head INVALID",
		lasts: short, node: true, begin: func(w *world, v *node) func() {
			w.change("/drain_nodes", v.name)
			honest := lie(w, v)
			return func() { honest(); w.change("/undrain_nodes", v.name) }
		},
	},
	{
		name: "wrong secret", about: "SIGHUP with another secret for a node, which answers 401; and with the right one",
		lasts: short, node: true, begin: func(w *world, v *node) func() {
			w.eb.reload(func() { w.eb.wrong = v.name })
			return func() { w.eb.reload(func() { w.eb.wrong = "" }) }
		},
	},
	{
		name: "SIGHUP", about: "SIGHUP with another timeout, and back again",
		lasts: short, begin: func(w *world, _ *node) func() {
			w.eb.reload(func() { w.eb.timeout = 3 * time.Second })
			return func() { w.eb.reload(func() { w.eb.timeout = 0 }) }
		},
	},
	{
		name: "kill -9 of ExecutionBackup", about: "a supervisor that keeps its socket starts it again. The call " +
			"in flight is lost, and with it the slot",
		lasts: atOnce, ends: true, lost: 1, begin: func(w *world, _ *node) func() {
			w.eb.end(syscall.SIGKILL)
			return func() {}
		},
	},
	{
		name: "SIGTERM of ExecutionBackup", about: "a supervisor that keeps its socket starts it " +
			"again: calls in flight are answered",
		lasts: atOnce, ends: true, begin: func(w *world, _ *node) func() {
			w.eb.end(syscall.SIGTERM)
			return func() {}
		},
	},
	{
		name: "disk full", about: "no file of ExecutionBackup's may grow (RLIMIT_FSIZE)",
		lasts: short, begin: func(w *world, _ *node) func() {
			w.eb.limitFiles(0)
			return func() { w.eb.limitFiles(unlimited) }
		},
	},
	{
		name: "SIGSTOP of Redis", about: "the shared state hangs, and goes on",
		lasts: short, thing: "Redis", begin: func(w *world, _ *node) func() {
			w.redis.Stop()
			return w.redis.Continue
		},
	},
	{
		name: "SIGTERM of Redis", about: "the shared state ends, and is started again, empty",
		lasts: short, thing: "Redis", begin: func(w *world, _ *node) func() {
			w.redis.Terminate()
			return w.redis.Start
		},
	},
	{
		name: "lies INVALID, SIGSTOP of Redis", about: "a node calls every payload and head INVALID, and the shared " +
			"state hangs: what waits for that waits 100 ms",
		lasts: short, node: true, alone: true, halts: true, disputes: true, lost: 2,
		begin: func(w *world, v *node) func() {
			w.redis.Stop()
			honest := lie(w, v)
			return func() { honest(); w.redis.Continue() }
		},
	},
	{
		name: "clock ahead", about: "the consensus client's clock is 2 s ahead of ExecutionBackup's",
		lasts: short, thing: "clock", begin: clock(slot),
	},
	{
		name: "clock behind", about: "the consensus client's clock is 2 s behind ExecutionBackup's",
		lasts: short, thing: "clock", begin: clock(-slot),
	},
	{
		name: "forged payloads", about: "before and beside each payload another beacon node sends another " +
			"content under its hash, and once more after the verdict. One node is late with its answers to all of them",
		lasts: short, node: true, begin: func(w *world, v *node) func() {
			timely := late(w, v)
			w.chain.forge.Store(true)
			return func() { w.chain.forge.Store(false); timely() }
		},
	},
	{
		name: "wrong token", about: "somebody without the secret makes 50 calls a second",
		lasts: short, begin: func(w *world, _ *node) func() { return w.knock() },
	},
}

func kill(_ *world, v *node) func() {
	v.kill()
	return v.start
}

func hang(_ *world, v *node) func() {
	v.Signal(syscall.SIGSTOP)
	return func() { v.Signal(syscall.SIGCONT) }
}

var late = script(enginetest.Rule{Delay: 2500 * time.Millisecond})

var lie = script(enginetest.Rule{Method: "engine_", Status: "INVALID", ValidationError: "a lie"})

// clock puts the consensus client's clock forward, and right again.
func clock(ahead time.Duration) func(*world, *node) func() {
	return func(w *world, _ *node) func() {
		w.chain.ahead.Store(int64(ahead))
		return func() { w.chain.ahead.Store(0) }
	}
}

// script makes the door before a node follow a rule.
func script(rule enginetest.Rule) func(*world, *node) func() {
	return func(_ *world, v *node) func() { return v.door.Script(rule) }
}
