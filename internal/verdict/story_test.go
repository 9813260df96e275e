package verdict_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/bubble"
	"executionbackup/internal/engine"
	"executionbackup/internal/enginejson"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/evidence"
	"executionbackup/internal/fleet"
	"executionbackup/internal/quorum"
)

// A story is an incident as a consensus client and an operator would have seen it from behind us: the slots before the
// block in dispute, that block, what follows, and the repair. It is played by fakes, at its own date, on a simulated
// clock. Blocks are counted from the one in dispute.
type story struct {
	block   int64     // the number of the block in dispute
	at      time.Time // when its slot began
	version int       // of newPayload
	follows int       // how many blocks there are before it; 3 where that is 0
	clients []*player

	chain  []enginetest.Payload
	right  []enginetest.Payload // beside the block in dispute, where that is really invalid
	places map[common.Hash]place
	late   time.Duration // how long after the others an INVALID to the block comes
	slow   time.Duration // and one to any that follows, too

	t *testing.T
	*bubble.Bubble
}

// place is where a block is: so many after the one in dispute, on the chain that begins with it or on the right one.
type place struct {
	n     int
	right bool
}

// word is what a client says to newPayload or forkchoiceUpdated. The zero word is VALID.
type word struct {
	status string
	latest string // latestValidHash; "" for null
	reason string // validationError; "" for null
}

// player is an execution client in a story.
type player struct {
	code, name, version string
	// forks is its eth_config at a time; nil where it doesn't have the method.
	forks func(now time.Time) string
	// says is what it says to the block in dispute, and to those that follow it, until it is repaired; nil for VALID.
	says func(s *story, n int, forkchoice bool) word
	// fixed is its version when it has been repaired, and then what it says; nil for VALID.
	fixed     string
	saysFixed func(s *story, n int, forkchoice bool) word

	story *story
	takes time.Duration // over a payload

	mu   sync.Mutex
	down bool
}

// restart stops the client, or starts it again, repaired.
func (c *player) restart(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down, c.says = down, c.saysFixed
	if c.fixed != "" {
		c.version = c.fixed
	}
}

// RoundTrip answers as an execution client does.
func (c *player) RoundTrip(r *http.Request) (*http.Response, error) {
	call, err := bubble.Received(r)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	down, says, version := c.down, c.says, c.version
	c.mu.Unlock()
	if down {
		return nil, bubble.ErrRefused
	}
	words, _ := enginejson.ReadCall(&call)
	result := `null`
	switch {
	case words.Method.Family == engine.NewPayload || words.Method.Family == engine.ForkchoiceUpdated:
		if result, err = c.status(r.Context(), words, says); err != nil {
			return nil, err
		}
	case string(call.Method) == "eth_syncing":
		result = `false`
	case string(call.Method) == "eth_chainId":
		result = `"0x1"`
	case string(call.Method) == "eth_getBlockByNumber" && bytes.Contains(call.Raw, []byte(`"0x0"`)):
		result = `{"hash":"` + enginetest.GenesisHash + `"}`
	case string(call.Method) == "engine_getClientVersionV1":
		result = fmt.Sprintf(`[{"code":%q,"name":%q,"version":%q,"commit":"01020304"}]`, c.code, c.name, version)
	case string(call.Method) == "eth_config" && c.forks != nil:
		result = c.forks(time.Now())
	case string(call.Method) == "eth_config":
		return bubble.Answer([]byte(`{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no such method"}}`)), nil
	}
	return bubble.Answer([]byte(`{"jsonrpc":"2.0","id":1,"result":` + result + `}`)), nil
}

// status is the result of newPayload or forkchoiceUpdated, when it is due.
func (c *player) status(
	ctx context.Context, call *engine.Call, says func(*story, int, bool) word,
) (result string, err error) {
	at, forkchoice := c.story.places[call.Block], call.Method.Family == engine.ForkchoiceUpdated
	said := word{}
	if says != nil && at.n >= 0 && !at.right {
		said = says(c.story, at.n, forkchoice)
	}
	takes := c.takes
	switch {
	case forkchoice:
		takes /= 10
	case said.status == "INVALID" && at.n == 0:
		takes += c.story.late + c.story.slow
	case said.status == "INVALID":
		takes += c.story.slow
	}
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if said.status == "" {
		said = word{status: "VALID", latest: call.Block.Hex()}
	}
	result = fmt.Sprintf(`{"status":%q,"latestValidHash":%s,"validationError":%s}`, said.status, quoted(said.latest),
		quoted(said.reason))
	if forkchoice {
		result = `{"payloadStatus":` + result + `,"payloadId":null}`
	}
	return result, nil
}

func quoted(s string) string {
	if s == "" {
		return "null"
	}
	raw, _ := json.Marshal(s)
	return string(raw)
}

// hash is that of a block, so many after the one in dispute.
func (s *story) hash(n int) string { return s.chain[s.follows+n].Hash() }

// rules are the policies that stories are played under, as an operator sets them.
var rules = []struct {
	name string
	set  func(*quorum.Rules)
}{
	{"halt", func(*quorum.Rules) {}},
	{"majority", func(r *quorum.Rules) { r.OnDispute = quorum.Majority }},
	{"majority, --vote-by=client", func(r *quorum.Rules) { r.OnDispute, r.ByClient = quorum.Majority, true }},
	{"live", func(r *quorum.Rules) { r.OnDispute = quorum.Live }},
}

// played is what is left of a story.
type played struct {
	log  string
	file *evidence.File // the only one; nil where there is none
}

