package fleet_test

import (
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"executionbackup/internal/bubble"
	"executionbackup/internal/engine"
	"executionbackup/internal/fleet"
	"executionbackup/internal/quorum"
	"executionbackup/internal/session"
	"executionbackup/internal/state"
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

// onChain are fakes of a chain, of which the last objects to block 3 and forgets that.
func onChain(id string) []*bubble.Fake {
	answer := func(method string) (string, bool) {
		switch method {
		case "eth_chainId":
			return `"` + id + `"`, true
		case "eth_getBlockByNumber":
			return `{"hash":"` + bubble.Hash(0).Hex() + `"}`, true
		}
		return "", false
	}
	fakes := []*bubble.Fake{
		bubble.Speaker(3, "VALID", 0), bubble.Speaker(3, "VALID", 0), bubble.Speaker(3, "INVALID", 0),
	}
	for _, f := range fakes {
		f.Answer = answer
	}
	return fakes
}

// What was kept of another chain is set aside as soon as it is known which chain is ours, and says nothing from then
// on. A node of that chain decides that it is ours still, also where most are on another.
func TestStateOfAnotherChain(t *testing.T) {
	for _, c := range []struct {
		name   string
		chains []string // of the nodes after the restart
		aside  bool
	}{
		{"the same", []string{"0x1", "0x1", "0x1"}, false},
		{"another", []string{"0x2", "0x2", "0x2"}, true},
		{"most on another", []string{"0x1", "0x2", "0x2"}, false},
		{"all that tell on another", []string{"0x2", "0x2", ""}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				open := func() bubble.Options {
					return bubble.Options{State: state.Open(dir, state.FileOptions{})}
				}
				b := bubble.New(t, onChain("0x1"), open())
				b.Run(func() {
					b.Follow(1, 2)
					if status, _ := b.Send(bubble.PayloadCall(3)); status != "SYNCING" {
						t.Errorf("in a dispute the CL hears %s", status)
					}
				})
				nodes := onChain("0x1")
				for i, chain := range c.chains {
					nodes[i].Answer = onChain(chain)[0].Answer
					if chain == "" { // it is down
						nodes[i].Refuse = func() bool { return true }
					}
				}
				b = bubble.New(t, nodes, open())
				b.Run(func() {
					time.Sleep(time.Minute)
					synctest.Wait()
					home := b.Fleet.Pool.Home()
					want := map[bool]string{true: "0x2", false: "0x1"}[c.aside]
					if len(home) != 1 || home[0].ID != want {
						t.Errorf("the chain is %v, want %s", home, want)
					}
					if objects := b.Fleet.Memory.Objections("http://n3:8551") > 0; objects == c.aside {
						t.Errorf("n3 objects: %t", objects)
					}
				})
				aside, err := filepath.Glob(filepath.Join(dir, "state.other-*"))
				if err != nil || len(aside) > 0 != c.aside {
					t.Errorf("set aside are %v, %v", aside, err)
				}
			})
		})
	}
}

// What an operator changes is on disk before he is answered: the end of an objection, and a drain. On a disk that hangs
// neither is.
func TestWhatAnOperatorChangesIsSaved(t *testing.T) {
	done := fleet.Saved{}
	synctest.Test(t, func(t *testing.T) {
		before := bubble.New(t, onChain("0x1"), bubble.Options{})
		before.Run(func() {
			before.Follow(1, 2)
			before.Send(bubble.PayloadCall(3))
		})
		b := bubble.New(t, onChain("0x1"), bubble.Options{
			State: state.Open(t.TempDir(), state.FileOptions{}), Hung: true,
		})
		b.Fleet.Restore(before.Fleet.Records())
		b.Run(func() {
			if words, _ := b.Fleet.SaveAll(); words != done {
				t.Error("nothing has changed, and somebody waits")
			}
			if err := b.Fleet.Pool.ClearObjections([]string{"n3"}); err != nil {
				t.Fatal(err)
			}
			if words, _ := b.Fleet.SaveAll(); words == done {
				t.Error("nobody waits for the end of an objection")
			}
			if err := b.Fleet.Pool.Drain([]string{"n1"}, true); err != nil {
				t.Fatal(err)
			}
			if _, others := b.Fleet.SaveAll(); others == done {
				t.Error("nobody waits for a drain")
			}
		})
	})
}
