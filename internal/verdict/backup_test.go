package verdict_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"executionbackup/internal/bubble"
	"executionbackup/internal/config"
)

// withBackup runs a test with the nodes, of which the last is a backup.
func withBackup(t *testing.T, nodes fakes, test func(b *bubble.Bubble)) {
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, nodes, bubble.Options{Backup: len(nodes)})
		b.Run(func() { test(b) })
	})
}

// A backup is never waited for, however slow, while another is alive and timely, and gets every call in order. When the
// other dies it votes at once; when that comes back and has answered in time, the backup rests again.
func TestBackupTakesOver(t *testing.T) {
	const slowness = 200 * ms
	from, to := epoch.Add(21*time.Second), epoch.Add(39*time.Second)
	dies := bubble.Healthy()
	dies.Refuse = func() bool { return time.Now().After(from) && time.Now().Before(to) }
	backup := takes(slowness)
	withBackup(t, fakes{dies, backup}, func(b *bubble.Bubble) {
		for i, s := range b.Follow(1, 40) {
			down := i >= 11 && i < 20
			switch {
			case s.NewPayload != "VALID" || s.Forkchoice != "VALID":
				t.Errorf("block %d: %+v", i+1, s)
			case down && s.Took != slowness:
				t.Errorf("block %d took %v while the backup alone votes", i+1, s.Took)
			case !down && (i < 20 || i > 21) && s.Took != good:
				t.Errorf("block %d took %v while the backup rests", i+1, s.Took)
			}
		}
		time.Sleep(time.Minute) // the bubble's clock
		var want []string
		for i := 1; i <= 40; i++ {
			want = append(want, fmt.Sprint("P", i), fmt.Sprint("F", i))
		}
		if seen := backup.Seen(); !slices.Equal(seen, want) {
			t.Errorf("the backup got %v", seen)
		}
	})
}

// Where the only voter hangs in mid-call, the backup answers as soon as that shows, and not a timeout later.
func TestBackupTakesOverInMidCall(t *testing.T) {
	hung := epoch.Add(21 * time.Second)
	hangs := &bubble.Fake{Delay: func(string, int) time.Duration {
		if time.Now().After(hung) {
			return bubble.Forever
		}
		return 0
	}}
	withBackup(t, fakes{hangs, takes(20 * ms)}, func(b *bubble.Bubble) {
		for i, s := range b.Follow(1, 20) {
			if s.NewPayload != "VALID" || s.Forkchoice != "VALID" || s.Took > 4*time.Second {
				t.Errorf("block %d: %+v", i+1, s) // a probe shows within three seconds that a node hangs
			}
		}
	})
}

// A backup's INVALID is no vote while it rests, but is known, and told as an objection; and it votes when the backup
// does, until the backup takes it back.
func TestBackupObjects(t *testing.T) {
	for _, took := range []time.Duration{10 * ms, 40 * ms} { // before the consensus client has its answer, and after
		testBackupObjects(t, took)
	}
}

func testBackupObjects(t *testing.T, took time.Duration) {
	from, to := epoch.Add(21*time.Second), epoch.Add(29*time.Second)
	dies := bubble.Healthy()
	dies.Refuse = func() bool { return time.Now().After(from) && time.Now().Before(to) }
	backup := takes(took)
	backup.Status = func(_ string, n int) string {
		switch {
		case n == 5:
			return "INVALID"
		case n > 5:
			return "SYNCING" // as clients do that have forgotten
		}
		return "VALID"
	}
	withBackup(t, fakes{dies, backup}, func(b *bubble.Bubble) {
		slots := b.Follow(1, 14)
		for i, s := range slots {
			want := "VALID"
			if i >= 11 {
				want = "SYNCING" // what it objected to stands again
			}
			if s.NewPayload != want || s.Forkchoice != want {
				t.Errorf("block %d: %+v, want %s", i+1, s, want)
			}
		}
		if n := b.Fleet.Memory.Objections(b.Fleet.Pool.Nodes()[1].ID); n != 1 {
			t.Errorf("it objects to %d blocks, want 1", n)
		}
		records := b.Fleet.History.Records()
		if r := records[4]; !r.Late || r.Dispute || r.Verdict != "VALID" {
			t.Errorf("block 5 is shown as %+v", r)
		}
	})
}

