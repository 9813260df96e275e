//go:build e2e

package live

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"executionbackup/internal/apptest"
)

// TestModes starts ExecutionBackup as one does who tries it: in shadow mode, before geths that have no peers.
func TestModes(t *testing.T) {
	if testing.Short() {
		t.Skip("part of the whole form only")
	}
	wantClients(t, "geth", "beacon-chain", "validator", "prysmctl")
	w := newWorld(t, 4*time.Second, 1, "geth", "geth", "geth").through(build(t), "mode: shadow", "shadow_node: g2")
	t.Run(modes.name, func(t *testing.T) { tell(t, w, modes) })
	if r := report.find(modes.name, false); 10*r.Attested < 9*r.Attesters {
		t.Errorf("%d of %d validators attested", r.Attested, r.Attesters)
	}
}

const shadowSlots = 32

// modes goes through all modes of one ExecutionBackup.
var modes = scenario{
	name: "shadow, then active, off and active", spotless: true,
	about: "Started in shadow mode: g2 alone answers for 32 slots, over the border to Fulu. Then active for 6 slots; " +
		"off for 10, in which g2 alone is asked, and g1 and g3 get nothing; and active again. Prysm must never be " +
		"optimistic.",
	play: func(r *run) {
		stop := r.watchOptimism()
		defer stop()
		begun := time.Now()
		r.before(shadowSlots)
		r.wantDecisions()
		r.eb.choose("active")
		r.during(6)
		fed := r.replays()
		r.eb.choose("off")
		r.during(10)
		r.wantBehind("g1", "g3")
		r.eb.choose("active")
		r.back("g1")
		r.back("g3")
		r.after(10)
		r.wantAnswers(begun, "VALID")
		r.wantOneHead()
		if fed = r.replays() - fed; fed < 2 {
			r.fail("nodes were brought up to the head %v times, want g1 and g3", fed)
		}
	},
}

// watchOptimism looks at Prysm until it is stopped: optimistic, it doesn't attest.
func (r *run) watchOptimism() (stop func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	seen, of := 0, 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(r.slot / 8); ; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				tick.Stop()
				return
			}
			if optimistic, err := r.cl.optimistic(); err == nil {
				of++
				if optimistic {
					seen++
				}
			}
		}
	}()
	return func() {
		cancel()
		<-done
		r.note("Prysm was optimistic at %d of %d looks at it", seen, of)
		if seen > 0 || of == 0 {
			r.fail("Prysm was optimistic at %d of %d looks at it", seen, of)
		}
	}
}

// wantDecisions notes a failure where we would have answered otherwise than the node that did. The first calls may
// differ: geths at genesis call themselves syncing until they get a forkchoice.
func (r *run) wantDecisions() {
	r.t.Helper()
	all := 0.
	for _, would := range []string{"VALID", "INVALID", "SYNCING", "error"} {
		for _, did := range []string{"VALID", "INVALID", "SYNCING", "error"} {
			n := r.decisions(would, did)
			all += n
			if n > 0 && (would == "INVALID" || did == "INVALID") {
				r.fail("in shadow mode %v × %s, where it would have been %s", n, did, would)
			}
		}
	}
	valid := r.decisions("VALID", "VALID")
	proposals := r.decisions("payload", "payload") + r.decisions("better_payload", "payload")
	text := fmt.Sprintf("in shadow mode %v of %v verdicts were VALID and would have been; %v payloads for proposals",
		valid, all, proposals)
	if r.note("%s", text); valid < 0.95*all || valid < 2*shadowSlots || proposals < shadowSlots {
		r.fail("%s", text)
	}
}

// decisions is how many calls in shadow mode were answered so, where they would have been answered so.
func (r *run) decisions(would, did string) float64 {
	return r.eb.Metric(r.t, fmt.Sprintf(`executionbackup_shadow_decisions_total{did=%q,would=%q}`, did, would))
}

// replays is how many times a node has been brought up to the head.
func (r *run) replays() float64 {
	return r.eb.Metric(r.t, `executionbackup_replays_total{outcome="success"}`)
}

// wantAnswers notes a failure where a newPayload since then was answered otherwise.
func (r *run) wantAnswers(since time.Time, want string) {
	for _, record := range r.eb.seen.between(since, time.Now()) {
		if record.Verdict == "" { // not yet
			continue
		}
		if record.Verdict != want || record.Did != "" && record.Did != want {
			r.fail("payload %d: the verdict is %s, in shadow mode the answer %q, want %s",
				record.Number, record.Verdict, record.Did, want)
		}
	}
}

// wantBehind notes a failure where nodes have the head of g2, though nobody told them.
func (r *run) wantBehind(names ...string) {
	r.t.Helper()
	head := r.head("g2")
	for _, name := range names {
		if had := r.head(name); had.Number+8 > head.Number {
			r.fail("%s has block %d of %d, though it gets none", name, had.Number, head.Number)
		}
	}
}

// wantOneHead waits until all nodes have the same head.
func (r *run) wantOneHead() {
	r.t.Helper()
	apptest.Try(r.t, 2*r.slot, func() error {
		var heads []latest
		for _, n := range r.nodes {
			heads = append(heads, r.head(n.name))
		}
		if heads[0] != heads[1] || heads[1] != heads[2] {
			return fmt.Errorf("one head: %v", heads)
		}
		return nil
	})
}

// latest is a node's head.
type latest struct {
	Number uint64
	Hash   string
}

func (r *run) head(name string) (head latest) {
	r.t.Helper()
	raw, err := r.node(name).ask(r.t.Context(), "eth_getBlockByNumber", "latest", false)
	var block struct{ Number, Hash string }
	if err == nil {
		err = json.Unmarshal(raw, &block)
	}
	if err == nil {
		_, err = fmt.Sscanf(block.Number, "0x%x", &head.Number)
	}
	if err != nil {
		r.t.Fatalf("the head of %s: %v", name, err)
	}
	head.Hash = block.Hash
	return head
}
