package verdict_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"executionbackup/internal/bubble"
	"executionbackup/internal/fleet"
	"executionbackup/internal/quorum"
	"executionbackup/internal/state"
)

// hung is a store on a disk that hangs: nothing that is put there is ever done.
func hung(t testing.TB) *state.File {
	return state.Open(filepath.Join(t.TempDir(), "state"), state.FileOptions{}) // which nobody runs
}

// A disk that hangs costs a call nothing where no node objects; an answer that rests on an objection or its end, or has
// a payload id, waits for 100 ms at most, and none does after that. A VALID over a dispute doesn't wait.
func TestHungDisk(t *testing.T) {
	const first = 5 // objected to
	for _, c := range []struct {
		name   string
		policy quorum.Policy
		calls  []string // what is called, what the CL hears, and how much later than without a store, in milliseconds
	}{
		{"nobody objects", quorum.Halt, []string{"P3 VALID 0", "F3 VALID 0", "P4 VALID 0", "F4 VALID 0"}},
		{"a dispute", quorum.Halt, []string{"P5 SYNCING 100", "F5 SYNCING 0", "P6 SYNCING 0", "P4 VALID 0"}},
		{"only afterwards", quorum.Halt, []string{"P3 VALID 0", "F3 VALID 0", "P5 SYNCING 100", "P6 SYNCING 0"}},
		{"a majority", quorum.Majority, []string{"P5 VALID 0", "F5 VALID 0", "P6 VALID 0"}},
		{"a build", quorum.Halt, []string{"P3 VALID 0", "B3 VALID 100", "B3 VALID 0", "P5 SYNCING 0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var times [2][]time.Duration
			for i := range times {
				synctest.Test(t, func(t *testing.T) {
					o := bubble.Options{Settings: func(s *fleet.Settings) { s.Rules.OnDispute = c.policy }}
					if i == 1 {
						o.State, o.Hung = hung(t), true
					}
					fakes := []*bubble.Fake{bubble.Speaker(first, "INVALID", 0), builder(1), builder(2), builder(3)}
					b := bubble.New(t, fakes, o)
					b.Run(func() {
						b.Follow(1, 2)
						for _, call := range c.calls {
							var kind byte
							var number, more int
							var want string
							fmt.Sscanf(call, "%c%d %s %d", &kind, &number, &want, &more)
							body := map[byte]func(int) []byte{
								'P': bubble.PayloadCall, 'F': bubble.ForkchoiceCall, 'B': bubble.BuildCall,
							}[kind](number)
							status, took := b.Send(body)
							if status != want {
								t.Errorf("%s: %s", call, status)
							}
							times[i] = append(times[i], took-time.Duration(i*more)*time.Millisecond)
						}
					})
				})
			}
			if got, want := fmt.Sprint(times[1]), fmt.Sprint(times[0]); got != want {
				t.Errorf("without the waits it takes %s, and %s without a store", got, want)
			}
		})
	}
}

// So does a VALID that the end of an objection makes possible.
func TestEndOnAHungDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := bubble.New(t, []*bubble.Fake{bubble.Speaker(3, "INVALID", 0), {}, {}}, bubble.Options{})
		first.Run(func() {
			first.Follow(1, 2)
			first.Send(bubble.PayloadCall(3))
		})
		second := bubble.New(t, []*bubble.Fake{{}, {}, {}}, bubble.Options{State: hung(t), Hung: true})
		second.Fleet.Restore(first.Fleet.Records())
		second.Run(func() {
			status, took := second.Send(bubble.ForkchoiceCall(3))
			if status != "VALID" || took != 100*time.Millisecond {
				t.Errorf("%s after %v", status, took)
			}
		})
	})
}

// builder is a fake that builds, and calls all VALID.
func builder(i int) *bubble.Fake {
	return &bubble.Fake{Answer: func(method string) (string, bool) {
		return fmt.Sprintf(`{"payloadStatus":{"status":"VALID","latestValidHash":null,"validationError":null},`+
			`"payloadId":"0x%016x"}`, i), method == "engine_forkchoiceUpdatedV1"
	}}
}

// Where nobody objects a call allocates nothing more with a store than without one. (And calls no system: here nobody
// runs the store, and nobody else does that for it.)
func TestStoreAllocatesNothing(t *testing.T) {
	if following < tableFollowing {
		t.Skip("the race detector allocates")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var allocations [2][2]uint64
	for i := range allocations {
		o := bubble.Options{}
		if i == 1 {
			o.State, o.Hung = hung(t), true
		}
		b := bubble.New(t, []*bubble.Fake{{}, {}, {}}, o)
		stop := b.Start()
		next := 3
		send := func(body []byte) {
			if status, _ := b.Send(body); status != "VALID" {
				t.Fatal(status)
			}
		}
		send(bubble.PayloadCall(1))
		send(bubble.PayloadCall(2))
		send(bubble.ForkchoiceCall(2))
		settle := func() { // what comes after the answer
			for runtime.NumGoroutine() > 20 {
				runtime.Gosched()
			}
		}
		for j, call := range []func(){
			func() { send(bubble.ForkchoiceCall(2)); settle() },
			func() { send(bubble.PayloadCall(next)); next++; settle() },
		} {
			allocations[i][j] = usualAllocations(call)
		}
		stop()
	}
	if allocations[0] != allocations[1] {
		t.Errorf("a forkchoiceUpdated and a newPayload allocate %v without a store, and %v with one",
			allocations[0], allocations[1])
	}
}

// usualAllocations is how many a call makes as a rule: maps and slices that grow make some more, now and then.
func usualAllocations(call func()) uint64 {
	var all []uint64
	for range 500 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		call()
		runtime.ReadMemStats(&after)
		all = append(all, after.Mallocs-before.Mallocs)
	}
	slices.Sort(all)
	return all[len(all)/2]
}
