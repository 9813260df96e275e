package verdict_test

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"executionbackup/internal/bubble"
)

// An hour of slots, with late blocks, reorgs, and a node that dies and comes back: every answer is VALID, none of them
// waits for that node, and nothing is left over. Before it, as many slots fill what is kept and bounded.
func TestAnHourOfSlots(t *testing.T) {
	const (
		slot = 12 * time.Second
		hour = 300 // slots
	)
	down := func() bool { return int(time.Since(epoch).Minutes())%10 == 5 }
	nodes := fakes{bubble.Healthy(), bubble.Healthy(), {Refuse: down, Delay: bubble.Healthy().Delay}}
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, nodes, bubble.Options{Blocks: 64, ReplayBytes: 16 << 10})
		b.Run(func() {
			random := rand.New(rand.NewPCG(1, 2))
			head, parent, reorgs, late := 0, 0, 0, 0
			follow := func(slots int) {
				for range slots {
					begins := time.Now().Truncate(slot).Add(slot)
					asked := 500 * ms
					if random.IntN(20) == 0 {
						asked = time.Duration(3+random.IntN(5)) * time.Second
						late++
					}
					time.Sleep(time.Until(begins.Add(asked))) // the bubble's clock
					block, on := max(head, parent)+1, head
					if random.IntN(20) == 0 && head > 1 {
						on = parent // the last block loses
						reorgs++
					}
					payload := bytes.Replace(bubble.PayloadAt(block, begins),
						[]byte(bubble.Hash(block-1).Hex()), []byte(bubble.Hash(on).Hex()), 1)
					status, took := b.Send(payload)
					next, tookNext := b.Send(bubble.ForkchoiceCall(block))
					if status != "VALID" || next != "VALID" || took > good || tookNext > good {
						t.Errorf("block %d: %s after %v, %s after %v", block, status, took, next, tookNext)
					}
					parent, head = on, block
				}
			}
			used := func() (heap uint64, goroutines int) {
				time.Sleep(slot / 2) // the bubble's clock: what is under way ends
				synctest.Wait()
				for _, f := range nodes {
					f.Forget()
				}
				runtime.GC()
				runtime.GC() // what sync.Pools held
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return m.HeapAlloc, runtime.NumGoroutine()
			}
			follow(hour)
			heap, goroutines := used()
			follow(hour)
			heapThen, goroutinesThen := used()
			if goroutinesThen > goroutines {
				t.Errorf("%d goroutines, and %d an hour later", goroutines, goroutinesThen)
			}
			// 8,192 blocks that were answered VALID are known, each by its hash and number: that isn't full yet.
			if heapThen > heap+128<<10 {
				t.Errorf("%d bytes are used, and %d an hour later", heap, heapThen)
			}
			for _, n := range b.Fleet.Pool.Nodes() {
				if s := n.Status(); s.LaneCalls != 0 || s.LaneBytes != 0 {
					t.Errorf("%s has %d calls in its lane", n.Name(), s.LaneCalls)
				}
			}
			if reorgs < 10 || late < 10 {
				t.Errorf("there were %d reorgs and %d late blocks: too few", reorgs, late)
			}
			t.Logf("heap %d, then %d bytes; %d reorgs, %d late blocks", heap, heapThen, reorgs, late)
		})
	})
}