// The lone voter's INVALID isn't passed on unless the backup says so, too; for that it is waited for.
func TestBackupSeconds(t *testing.T) {
	for _, c := range []struct {
		backup string
		after  time.Duration
		want   string
		took   time.Duration
	}{
		{"INVALID", 2 * time.Second, "INVALID", 2 * time.Second},
		{"VALID", 2 * time.Second, "SYNCING", 2 * time.Second},
		{"SYNCING", 100 * ms, "SYNCING", 100 * ms},
		{"VALID", bubble.Forever, "SYNCING", 5500 * ms}, // newPayloadV5 and later
	} {
		voter := bubble.Speaker(4, "INVALID", 20*ms)
		backup := bubble.Speaker(4, c.backup, c.after)
		withBackup(t, fakes{voter, backup}, func(b *bubble.Bubble) {
			b.Follow(1, 3)
			if status, took := b.Send(bubble.PayloadCall(4)); status != c.want || took != c.took {
				t.Errorf("the backup says %s after %v: %s after %v, want %s after %v", c.backup, c.after, status, took,
					c.want, c.took)
			}
		})
	}
}

// A backup isn't asked for what one node can answer, nor for blobs and bodies.
func TestBackupServesNothing(t *testing.T) {
	var asked sync.Map
	backup := &bubble.Fake{Answer: func(method string) (string, bool) {
		asked.Store(method, true)
		return "", false
	}}
	withBackup(t, fakes{bubble.Healthy(), bubble.Healthy(), backup}, func(b *bubble.Bubble) {
		b.Follow(1, 3)
		for _, call := range []string{"getBlobsV1", "getBlobsV2", "getPayloadBodiesByHashV1"} {
			b.Get(call, fmt.Sprintf(`[[%q]]`, bubble.Hash(1)))
		}
		time.Sleep(time.Second)
		for method := range asked.Range {
			name := method.(string)
			if strings.HasPrefix(name, "engine_getBlobs") || strings.HasPrefix(name, "engine_getPayloadBodies") {
				t.Errorf("the backup was asked %s", name)
			}
		}
	})
}

// A lone voter that lacks what the backup has is behind, and then the backup votes.
func TestBackupBesideAVoterThatFellBehind(t *testing.T) {
	voter := bubble.Speaker(4, "SYNCING", 20*ms)
	withBackup(t, fakes{voter, takes(20 * ms)}, func(b *bubble.Bubble) {
		slots := b.Follow(1, 40)
		state := b.Fleet.Pool.Nodes()[0].Status().State
		if last := slots[39]; last.NewPayload != "VALID" || last.Forkchoice != "VALID" {
			t.Errorf("36 blocks after the voter fell behind: %+v; it is %v", last, state)
		}
	})
}

// A voter that answers with errors, because its disk is full, say, has no vote to give: the backup has.
func TestBackupBesideAVoterThatErrs(t *testing.T) {
	var broken atomic.Bool
	voter := bubble.Healthy()
	voter.Fail = func(method string) string {
		if broken.Load() && strings.HasPrefix(method, "engine_") {
			return `{"code":-32603,"message":"no space left on device"}`
		}
		return ""
	}
	withBackup(t, fakes{voter, takes(20 * ms)}, func(b *bubble.Bubble) {
		b.Follow(1, 3)
		broken.Store(true)
		for n := 4; n < 8; n++ {
			answer := string(b.Post(context.Background(), bubble.PayloadCall(n)))
			if !strings.Contains(answer, `"VALID"`) {
				t.Errorf("block %d: %s", n, answer)
			}
		}
	})
}

