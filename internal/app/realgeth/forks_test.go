package realgeth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core"

	"executionbackup/internal/admin"
	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/forks"
	"executionbackup/internal/geth"
)

// scheduled is the beginning of a chain that is in Osaka, with forks to come; 0 is never. Its hash doesn't depend on
// them.
func scheduled(genesis, bpo1, amsterdam uint64) *core.Genesis {
	at := func(time uint64) *uint64 {
		if time == 0 {
			return nil
		}
		return &time
	}
	g := geth.Genesis(geth.Schedule{
		Shanghai: new(uint64), Cancun: new(uint64), Prague: new(uint64), Osaka: new(uint64),
		BPO1: at(bpo1), Amsterdam: at(amsterdam),
	})
	g.Timestamp = genesis
	// So much that it falls by the target with each block without blobs: who has another target has another header.
	g.ExcessBlobGas = new(uint64(200_000_000))
	return g
}

// Of three geths with one genesis hash one lacks the next fork. That is told soon after our start, and after each
// return of that node, until it has been repaired.
func TestForkDifference(t *testing.T) {
	amsterdam := uint64(time.Now().Add(3 * time.Hour).Unix())
	full, old := scheduled(0, 0, amsterdam), scheduled(0, 0, 0)
	if full.ToBlock().Hash() != old.ToBlock().Hash() {
		t.Fatal("the genesis hashes differ")
	}
	nodes := geths(t, full, 2)
	nodes = append(nodes, startGeth(t, geth.Config{Genesis: old}))
	proxy := enginetest.Proxy(t, nodes[2].AuthURL(), nodeSecret[:]) // it counts
	begun, asked := time.Now(), 0
	m := start(t, []string{nodes[0].AuthURL(), nodes[1].AuthURL(), proxy.URL})
	differs := func(want float64) {
		t.Helper()
		apptest.Within(t, 15*time.Second-time.Since(begun), "g3 is asked", func() bool {
			return len(proxy.CallsOf("eth_config")) > asked
		})
		apptest.Try(t, 15*time.Second-time.Since(begun), func() error {
			all := m.Metric(t, "executionbackup_fork_config_difference")
			next := m.Metric(t, `executionbackup_fork_config_difference{field="next",node="g3"}`)
			if all != want || next != want {
				return fmt.Errorf("%v differences, %v of them in the next fork of g3; want %v", all, next, want)
			}
			return nil
		})
		t.Logf("%v differences %v after the start", want, time.Since(begun).Round(time.Millisecond))
		var all admin.Forks
		m.Get(t, "/forks", &all)
		for i, node := range all.Nodes {
			lacks := i == 2 && want > 0
			if node.Ready == nil || *node.Ready == lacks || (len(node.Differences) > 0) != lacks {
				t.Errorf("GET /forks: %s: %+v", node.Node, node.Readiness)
			}
		}
	}
	told := func() []string { return m.Log.Lines("level=ERROR", "fork configuration differs", "node=g3") }

	differs(1)
	m.Log.Wait(t, "level=ERROR", "fork configuration differs", "node=g3", "no next fork",
		time.Unix(int64(amsterdam), 0).UTC().Format("2006-01-02 15:04:05 UTC"), "in 2 hours")

	restart := func(genesis *core.Genesis) {
		t.Helper()
		stop(t, nodes[2])
		m.Recheck(t)
		if got := m.Node(t, "g3"); got.State != "dead" {
			t.Fatalf("%+v, want it dead", got)
		}
		config := nodes[2].Config()
		config.Genesis = genesis
		asked = len(proxy.CallsOf("eth_config"))
		nodes[2] = startGeth(t, config)
		begun = time.Now()
	}
	restart(old)
	differs(1)
	restart(full)
	differs(0)
	m.Log.Wait(t, "fork configuration differs no longer", "node=g3")
	if lines := told(); len(lines) != 1 {
		t.Errorf("it was told %d times, want once: %q", len(lines), lines)
	}
	if lines := m.Log.Lines("fork configuration differs"); len(lines) != 2 {
		t.Errorf("it was told of others than g3: %q", lines)
	}
	restart(old)
	differs(1)
	apptest.Until(t, "the new difference is logged", func() bool { return len(told()) == 2 })
}

// crossing is a chain of a block each second that comes to two forks while its nodes run: three geths, of which g3
// doesn't know of one of them.
type crossing struct {
	m            *multiplexer
	g1           geth.Call
	nodes        []*geth.Node
	proxy        *enginetest.Node // before g3
	ours, theirs *geth.Producer   // over the multiplexer; with g1 alone

	forks     [2]uint64 // when they are activated, in seconds: BPO1 and Amsterdam
	lacked    uint64    // the one of them that g3 doesn't know of
	firstOurs bool      // we propose its first block, and every second one before and after it
}

// slotsBetween are those from the first fork to the second.
const slotsBetween = 6

