package verdict_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
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

// client is a fake that runs a client and tells its forks, as forks returns them; "" where it doesn't have eth_config.
func client(f *bubble.Fake, code string, forks func() string) *bubble.Fake {
	f.Answer = func(method string) (string, bool) {
		switch method {
		case "engine_getClientVersionV1":
			return fmt.Sprintf(`[{"code":%q,"name":%q,"version":"1","commit":"00000000"}]`, code, code), true
		case "eth_config":
			return forks(), true
		}
		return "", false
	}
	f.Fail = func(method string) string {
		if method == "eth_config" && forks() == "" {
			return `{"code":-32601,"message":"what?"}`
		}
		return ""
	}
	return f
}

// mute has a fake leave eth_config unanswered while something holds.
func mute(f *bubble.Fake, holds func() bool) {
	delay := f.Delay
	f.Delay = func(method string, n int) time.Duration {
		if method == "eth_config" && holds() {
			return bubble.Forever
		}
		return delay(method, n)
	}
}

func always(forks string) func() string { return func() string { return forks } }

var genesis = enginetest.Fork{ID: "0x00000001"}

// A node that lacks the fork is shut out with the very payload with which the fork begins, so that it can't object to
// it. Without --fork-mismatch=exclude it gets that, and halts.
func TestMissedFork(t *testing.T) {
	for _, exclude := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			fork := epoch.Add(time.Minute)
			knows := always(enginetest.Forks(genesis, enginetest.Fork{At: fork, ID: "0x00000002"}))
			old := bubble.Healthy()
			old.Status = func(string, int) string {
				if time.Now().Before(fork) {
					return "VALID"
				}
				return "INVALID"
			}
			log := new(logged)
			b := bubble.New(t, fakes{
				client(bubble.Healthy(), "GE", knows), client(bubble.Healthy(), "NM", knows),
				client(old, "BU", always(enginetest.Forks(genesis))),
			}, bubble.Options{ExcludeMissed: exclude, Log: log.logger()})
			b.Run(func() {
				for n := 1; n <= 9; n++ { // the sixth has the fork's time
					at := epoch.Add(time.Duration(n-1) * 12 * time.Second)
					time.Sleep(time.Until(at)) // the bubble's clock
					want := "VALID"
					if n >= 6 && !exclude {
						want = "SYNCING"
					}
					got, _ := b.Send(bubble.PayloadAt(n, at))
					head, _ := b.Send(bubble.ForkchoiceCall(n))
					if got != want || head != want {
						t.Errorf("exclude %v: block %d: got %s and %s, want %s", exclude, n, got, head, want)
					}
				}
				seen := slices.Contains(old.Seen(), "P6")
				if seen == exclude || !slices.Contains(old.Seen(), "P5") {
					t.Errorf("exclude %v: the old node got %v", exclude, old.Seen())
				}
				s := b.Fleet.Pool.Nodes()[2].Status()
				if missed := strings.Contains(s.Reason, "missed a fork"); missed != exclude || s.WrongChain != exclude {
					t.Errorf("exclude %v: %v (%s)", exclude, s.State, s.Reason)
				}
			})
			if n := log.count("fork configuration differs"); n != 2 { // n3's next one, and then its present one
				t.Errorf("exclude %v: the difference was told %d times", exclude, n)
			}
			if n := log.count("a fork is near", "NOT READY"); n != 1 {
				t.Errorf("exclude %v: the fork was announced %d times", exclude, n)
			}
		})
	}
}

// A repaired node is let in again; its clock and that of the CL may differ a little, but no payload from later brings a
// fork about.
func TestMissedForkEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fork := epoch.Add(time.Minute)
		all := enginetest.Forks(genesis, enginetest.Fork{At: fork, ID: "0x00000002"})
		var repaired atomic.Bool
		old := client(bubble.Healthy(), "BU", func() string {
			if repaired.Load() {
				return all
			}
			return enginetest.Forks(genesis)
		})
		var down atomic.Bool
		old.Refuse = down.Load
		b := bubble.New(t, fakes{
			client(bubble.Healthy(), "GE", always(all)), client(bubble.Healthy(), "NM", always(all)), old,
		}, bubble.Options{ExcludeMissed: true})
		isOut := func() bool { s := b.Fleet.Pool.Nodes()[2].Status(); return s.WrongChain }
		b.Run(func() {
			time.Sleep(time.Until(fork.Add(-6 * time.Second))) // the bubble's clock
			b.Send(bubble.PayloadAt(1, fork))
			if isOut() {
				t.Error("a payload from 6 s later began the fork")
			}
			time.Sleep(3 * time.Second)
			b.Send(bubble.PayloadAt(2, fork))
			for range 7 { // also with the probes of the next three seconds
				if !isOut() {
					t.Error("the first payload of the fork, by a clock that is ahead by 3 s, didn't begin it")
				}
				time.Sleep(500 * ms)
			}
			time.Sleep(time.Minute)
			if !isOut() {
				t.Error("it is let in though it still lacks the fork")
			}
			down.Store(true)
			time.Sleep(5 * time.Second)
			repaired.Store(true)
			down.Store(false)
			time.Sleep(5 * time.Second)
			if s := b.Fleet.Pool.Nodes()[2].Status(); isOut() || !s.Reachable() {
				t.Errorf("repaired, it is %v: %s", s.State, s.Reason)
			}
		})
	})
}

