package verdict_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"executionbackup/internal/bubble"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/fleet"
	"executionbackup/internal/quorum"
)

// liveRules are those of --on-dispute=live.
func liveRules(s *fleet.Settings) {
	s.Rules.OnDispute, s.Rules.MinClients, s.ForkWindow = quorum.Live, 2, 24*time.Hour
}

// Holesky, as it went on: most clients are stopped, given the right deposit contract and started again. They keep the
// invalid chain on disk, and say VALID to what is built on it. The configurations are equal now; the block isn't valid
// for that.
func TestLiveHaltsOnAfterConfigurationsAreRepaired(t *testing.T) {
	t.Run("from the beginning", func(t *testing.T) { liveAfterRepair(t, quorum.Live) })
	t.Run("chosen when all is repaired", func(t *testing.T) { liveAfterRepair(t, quorum.Halt) })
}

// liveAfterRepair has another policy than live until the configurations are repaired.
func liveAfterRepair(t *testing.T, before quorum.Policy) {
	synctest.Test(t, func(t *testing.T) {
		fork := epoch.Add(-time.Hour)
		right := enginetest.Forks(enginetest.Fork{At: fork, ID: "0x00000002"})
		wrong := enginetest.Forks(enginetest.Fork{At: fork, ID: "0x00000002",
			Deposits: "0x" + strings.Repeat("12", 20)})
		var repaired, down atomic.Bool
		most := func() string {
			if repaired.Load() {
				return right
			}
			return wrong
		}
		ge, nm := bubble.Healthy(), bubble.Healthy()
		ge.Refuse, nm.Refuse = down.Load, down.Load
		b := bubble.New(t, fakes{
			client(ge, "GE", most), client(nm, "NM", most),
			client(bubble.Speaker(11, "INVALID", good), "RH", always(right)),
		}, bubble.Options{Settings: liveRules})
		b.Run(func() {
			time.Sleep(3 * time.Second) // the bubble's clock
			b.Follow(1, 10)
			play := func(when string, first, n int) {
				for i := first; i < first+n; i++ {
					got, _ := b.Send(bubble.PayloadAt(i, time.Now()))
					head, _ := b.Send(bubble.ForkchoiceCall(i))
					if got == "VALID" || head == "VALID" {
						t.Errorf("%s: block %d of the invalid chain: got %s and %s", when, i, got, head)
					}
					time.Sleep(2 * time.Second)
				}
			}
			b.Change(func(s *fleet.Settings) { s.Rules.OnDispute = before })
			play("before the repair", 11, 3)
			b.Change(func(s *fleet.Settings) { s.Rules.OnDispute = quorum.Live })
			down.Store(true)
			time.Sleep(5 * time.Second)
			repaired.Store(true)
			down.Store(false)
			time.Sleep(5 * time.Second)
			play("after the repair", 14, 6)
		})
	})
}

// The objector is restarted with another configuration, and doesn't answer eth_config since: what it told before its
// restart isn't its present configuration.
func TestLiveDoesntTrustAReadingFromBeforeARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fork := epoch.Add(-time.Hour)
		same := enginetest.Forks(enginetest.Fork{At: fork, ID: "0x00000002"})
		var restarted, down atomic.Bool
		objector := bubble.Speaker(11, "INVALID", good)
		objector.Refuse = down.Load
		mute(objector, restarted.Load)
		b := bubble.New(t, fakes{
			client(bubble.Healthy(), "GE", always(same)), client(bubble.Healthy(), "NM", always(same)),
			client(objector, "BU", always(same)),
		}, bubble.Options{Settings: liveRules})
		b.Run(func() {
			time.Sleep(3 * time.Second) // the bubble's clock
			b.Follow(1, 5)
			down.Store(true)
			time.Sleep(5 * time.Second)
			restarted.Store(true)
			down.Store(false)
			time.Sleep(5 * time.Second)
			b.Follow(6, 5) // it follows, and may object
			if got, _ := b.Send(bubble.PayloadAt(11, time.Now())); got != "SYNCING" {
				t.Errorf("the objector hasn't told its configuration since its restart: got %s", got)
			}
		})
	})
}

// The objector told its forks hours ago, and doesn't answer eth_config any more: /forks says that nothing is known of
// it, and so must live.
func TestLiveDoesntTrustAnOldReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		same := enginetest.Forks(enginetest.Fork{At: epoch.Add(-time.Minute), ID: "0x00000002"})
		var hangs atomic.Bool
		objector := bubble.Speaker(11, "INVALID", good)
		mute(objector, hangs.Load)
		b := bubble.New(t, fakes{
			client(bubble.Healthy(), "GE", always(same)), client(bubble.Healthy(), "NM", always(same)),
			client(objector, "BU", always(same)),
		}, bubble.Options{Settings: liveRules})
		b.Run(func() {
			time.Sleep(3 * time.Second) // the bubble's clock
			b.Follow(1, 10)
			hangs.Store(true)
			time.Sleep(3 * time.Hour)
			if c := b.Fleet.Pool.Forks().Nodes[2].Config.Current; c.Text() != "" {
				t.Errorf("/forks still believes %s", c.Text())
			}
			if got, _ := b.Send(bubble.PayloadAt(11, time.Now())); got != "SYNCING" {
				t.Errorf("a fork was 3 h ago, and the objector's configuration isn't known: got %s", got)
			}
		})
	})
}

