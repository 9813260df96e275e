//go:build e2e

package e2e

import (
	"syscall"
	"testing"
	"time"
)

// A geth without peers is killed with SIGKILL while blocks are produced, and comes back: it votes VALID again within
// five seconds of its first probe, at the right head, and no call of the CL is slow.
func TestKilledGethCatchesUp(t *testing.T) {
	const period = 2 * time.Second
	for _, c := range []struct {
		name   string
		away   time.Duration
		period time.Duration
		blocks int // produced while it is away, at least
	}{
		{"for one second", time.Second, period, 0},
		{"for thirty seconds", 30 * time.Second, period, 14},
		{"for two hundred blocks", time.Minute, time.Millisecond, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			victim := startClient(t, 3)
			w := newWorld(t, startClient(t, 1), startClient(t, 2), victim)
			for range 5 {
				w.produce()
			}
			// Some state must have been written once: a geth that is killed before that would need peers.
			victim.end(syscall.SIGTERM)
			victim.start()
			if !w.produceFor(20*time.Second, period, func() bool { return w.votes()[2] == "VALID" }) {
				t.Fatal("it doesn't vote after a clean stop")
			}

			before := w.producer.Head.Number
			victim.end(syscall.SIGKILL)
			killed := time.Now()
			w.produceFor(c.away, c.period, func() bool {
				return c.blocks == 200 && w.producer.Head.Number-before >= 200 ||
					c.blocks == 0 && time.Since(killed) >= c.away
			})
			if lost := w.producer.Head.Number - before; int(lost) < c.blocks {
				t.Fatalf("%d blocks were produced while it was away, want %d", lost, c.blocks)
			}
			victim.start()
			for w.state(2) == "dead" { // until the first probe
				w.Recheck(t)
			}
			back := time.Now()
			w.slowest = 0
			if !w.produceFor(5*time.Second, period, func() bool { return w.votes()[2] == "VALID" }) {
				t.Fatalf("it doesn't vote: %v, %s", w.votes(), w.state(2))
			}
			t.Logf("%d blocks lost; VALID again after %v; slowest call of the CL meanwhile: %v",
				w.producer.Head.Number-before, time.Since(back), w.slowest)
			w.produce()
			if got, want := victim.latest(), w.producer.Head.Hash; got != want {
				t.Errorf("its head is %s, want %s", got, want)
			}
			if w.slowest > 600*time.Millisecond {
				t.Errorf("a call of the CL took %v", w.slowest)
			}
		})
	}
}