// One client is wrong: the others go on, and so do they when the objector has died. Where configurations differ, or a
// fork is near and one isn't known, they halt; what is near is a matter of the block that the node objected to.
func TestLiveDispute(t *testing.T) {
	fork := epoch.Add(-23 * time.Hour)
	after := enginetest.Fork{At: fork, ID: "0x00000002"}
	same, none := enginetest.Forks(after), ""
	deposits := enginetest.Forks(enginetest.Fork{At: fork, ID: "0x00000002", Deposits: "0x" + strings.Repeat("12", 20)})
	long := enginetest.Forks(enginetest.Fork{At: fork.Add(-time.Hour - time.Minute), ID: "0x00000002"})
	next := enginetest.Forks(after, enginetest.Fork{At: epoch.Add(100 * time.Hour), ID: "0x00000003"})
	for _, c := range []struct {
		name          string
		forks         [3]string
		hears         string
		rule          string
		why           string
		change        func(*quorum.Rules)
		laterBlocksOf time.Duration // of the later ones; 0: right after the first
	}{
		{name: "one client is wrong", forks: [3]string{same, same, same}, hears: "VALID", rule: "live",
			why: "several implementations"},
		{name: "the present configurations differ", forks: [3]string{same, same, deposits}, hears: "SYNCING",
			rule: "live_configurations_differ", why: "n3: current.systemContracts: DEPOSIT_CONTRACT_ADDRESS 0x1212"},
		{name: "another one accepts", forks: [3]string{same, deposits, same}, hears: "SYNCING",
			rule: "live_configurations_differ", why: "n2: current"},
		{name: "one isn't known, near a fork", forks: [3]string{same, same, none}, hears: "SYNCING",
			rule: "live_configurations_unknown", why: "n3 hasn't told"},
		{name: "… later blocks aren't near it", forks: [3]string{same, same, none}, hears: "SYNCING",
			rule: "live_configurations_unknown", why: "n3 hasn't told", laterBlocksOf: 3 * time.Hour},
		{name: "one isn't known, long after a fork", forks: [3]string{long, long, none}, hears: "VALID", rule: "live",
			why: "several"},
		{name: "nobody tells when a fork was", forks: [3]string{none, none, none}, hears: "SYNCING",
			rule: "live_configurations_unknown", why: "n1 hasn't told its own; n2 hasn't"},
		{name: "only the next fork differs", forks: [3]string{same, same, next}, hears: "VALID", rule: "live",
			why: "several"},
		{name: "three implementations are needed", forks: [3]string{same, same, same}, hears: "SYNCING",
			rule: "live_few_implementations", why: "too few",
			change: func(r *quorum.Rules) { r.MinClients = 3 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := new(logged)
				var gone atomic.Bool
				objector := bubble.Speaker(11, "INVALID", good)
				objector.Refuse = gone.Load
				b := bubble.New(t, fakes{
					client(bubble.Healthy(), "GE", always(c.forks[0])),
					client(bubble.Healthy(), "NM", always(c.forks[1])),
					client(objector, "BU", always(c.forks[2])),
				}, bubble.Options{Log: log.logger(), Settings: func(s *fleet.Settings) {
					s.Rules.OnDispute, s.Rules.MinClients, s.ForkWindow = quorum.Live, 2, 24*time.Hour
					if c.change != nil {
						c.change(&s.Rules)
					}
				}})
				b.Run(func() {
					time.Sleep(3 * time.Second) // the bubble's clock: all have told their forks
					b.Follow(1, 10)
					for n := 11; n < 20; n++ {
						at := time.Now()
						if n > 11 {
							at = at.Add(c.laterBlocksOf)
						}
						gone.Store(n >= 16)
						got, took := b.Send(bubble.PayloadAt(n, at.Truncate(time.Second)))
						head, _ := b.Send(bubble.ForkchoiceCall(n))
						if got != c.hears || head != c.hears {
							t.Errorf("block %d: got %s and %s, want %s", n, got, head, c.hears)
						}
						if n < 16 && took != good {
							t.Errorf("block %d took %v", n, took)
						}
						time.Sleep(2 * time.Second)
					}
					d := b.Fleet.History.Disputes()
					if len(d) != 1 || d[0].Rule == "" || d[0].Why == "" { // also where it began with a late objection
						t.Errorf("disputes: %d, %+v", len(d), d[0].Record)
					}
					if n := b.Counted("executionbackup_dispute_rules_total", "rule", c.rule); n < 9 {
						t.Errorf("%s decided %v of 18 calls", c.rule, n) // others where a vote was missing
					}
				})
				if log.count("dispute: nodes disagree", "rule="+c.rule, c.why) == 0 {
					t.Errorf("the log:\n%s", log)
				}
			})
		})
	}
}