// A voter that takes probes but hangs on payloads costs its time once, and then the backup has the vote.
func TestBackupBesideAVoterThatHangsOnPayloads(t *testing.T) {
	var hang atomic.Bool
	voter := &bubble.Fake{Delay: func(method string, _ int) time.Duration {
		if hang.Load() && method != "eth_syncing" && strings.HasPrefix(method, "engine_") {
			return bubble.Forever
		}
		return 0
	}}
	withBackup(t, fakes{voter, takes(20 * ms)}, func(b *bubble.Bubble) {
		b.Follow(1, 3)
		hang.Store(true)
		for i, s := range b.Follow(4, 6) {
			if s.NewPayload != "VALID" || s.Forkchoice != "VALID" || i > 1 && s.Took > good {
				t.Errorf("block %d: %+v though the backup said VALID after 20ms", i+4, s)
			}
		}
	})
}

// A backup that hangs, and whose INVALID would be the second, becomes a laggard like a voter.
func TestHungBackupBesideAnObjector(t *testing.T) {
	voter := bubble.Speaker(4, "INVALID", 20*ms)
	backup := bubble.Speaker(4, "VALID", bubble.Forever)
	backup.Delay = func(method string, n int) time.Duration {
		if n >= 4 && method != "eth_syncing" && strings.HasPrefix(method, "engine_") {
			return bubble.Forever
		}
		return 0
	}
	withBackup(t, fakes{voter, backup}, func(b *bubble.Bubble) {
		slots := b.Follow(1, 20)
		for i, s := range slots[5:] {
			if s.Took > 3*grace || s.ForkchoiceTook > 3*grace {
				t.Errorf("block %d: %+v", i+6, s)
				break
			}
		}
	})
}

// A lone voter that comes back from a crash and calls valid blocks INVALID, as restarted clients do, has no vote while
// the backup has proved itself: so that votes.
func TestBackupBesideARestartedVoterThatObjects(t *testing.T) {
	from, to := epoch.Add(21*time.Second), epoch.Add(29*time.Second)
	voter := bubble.Healthy()
	voter.Refuse = func() bool { return time.Now().After(from) && time.Now().Before(to) }
	voter.Status = func(_ string, n int) string {
		if n > 12 {
			return "INVALID"
		}
		return "VALID"
	}
	withBackup(t, fakes{voter, takes(20 * ms)}, func(b *bubble.Bubble) {
		slots := b.Follow(1, 40)
		if last := slots[39]; last.NewPayload != "VALID" {
			t.Errorf("25 blocks after the voter's return: %+v; it is %v", last, b.Fleet.Pool.Nodes()[0].Status().State)
		}
	})
}

// Reloads that make nodes backups and end that, drain and undrain them, while calls are under way: every answer is
// VALID, and none hangs.
func TestBackupsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := fakes{takes(20 * ms), takes(60 * ms), takes(100 * ms)}
		b := bubble.New(t, nodes, bubble.Options{Backup: 3})
		b.Run(func() {
			b.Follow(1, 3)
			var stop atomic.Bool
			var operator sync.WaitGroup
			random := rand.New(rand.NewPCG(1, 2))
			operator.Go(func() {
				for i := 0; !stop.Load(); i++ {
					specs := []config.Node{bubble.Spec(t, 1), bubble.Spec(t, 2), bubble.Spec(t, 3)}
					for j := range specs {
						specs[j].Backup = random.IntN(2) == 0
					}
					b.Fleet.Pool.Reload(specs)
					_ = b.Fleet.Pool.Drain([]string{specs[random.IntN(3)].Name}, random.IntN(2) == 0)
					time.Sleep(time.Duration(random.IntN(70)) * ms)
				}
			})
			for n := 4; n < 300; n++ {
				if status, took := b.Send(bubble.PayloadCall(n)); status != "VALID" || took > 5*time.Second {
					t.Errorf("block %d: %s after %v", n, status, took)
				}
				if status, took := b.Send(bubble.ForkchoiceCall(n)); status != "VALID" || took > 5*time.Second {
					t.Errorf("forkchoice %d: %s after %v", n, status, took)
				}
			}
			stop.Store(true)
			operator.Wait()
		})
	})
}