// startCrossing starts a chain that is in Osaka, and of which g3 lacks BPO1 or Amsterdam. On a busy machine it takes
// some seconds to start the nodes, and the time of a fork must be known before: where too little is left of that it
// starts others.
func startCrossing(t *testing.T, lacks, mismatch string, firstOurs bool) *crossing {
	t.Helper()
	for lead := uint64(8); ; lead *= 2 {
		bpo1 := uint64(time.Now().Unix()) + lead
		c := newCrossing(t, bpo1, lacks, mismatch)
		if left := time.Until(time.Unix(int64(bpo1), 0)); left > 3*time.Second {
			c.firstOurs = firstOurs
			return c
		}
		c.m.Stop()
		for _, node := range c.nodes {
			stop(t, node)
		}
	}
}

func newCrossing(t *testing.T, bpo1 uint64, lacks, mismatch string) *crossing {
	t.Helper()
	genesis, amsterdam := uint64(time.Now().Unix()), bpo1+slotsBetween
	c := &crossing{forks: [2]uint64{bpo1, amsterdam}, lacked: bpo1}
	full, old := scheduled(genesis, bpo1, amsterdam), scheduled(genesis, 0, amsterdam)
	if lacks == "Amsterdam" {
		c.lacked, old = amsterdam, scheduled(genesis, bpo1, 0)
	}
	c.nodes = append(geths(t, full, 2), startGeth(t, geth.Config{Genesis: old}))
	c.g1 = dial(t, c.nodes[0].AuthURL(), nodeSecret)
	c.proxy = enginetest.Proxy(t, c.nodes[2].AuthURL(), nodeSecret[:])
	c.m = startWith(t, []string{c.nodes[0].AuthURL(), c.nodes[1].AuthURL(), c.proxy.URL},
		map[string]string{"fork-mismatch": mismatch})
	for producer, call := range map[**geth.Producer]geth.Call{&c.ours: c.m.call, &c.theirs: c.g1} {
		var err error
		if *producer, err = geth.NewProducer(t.Context(), full.Config, call); err != nil {
			t.Fatal(err)
		}
	}
	c.m.Log.Wait(t, "fork configuration differs", "node=g3")
	return c
}

// at returns the times of the present fork and of the next one; 0 for genesis, and where none comes.
func (c *crossing) at(slot uint64) (present, next uint64) {
	for _, fork := range c.forks {
		if slot < fork {
			return present, fork
		}
		present = fork
	}
	return present, 0
}

// produce waits for a slot and brings its block, which is ours or another validator's, in the versions of its fork. An
// error says that there was no payload for us, or a status other than VALID.
//
// What geth 1.17.10 says of its forks goes by its head: at the time of a fork, and until the fork's first block is the
// head, it tells of the one before, and with that block of the new one. (The genesis fork's time is 0, though the
// genesis block has a later one; next and last are the same fork where one is to come, and null where none is.) So what
// it said after the block before is what must tell who missed a fork.
func (c *crossing) produce(t *testing.T, slot uint64) error {
	t.Helper()
	begins, read, said := time.Unix(int64(slot), 0), time.Now(), c.said(t)
	<-time.After(time.Until(begins))
	present, next := c.at(slot)
	if got := said.At(begins, read).Current.Activation; got != present && read.Before(begins) {
		t.Errorf("slot %d: geth's fork is of %d by what it said in the slot before, want %d", slot, got, present)
	}
	if got := c.said(t); got != said {
		t.Errorf("slot %d: without a new block geth says %+v, before it was %+v", slot, got, said)
	}
	producer := c.theirs
	if (slot-c.lacked)%2 == 0 == c.firstOurs {
		producer = c.ours
	}
	block, err := producer.Build(t.Context(), geth.Order{Timestamp: slot})
	if err != nil {
		return err
	}
	if err := block.Import(t.Context(), c.m.call, common.Hash{}, common.Hash{}); err != nil {
		return err
	}
	c.ours.Head, c.theirs.Head = block, block
	last := next
	if next > 0 {
		last = c.forks[1]
	}
	said = c.said(t)
	if said.Current.Activation != present || said.Next.Activation != next || said.Last.Activation != last {
		t.Errorf("slot %d: geth says %+v, want the fork of %d and then that of %d", slot, said, present, next)
	}
	c.wantCountdown(t, slot, said.Next)
	return nil
}

// said is what g1 says of its forks when it is asked directly.
func (c *crossing) said(t *testing.T) forks.Config {
	t.Helper()
	raw, err := c.g1(t.Context(), "eth_config")
	if err != nil {
		t.Fatal(err)
	}
	config, err := forks.Read(raw)
	if err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return config
}