// The configurations of the fork differ, and the CL's clock is ahead of ours, be it by more than brings a fork about:
// they are compared as they are in the payload's slot.
func TestLiveDisputeByTheSlot(t *testing.T) {
	for _, ahead := range []time.Duration{2 * time.Second, 6 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			fork := epoch.Add(time.Minute)
			with := func(deposits string) func() string {
				next := enginetest.Fork{At: fork, ID: "0x00000002", Deposits: deposits}
				return always(enginetest.Forks(genesis, next))
			}
			b := bubble.New(t, fakes{
				client(bubble.Healthy(), "GE", with("")), client(bubble.Healthy(), "NM", with("")),
				client(bubble.Speaker(2, "INVALID", 0), "BU", with("0x"+strings.Repeat("12", 20))),
			}, bubble.Options{Settings: liveRules})
			b.Run(func() {
				time.Sleep(time.Until(fork.Add(-12*time.Second - ahead))) // the bubble's clock
				b.Send(bubble.PayloadAt(1, fork.Add(-12*time.Second)))
				time.Sleep(12 * time.Second)
				got, _ := b.Send(bubble.PayloadAt(2, fork))
				head, _ := b.Send(bubble.ForkchoiceCall(2))
				if got != "SYNCING" || head != "SYNCING" {
					t.Errorf("%v ahead: the first block of the fork: got %s and %s", ahead, got, head)
				}
			})
		})
	}
}

// Each node is asked for its forks at the start and every ten minutes, every minute in the hours around a fork, and on
// its return; one without the method on its return only.
func TestWhenForksAreAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fork := epoch.Add(3 * time.Hour)
		forks := enginetest.Forks(genesis, enginetest.Fork{At: fork, ID: "0x00000002"})
		var asked, without atomic.Int64
		counting := func(n *atomic.Int64, forks string) *bubble.Fake {
			f := client(bubble.Healthy(), "GE", always(forks))
			answer := f.Answer
			f.Answer = func(method string) (string, bool) {
				if method == "eth_config" {
					n.Add(1)
				}
				return answer(method)
			}
			return f
		}
		var down atomic.Bool
		lacks := counting(&without, "")
		lacks.Refuse = down.Load
		b := bubble.New(t, fakes{counting(&asked, forks), lacks}, bubble.Options{})
		b.Run(func() {
			before := int64(0)
			for _, c := range []struct {
				until    time.Duration
				min, max int64 // how often it is asked up to then
			}{
				{10 * time.Second, 1, 1},
				{time.Hour - time.Minute, 5, 5},
				{2*time.Hour - time.Minute, 5, 6},
				{2*time.Hour + 10*time.Second, 1, 1},
				{3 * time.Hour, 56, 60},
				{4 * time.Hour, 56, 60},
				{5 * time.Hour, 6, 7},
			} {
				time.Sleep(time.Until(epoch.Add(c.until))) // the bubble's clock
				if n := asked.Load() - before; n < c.min || n > c.max {
					t.Errorf("up to %v after the start it was asked %d times, want %d to %d", c.until, n, c.min, c.max)
				}
				before = asked.Load()
			}
			if n := without.Load(); n != 1 {
				t.Errorf("one without eth_config was asked %d times", n)
			}
			down.Store(true)
			time.Sleep(5 * time.Second)
			down.Store(false)
			time.Sleep(5 * time.Second)
			if n := without.Load(); n != 2 {
				t.Errorf("one without eth_config was asked %d times with its return", n)
			}
		})
	})
}