// Backups that rest call a block INVALID that every voter calls VALID: they can second an INVALID, and make none.
func TestBackupsAloneCondemnNothing(t *testing.T) {
	for _, c := range []struct{ voters, backups int }{{1, 2}, {2, 3}} {
		var heard []string
		for _, took := range []time.Duration{5 * ms, 40 * ms} {
			var nodes fakes
			for range c.voters {
				nodes = append(nodes, takes(20*ms))
			}
			for range c.backups {
				nodes = append(nodes, bubble.Speaker(4, "INVALID", took))
			}
			synctest.Test(t, func(t *testing.T) {
				b := bubble.New(t, nodes, bubble.Options{})
				b.Run(func() {
					var specs []config.Node
					for i := range nodes {
						specs = append(specs, bubble.Spec(t, i+1))
						specs[i].Backup = i >= c.voters
					}
					b.Fleet.Pool.Reload(specs)
					b.Follow(1, 3)
					status, _ := b.Send(bubble.PayloadCall(4))
					heard = append(heard, status)
				})
			})
		}
		if heard[0] == "INVALID" || heard[0] != heard[1] {
			t.Errorf("%d voters VALID, %d backups INVALID: %s where these are faster, %s where they are slower",
				c.voters, c.backups, heard[0], heard[1])
		}
	}
}

// The builder dies between forkchoiceUpdated and getPayload: the backup, which has an id for the same build, is asked.
func TestPayloadOfTheBackup(t *testing.T) {
	zero := bubble.Hash(0).Hex()
	payload := `{"executionPayload":{"blockHash":"` + zero + `","parentHash":"` + bubble.Hash(3).Hex() +
		`","prevRandao":"` + zero + `","feeRecipient":"` + zero[:42] + `",` +
		`"blockNumber":"0x4","timestamp":"0x64","transactions":[],"withdrawals":[]},` +
		`"blockValue":"0x1","blobsBundle":{"commitments":[],"proofs":[],"blobs":[]}}`
	answers := func(id string) func(string) (string, bool) {
		return func(method string) (string, bool) {
			switch {
			case strings.HasPrefix(method, "engine_forkchoiceUpdated"):
				return `{"payloadStatus":{"status":"VALID","latestValidHash":null,"validationError":null},` +
					`"payloadId":"` + id + `"}`, true
			case strings.HasPrefix(method, "engine_getPayload"):
				return payload, true
			}
			return "", false
		}
	}
	for _, backup := range []bool{false, true} {
		var down atomic.Bool
		first, second := takes(20*ms), takes(2*ms)
		first.Refuse = down.Load
		first.Answer, second.Answer = answers("0x1111111111111111"), answers("0x2222222222222222")
		synctest.Test(t, func(t *testing.T) {
			o := bubble.Options{}
			if backup {
				o.Backup = 2
			}
			b := bubble.New(t, fakes{first, second}, o)
			b.Run(func() {
				b.Follow(1, 3)
				attributes := `{"timestamp":"0x64","prevRandao":"` + zero + `","suggestedFeeRecipient":"` + zero[:42] +
					`","withdrawals":[],"parentBeaconBlockRoot":"` + zero + `"}`
				call := strings.Replace(string(bubble.ForkchoiceCall(3)), "},null]", "},"+attributes+"]", 1)
				answer := string(b.Post(context.Background(), []byte(call)))
				id := answer[strings.Index(answer, `"payloadId":"`)+13:][:18]
				down.Store(true)
				answer = string(b.Post(context.Background(),
					[]byte(`{"jsonrpc":"2.0","id":1,"method":"engine_getPayloadV3","params":["`+id+`"]}`)))
				if !strings.Contains(answer, "blockValue") {
					t.Errorf("second is a backup: %v: getPayload(%s): %s", backup, id, answer)
				}
			})
		})
	}
}