// We are restarted in a dispute. Whether a fork is near is measured at the timestamp of the objected block, for all its
// descendants: before our restart and after it.
func TestLiveAfterOurRestart(t *testing.T) {
	for _, c := range []struct {
		name   string
		fork   time.Duration // before the start
		says   string        // the objector's word on what follows
		wanted string
	}{
		{"near a fork, a minute before the window ends", 24*time.Hour - time.Minute, "INVALID", "SYNCING"},
		{"long after a fork", 48 * time.Hour, "SYNCING", "VALID"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				forks := always(enginetest.Forks(enginetest.Fork{At: epoch.Add(-c.fork), ID: "0x00000002"}))
				nodes := func() fakes {
					objector := &bubble.Fake{Status: func(_ string, n int) string {
						switch {
						case n < 11:
							return "VALID"
						case n == 11:
							return "INVALID"
						}
						return c.says
					}}
					return fakes{client(bubble.Healthy(), "GE", forks), client(bubble.Healthy(), "NM", forks),
						client(objector, "BU", always(""))} // it doesn't tell its configuration
				}
				play := func(b *bubble.Bubble, when string, first, n int) {
					for i := first; i < first+n; i++ {
						want := c.wanted
						if i < 11 {
							want = "VALID"
						}
						got, _ := b.Send(bubble.PayloadAt(i, time.Now()))
						head, _ := b.Send(bubble.ForkchoiceCall(i))
						if got != want || head != want {
							t.Errorf("%s: block %d: got %s and %s, want %s", when, i, got, head, want)
						}
						time.Sleep(2 * time.Second) // the bubble's clock
					}
				}
				b := bubble.New(t, nodes(), bubble.Options{Settings: liveRules})
				b.Run(func() {
					time.Sleep(3 * time.Second)
					play(b, "before", 1, 13)
					time.Sleep(time.Minute)
					play(b, "a minute later", 14, 2)
				})
				records := b.Fleet.Records()
				b = bubble.New(t, nodes(), bubble.Options{Settings: liveRules})
				b.Fleet.Restore(records)
				b.Run(func() {
					time.Sleep(3 * time.Second)
					play(b, "after our restart", 16, 4)
				})
			})
		})
	}
}

// A node that tells of another fork to come each time it is asked must not make us forget when the real one was.
func TestLiveWindowSurvivesInventedForks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		same := enginetest.Forks(enginetest.Fork{At: epoch.Add(-time.Minute), ID: "0x00000002"})
		asked := 0
		nonsense := func() string {
			asked++
			at := func(n int) time.Time { return epoch.Add(time.Duration(1000+n) * time.Hour) }
			return enginetest.Forks(enginetest.Fork{At: epoch.Add(-time.Minute), ID: "0x00000002"},
				enginetest.Fork{At: at(asked), ID: "0x00000003"},
				enginetest.Fork{At: at(asked + 5000), ID: "0x00000004"})
		}
		b := bubble.New(t, fakes{
			client(bubble.Healthy(), "GE", always(same)), client(bubble.Healthy(), "NM", always(same)),
			client(bubble.Speaker(11, "INVALID", good), "BU", always("")),
			client(bubble.Healthy(), "EG", nonsense),
		}, bubble.Options{Settings: liveRules})
		b.Run(func() {
			time.Sleep(3 * time.Second) // the bubble's clock
			if err := b.Fleet.Pool.Drain([]string{"n4"}, true); err != nil {
				t.Fatal(err)
			}
			b.Follow(1, 10)
			time.Sleep(time.Hour)
			if got, _ := b.Send(bubble.PayloadAt(11, time.Now())); got != "SYNCING" {
				t.Errorf("a fork was an hour ago, and the objector's configuration isn't known: got %s", got)
			}
		})
	})
}

// A dispute that begins before a fork and goes on after it: the configurations are those of the new fork on all nodes.
// An objector that has died since is believed to be as it was, but not beyond a fork.
func TestLiveAcrossAFork(t *testing.T) {
	for _, dies := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			fork := epoch.Add(20 * time.Minute)
			all := always(enginetest.Forks(enginetest.Fork{At: epoch.Add(-48 * time.Hour), ID: "0x00000001"},
				enginetest.Fork{At: fork, ID: "0x00000002"}))
			var gone atomic.Bool
			objector := bubble.Speaker(11, "INVALID", good)
			objector.Refuse = gone.Load
			b := bubble.New(t, fakes{
				client(bubble.Healthy(), "GE", all), client(bubble.Healthy(), "NM", all), client(objector, "BU", all),
			}, bubble.Options{Settings: liveRules})
			b.Run(func() {
				time.Sleep(3 * time.Second) // the bubble's clock
				b.Follow(1, 10)
				for n := 11; n < 25; n++ {
					gone.Store(dies && n > 12)
					want := "VALID"
					if dies && time.Now().After(fork) { // near a fork, and what it has now isn't known
						want = "SYNCING"
					}
					if n == 11 {
						time.Sleep(time.Until(fork.Add(-10 * time.Minute))) // so that the block is near the fork
					}
					got, _ := b.Send(bubble.PayloadAt(n, time.Now().Truncate(time.Second)))
					head, _ := b.Send(bubble.ForkchoiceCall(n))
					if got != want || head != want {
						t.Errorf("dies %v: block %d, %v before the fork: got %s and %s, want %s", dies, n,
							time.Until(fork), got, head, want)
					}
					time.Sleep(time.Minute)
				}
			})
		})
	}
}