// The log tells seven days, a day and an hour before a fork who knows of it; at the start only what is nearest.
func TestForkIsAnnounced(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		left, watched time.Duration
		ready         bool // n2 knows the fork
		want          []string
	}{
		{8 * day, time.Minute, true, nil},
		{7*day + time.Minute, 5 * time.Minute, true, []string{"level=INFO in=168h"}},
		{day + time.Minute, 2 * time.Minute, false, []string{"level=ERROR in=24h1m", "level=ERROR in=24h0m"}},
		{3 * time.Hour, 10 * time.Minute, true, []string{"level=INFO in=3h"}},
		{time.Hour + time.Minute, 5 * time.Minute, false, []string{"level=ERROR in=1h1m", "level=ERROR in=1h0m"}},
		{time.Minute, 5 * time.Minute, true, []string{"level=INFO in=1m"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			knows := enginetest.Forks(genesis, enginetest.Fork{At: epoch.Add(c.left), ID: "0x00000002"})
			other := knows
			if !c.ready {
				other = enginetest.Forks(genesis)
			}
			log := new(logged)
			b := bubble.New(t, fakes{
				client(bubble.Healthy(), "GE", always(knows)), client(bubble.Healthy(), "NM", always(other)),
				client(bubble.Healthy(), "BU", always("")),
			}, bubble.Options{Log: log.logger()})
			b.Run(func() { time.Sleep(c.watched) }) // the bubble's clock
			var got []string
			for line := range strings.Lines(log.String()) {
				if !strings.Contains(line, "a fork is near") {
					continue
				}
				n2 := "NM/1: ready"
				if !c.ready {
					n2 = "NM/1: NOT READY: it knows of no next fork"
				}
				for _, word := range []string{"GE/1: ready", n2, "BU/1: unknown: what?", "fork_id=0x00000002"} {
					if !strings.Contains(line, word) {
						t.Errorf("%v before: %q isn't in %s", c.left, word, line)
					}
				}
				got = append(got, line)
			}
			for i, want := range c.want {
				level, left, _ := strings.Cut(want, " ")
				if i >= len(got) || !strings.Contains(got[i], level) || !strings.Contains(got[i], left) {
					t.Errorf("%v before: got %q, want %q", c.left, got, c.want)
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("%v before: got %q, want %q", c.left, got, c.want)
			}
		})
	}
}

// logged keeps what is logged.
type logged struct {
	lines bytes.Buffer
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(&l.lines, nil)) }

// String is all that was logged.
func (l *logged) String() string { return l.lines.String() }

// count returns how many lines have all the texts.
func (l *logged) count(texts ...string) (n int) {
	for line := range strings.Lines(l.String()) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			n++
		}
	}
	return n
}

// A node that missed a fork isn't let in again with the next one, which it knows: it can't follow. Nor is it while the
// others, asked when the fork is due, tell of the one before, because its first block is late.
func TestNextForkIsNoRepair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := epoch.Add(time.Minute), epoch.Add(2*time.Minute)
		known := []enginetest.Fork{genesis, {At: first, ID: "0x00000002"}, {At: second, ID: "0x00000003"}}
		all := func() string {
			now := 0
			for now+1 < len(known) && time.Since(known[now+1].At) >= 13*time.Second {
				now++
			}
			return enginetest.Forks(known[now], known[now+1:]...)
		}
		lacking := enginetest.Forks(genesis, enginetest.Fork{At: second, ID: "0x0000000c"})
		old := bubble.Healthy()
		old.Status = func(string, int) string {
			if time.Now().Before(first) {
				return "VALID"
			}
			return "INVALID"
		}
		b := bubble.New(t, fakes{
			client(bubble.Healthy(), "GE", all), client(bubble.Healthy(), "NM", all),
			client(old, "BU", always(lacking)),
		}, bubble.Options{ExcludeMissed: true})
		b.Run(func() {
			for n := 1; n <= 20; n++ { // the eleventh has the time of the second fork
				at := epoch.Add(time.Duration(n-1) * 12 * time.Second)
				time.Sleep(time.Until(at)) // the bubble's clock
				if got, _ := b.Send(bubble.PayloadAt(n, at)); got != "VALID" {
					t.Errorf("block %d: got %s", n, got)
				}
			}
			if seen := old.Seen(); !slices.Equal(seen, []string{"P1", "P2", "P3", "P4", "P5"}) {
				t.Errorf("the old node got %v", seen)
			}
		})
	})
}

// A node is asked each minute from an hour before a fork, also where it is the first to tell of that.
func TestAskedOftenBeforeAFork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near := enginetest.Forks(genesis, enginetest.Fork{At: epoch.Add(30 * time.Minute), ID: "0x00000002"})
		asked := 0
		node := bubble.Healthy()
		node.Answer = func(method string) (string, bool) {
			if method != "eth_config" {
				return "", false
			}
			asked++
			return near, true
		}
		b := bubble.New(t, fakes{node}, bubble.Options{})
		b.Run(func() {
			time.Sleep(5*time.Minute + 30*time.Second) // the bubble's clock
		})
		if asked != 6 {
			t.Errorf("it was asked %d times in five minutes and a half, want 6", asked)
		}
	})
}