// play plays a story behind us, with these rules.
func (s story) play(t *testing.T, set func(*quorum.Rules), do func(*story)) (p played) {
	if s.follows == 0 {
		s.follows = 3
	}
	s.draw()
	dir := t.TempDir()
	var logged bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		s.t = t
		time.Sleep(time.Until(s.slot(-s.follows).Add(-time.Second))) // the bubble's clock
		for i, c := range s.clients {
			c.story, c.takes = &s, time.Duration(20+10*i)*ms
			if c.says != nil { // it objects in time
				c.takes /= 4
			}
		}
		log := slog.New(slog.NewTextHandler(&logged, nil))
		kept := evidence.Open(dir, "test", prometheus.NewRegistry(), log)
		writing, stop := context.WithCancel(t.Context())
		var writer sync.WaitGroup
		writer.Go(func() { kept.Run(writing) })
		s.Bubble = bubble.New(t, s.clients, bubble.Options{Log: log, Evidence: kept, Settings: func(f *fleet.Settings) {
			f.ForkWindow, f.Rules.MinClients = 24*time.Hour, 2
			set(&f.Rules)
		}})
		s.Run(func() { do(&s) })
		stop()
		writer.Wait()
	})
	files, err := evidence.List(dir)
	switch {
	case err != nil || len(files) > 1:
		t.Fatalf("%d files of evidence: %v", len(files), err)
	case len(files) == 1:
		if p.file, err = evidence.ReadFile(dir + "/" + files[0].File); err != nil {
			t.Fatal(err)
		}
	}
	p.log = logged.String()
	return p
}

// storyLength is how many blocks there are from the one in dispute on.
const storyLength = 80

// draw draws the blocks of a story.
func (s *story) draw() {
	parent := enginetest.Genesis(s.version)
	parent.Number, parent.Timestamp = uint64(s.block-int64(s.follows)-1), uint64(s.slot(-s.follows-1).Unix())
	s.places = make(map[common.Hash]place)
	for n := -s.follows; n < storyLength; n++ {
		if n == 0 {
			s.fork(parent)
		}
		parent = parent.Child(nil)
		s.chain = append(s.chain, parent)
		s.places[parent.BlockHash] = place{n: n}
	}
}

// fork draws the right blocks beside the one in dispute, on its parent. Their slots are those of after the repair.
func (s *story) fork(parent enginetest.Payload) {
	for n := range 4 {
		parent = parent.Child(func(p *enginetest.Payload) {
			p.ExtraData, p.Timestamp = []byte("right"), uint64(s.slot(storyLength+n).Unix())
		})
		s.right = append(s.right, parent)
		s.places[parent.BlockHash] = place{n, true}
	}
}

// slot is when the slot of a block begins.
func (s *story) slot(n int) time.Time { return s.at.Add(time.Duration(n) * 12 * time.Second) }

// follow plays the consensus client for the blocks from one to before another: newPayload less than a second after a
// slot has begun, then forkchoiceUpdated. It returns what is heard of each.
func (s *story) follow(from, to int) (heard []bubble.Slot) {
	for n := from; n < to; n++ {
		heard = append(heard, s.hear(s.chain[s.follows+n]))
	}
	return heard
}

// hear plays the consensus client for one block.
func (s *story) hear(p enginetest.Payload) (heard bubble.Slot) {
	s.t.Helper()
	time.Sleep(time.Until(time.Unix(int64(p.Timestamp), 0).Add(800 * ms))) // the bubble's clock
	heard.NewPayload, heard.Took = s.Send(call("newPayload", p.Version, p.Params()...))
	state := map[string]any{
		"headBlockHash": p.BlockHash, "safeBlockHash": s.chain[0].BlockHash,
		"finalizedBlockHash": s.chain[0].BlockHash,
	}
	heard.Forkchoice, heard.ForkchoiceTook = s.Send(call("forkchoiceUpdated", min(p.Version, 3), state, nil))
	return heard
}

func call(method string, version int, params ...any) []byte {
	raw, err := json.Marshal(params)
	if err != nil {
		panic(err)
	}
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"method":"engine_%sV%d","params":%s}`, method, version, raw)
}

// wants fails the test unless the consensus client heard a status to all of these blocks, in both methods and in time
// to attest.
func (s *story) wants(when, status string, heard []bubble.Slot) {
	s.t.Helper()
	for i, h := range heard {
		if h.NewPayload != status || h.Forkchoice != status {
			s.t.Errorf("%s, block %d of %d: %+v, want %s", when, i+1, len(heard), h, status)
			return
		}
		if took := h.Took + h.ForkchoiceTook; status == "VALID" && took > 3200*ms {
			s.t.Errorf("%s, block %d: too late to attest: %+v", when, i+1, h)
		}
	}
}

// objections is how many blocks are objected to.
func (s *story) objections() (n int) {
	for _, each := range s.Fleet.Pool.Nodes() {
		n += s.Fleet.Memory.Objections(each.ID)
	}
	return n
}

// disputed is how many disputes were counted: in both methods, and by rule, which has to come to the same.
func (s *story) disputed(rule quorum.Rule) (newPayload, forkchoice float64) {
	s.t.Helper()
	synctest.Wait() // the consensus client has its answer before it is counted
	const name = "executionbackup_disputes_total"
	newPayload, forkchoice = s.Counted(name, "method", "NewPayload"), s.Counted(name, "method", "ForkchoiceUpdated")
	for _, each := range quorum.RuleNames() {
		want := 0.
		if each == rule.String() {
			want = newPayload + forkchoice
		}
		if n := s.Counted("executionbackup_dispute_rules_total", "rule", each); n != want {
			s.t.Errorf("%v disputes were decided by %q, want %v", n, each, want)
		}
	}
	return newPayload, forkchoice
}

// lines are the lines of a log that have all these words.
func (p *played) lines(words ...string) (n int) {
	for line := range strings.Lines(p.log) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			n++
		}
	}
	return n
}
