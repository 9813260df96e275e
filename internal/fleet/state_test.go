package fleet_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"executionbackup/internal/bubble"
	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
	"executionbackup/internal/session"
)

// What outlives a process goes on where another takes it in: a dispute, builds, what was answered VALID, drains.
func TestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		objector := &bubble.Fake{Status: func(_ string, n int) string {
			if n == 3 {
				return "INVALID"
			}
			return "VALID"
		}}
		first := bubble.New(t, []*bubble.Fake{{}, {}, objector, {}}, bubble.Options{})
		build := session.Build{
			ID: "0x01", Begun: time.Now(), Head: bubble.Hash(2), Attributes: new(engine.Attributes),
			IDs: map[quorum.NodeID]string{"http://n1:8551": "0x0a"}, Winner: "http://n1:8551",
		}
		first.Run(func() {
			first.Follow(1, 2)
			if status, _ := first.Send(bubble.PayloadCall(3)); status != "SYNCING" {
				t.Errorf("in a dispute the CL hears %s", status)
			}
			first.Fleet.Controller.Builds.Put(&build)
			if err := first.Fleet.Pool.Drain([]string{"n4"}, true); err != nil {
				t.Error(err)
			}
		})
		for _, restored := range []bool{true, false} {
			forgetful := &bubble.Fake{Status: func(string, int) string { return "SYNCING" }}
			second := bubble.New(t, []*bubble.Fake{{}, {}, forgetful, {}}, bubble.Options{})
			want := "VALID"
			if restored {
				want = "SYNCING"
				second.Fleet.Restore(first.Fleet.Records())
			}
			second.Run(func() {
				if status, _ := second.Send(bubble.PayloadCall(4)); status != want {
					t.Errorf("restored %t: to a child of the block the CL hears %s, want %s", restored, status, want)
				}
				s := second.Fleet.Controller
				if s.Chain.MayBeLatestValid(bubble.Hash(2)) != restored || s.Chain.ToFollow() == bubble.Hash(2) {
					t.Errorf("restored %t: the chain is %+v", restored, s.Chain.State())
				}
				found, known := s.Builds.Find("0x01")
				if known != restored || restored &&
					(found.IDs["http://n1:8551"] != "0x0a" || found.Winner != build.Winner) {
					t.Errorf("restored %t: the build is %+v, %t", restored, found, known)
				}
				drained := slices.Equal(second.Fleet.Pool.Drained(), []quorum.NodeID{"http://n4:8551"})
				if drained != restored {
					t.Errorf("restored %t: %v are drained", restored, second.Fleet.Pool.Drained())
				}
			})
		}
	})
}