// wantCountdown checks what the metrics tell of the next fork after the block of a slot.
func (c *crossing) wantCountdown(t *testing.T, slot uint64, next forks.Entry) {
	t.Helper()
	if next.State != forks.Known {
		if got := c.m.Metric(t, "executionbackup_next_fork_info"); got != 0 {
			t.Errorf("slot %d: there are %v next forks, want none", slot, got)
		}
		return
	}
	begins := time.Unix(int64(next.Activation), 0)
	most := time.Until(begins)
	left := c.m.Metric(t, "executionbackup_next_fork_seconds")
	known := c.m.Metric(t, fmt.Sprintf("executionbackup_next_fork_info{fork_id=%q}", next.ForkID))
	var ready []float64
	for i := range c.nodes {
		ready = append(ready, c.m.Metric(t, fmt.Sprintf("executionbackup_node_fork_ready{node=%q}", name(i))))
	}
	least := time.Until(begins)
	if least < 0 {
		return // the block was so late that the next fork has begun
	}
	if left < least.Seconds() || left > most.Seconds() || known != 1 {
		t.Errorf("slot %d: the next fork is in %v s, and it is the right one: %v; want %v to %v",
			slot, left, known == 1, least, most)
	}
	want := []float64{1, 1, 1}
	if next.Activation >= c.lacked {
		want[2] = 0 // who lacks the first has another fork id from then on
	}
	if !slices.Equal(ready, want) {
		t.Errorf("slot %d: the nodes are ready for the next fork: %v, want %v", slot, ready, want)
	}
}

// Three geths cross a blob-parameter fork and Amsterdam, while we propose every second block. One of them lacks one of
// the forks. Shut out from then on, it costs nothing. Otherwise it depends on the fork what it says: of methods that
// are new to it an error, which is no vote; of blocks that look as before INVALID, and the CL hears SYNCING.
func TestForkCrossing(t *testing.T) {
	for _, test := range []struct {
		lacks, mismatch string
		firstOurs       bool
		said            string // by g3 of the first block of the fork
		state           string // of g3 after it
		dispute         bool
	}{
		{"Amsterdam", "exclude", false, "dead", "dead", false},
		{"Amsterdam", "warn", true, "Unsupported fork (-38005)", "syncing", false},
		{"BPO1", "exclude", true, "dead", "dead", false},
		{"BPO1", "warn", false, "INVALID", "alive", true},
	} {
		t.Run(test.lacks+", "+test.mismatch, func(t *testing.T) {
			t.Parallel()
			c := startCrossing(t, test.lacks, test.mismatch, test.firstOurs)
			slot := uint64(time.Now().Unix()) + 1
			for ; slot < c.lacked; slot++ {
				if err := c.produce(t, slot); err != nil {
					t.Fatalf("slot %d, before the fork: %v", slot, err)
				}
			}
			if got := c.m.Node(t, "g3"); got.State != "alive" && uint64(time.Now().Unix()) < c.lacked {
				t.Errorf("%+v, want it alive before the fork", got)
			}
			missed := "" // its id
			for ; slot < c.forks[1]+3; slot++ {
				err := c.produce(t, slot)
				if slot == c.lacked {
					missed = c.said(t).Current.ForkID
				}
				c.wantWord(t, test.said, test.dispute)
				apptest.Until(t, "g3 becomes "+test.state, func() bool { return c.m.Node(t, "g3").State == test.state })
				if test.dispute {
					var answer *geth.StatusError
					if !errors.As(err, &answer) || answer.Status.Status != "SYNCING" {
						t.Errorf("slot %d: %v, want SYNCING", slot, err)
					}
					return
				}
				if err != nil {
					t.Fatalf("slot %d: %v", slot, err)
				}
			}
			wantHead(t, c.nodes[:2], c.ours.Head.Hash)
			if lines := c.m.Log.Lines("dispute"); len(lines) > 0 {
				t.Errorf("there was a dispute: %q", lines)
			}
			if test.mismatch == "exclude" {
				c.wantShutOut(t, missed)
			}
		})
	}
}

// wantWord fails the test unless this comes to be what g3 said of the last payload. Nobody waits for a node that is
// syncing.
func (c *crossing) wantWord(t *testing.T, said string, dispute bool) {
	t.Helper()
	apptest.Try(t, apptest.Patience, func() error {
		last := c.m.last(t)
		if last.Dispute != dispute || last.Votes[2].Status != said {
			return fmt.Errorf("the record is %+v, want that g3 said %q, and a dispute: %v", last, said, dispute)
		}
		return nil
	})
}

// wantShutOut fails the test unless it is said which fork g3 missed, and it never got a payload from then on.
func (c *crossing) wantShutOut(t *testing.T, forkID string) {
	t.Helper()
	got := c.m.Node(t, "g3")
	if !strings.Contains(got.Reason, "missed a fork") || !strings.Contains(got.Reason, forkID) {
		t.Errorf("%+v, want that it missed the fork with the id %s", got, forkID)
	}
	calls := c.proxy.CallsOf("engine_newPayload")
	for _, call := range calls {
		var params []json.RawMessage
		var payload struct{ Timestamp hexutil.Uint64 }
		if err := json.Unmarshal(call.Params, &params); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(params[0], &payload); err != nil {
			t.Fatal(err)
		}
		if uint64(payload.Timestamp) >= c.lacked {
			t.Errorf("g3 got %s of slot %d, the fork is of %d", call.Method, payload.Timestamp, c.lacked)
		}
	}
	if len(calls) == 0 {
		t.Error("g3 got no payload at all")
	}
}
