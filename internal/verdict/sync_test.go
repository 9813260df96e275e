package verdict_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"executionbackup/internal/bubble"
	"executionbackup/internal/fleet"
)

// At the end of a sync the CL's payloads are of this slot, and don't wait for room: there is some for them, and no node
// is left behind.
func TestEndOfSync(t *testing.T) {
	for _, forkchoice := range []bool{false, true} {
		slowest := takes(400 * ms)
		nodes := fakes{takes(20 * ms), takes(60 * ms), slowest}
		synctest.Test(t, func(t *testing.T) {
			b := bubble.New(t, nodes, bubble.Options{Settings: shortSlots})
			b.Run(func() {
				old := time.Now().Add(-time.Hour)
				for n := 1; n <= 800; n++ {
					b.Send(bubble.PayloadAt(n, old.Add(time.Duration(n)*time.Second)))
				}
				for n := 801; n <= 803; n++ {
					slot := time.Now().Truncate(5 * time.Second)
					b.Send(bubble.PayloadAt(n, slot))
					if forkchoice {
						b.Send(bubble.ForkchoiceCall(n))
					}
					time.Sleep(time.Until(slot.Add(6 * time.Second)))
				}
				s := b.Fleet.Pool.Nodes()[2].Status()
				if s.LaneDropped != 0 {
					t.Errorf("%d calls fell out of the slowest node's lane; it is %v", s.LaneDropped, s.State)
				}
			})
		})
	}
}

// Nor is one by a forkchoiceUpdated on a head whose payload we never saw.
func TestSyncWithUnknownHead(t *testing.T) {
	nodes := fakes{takes(20 * ms), takes(60 * ms), takes(400 * ms)}
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, nodes, bubble.Options{Settings: shortSlots})
		b.Run(func() {
			old := time.Now().Add(-time.Hour)
			for n := 1; n <= 800; n++ {
				b.Send(bubble.PayloadAt(n, old.Add(time.Duration(n)*time.Second)))
			}
			b.Send(bubble.ForkchoiceCall(5000))
			if s := b.Fleet.Pool.Nodes()[2].Status(); s.LaneDropped != 0 {
				t.Errorf("%d calls fell out of the slowest node's lane; it is %v", s.LaneDropped, s.State)
			}
		})
	})
}

// The grace of short slots, 208 ms, is no measure of what a node takes over a payload.
func TestSyncOnGnosis(t *testing.T) {
	nodes := fakes{takes(20 * ms), takes(60 * ms), takes(400 * ms)}
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, nodes, bubble.Options{Settings: func(s *fleet.Settings) {
			s.Times = fleet.Times{Grace: -1, LateGrace: bubble.LateGrace, Slot: 5 * time.Second}
		}})
		b.Run(func() {
			old := time.Now().Add(-time.Hour)
			for n := 1; n <= 1200; n++ {
				b.Send(bubble.PayloadAt(n, old.Add(time.Duration(n)*time.Second)))
			}
			if s := b.Fleet.Pool.Nodes()[2].Status(); s.LaneDropped != 0 {
				t.Errorf("%d calls fell out of the slowest node's lane; it is %v", s.LaneDropped, s.State)
			}
		})
	})
}

// A CL may send payloads side by side, which find the same room.
func TestSyncSideBySide(t *testing.T) {
	nodes := fakes{takes(20 * ms), takes(60 * ms), takes(400 * ms)}
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, nodes, bubble.Options{})
		b.Run(func() {
			old := time.Now().Add(-time.Hour)
			for n := 1; n <= 1000; n += 2 {
				var both sync.WaitGroup
				both.Go(func() { b.Send(bubble.PayloadAt(n, old)) })
				both.Go(func() { b.Send(bubble.PayloadAt(n+1, old)) })
				both.Wait()
			}
			if s := b.Fleet.Pool.Nodes()[2].Status(); s.LaneDropped != 0 {
				t.Errorf("%d calls fell out of the slowest node's lane; it is %v", s.LaneDropped, s.State)
			}
		})
	})
}

// No forkchoiceUpdated overtakes an earlier one, whatever the ages of their heads: they don't wait for room.
func TestOrderOfForkchoicesInASync(t *testing.T) {
	first := takes(20 * ms)
	nodes := fakes{first, takes(60 * ms), takes(400 * ms)}
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, nodes, bubble.Options{Settings: shortSlots})
		b.Run(func() {
			old := time.Now().Add(-time.Hour)
			for n := 1; n <= 900; n++ {
				b.Send(bubble.PayloadAt(n, old.Add(time.Duration(n)*time.Second)))
			}
			for n := 910; n <= 950; n += 10 {
				for i := range 10 {
					b.Send(bubble.PayloadAt(n-i, time.Now()))
				}
				first.Forget()
				var both sync.WaitGroup
				both.Go(func() { b.Send(bubble.ForkchoiceCall(900)) }) // of an old slot
				time.Sleep(ms)
				both.Go(func() { b.Send(bubble.ForkchoiceCall(n)) }) // of this slot
				both.Wait()
				time.Sleep(50 * ms)
				if seen := first.Seen(); seen[len(seen)-1] == "F900" {
					t.Errorf("the CL sent F900 and then F%d; the node that answers in 20 ms got %v", n, seen)
					return
				}
			}
		})
	})
}

// A timestamp beyond what time.Unix can take is in the future, not old.
func TestTimestampBeyondTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, fakes{takes(20 * ms), takes(60 * ms), hangs()}, bubble.Options{})
		b.Run(func() {
			payload := strings.Replace(string(bubble.PayloadAt(1, time.Unix(1, 0))), `"timestamp":"0x1"`,
				`"timestamp":"0x7fffffffffffffff"`, 1)
			if status, took := b.Send([]byte(payload)); took != 560*ms {
				t.Errorf("a payload from the year 292277026596: %s after %v, want the plain grace, 560ms", status, took)
			}
		})
	})
}
