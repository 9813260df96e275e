package verdict_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"executionbackup/internal/bubble"
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
