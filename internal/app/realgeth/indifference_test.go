package realgeth_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"executionbackup/internal/enginetest"
)

// Three geths that agree say what one of them says, whatever a CL sends. It is the long form of the proxy's
// TestIndifference, which has thousands of streams but models for clients: here they are real ones, in one long stream
// of hundreds of calls.
func TestIndifferentToGeths(t *testing.T) {
	nodes := geths(t, osaka(), 5)
	alone := enginetest.NewCL(t, nodes[3].AuthURL(), nodeSecret[:])
	b := &builder{t, enginetest.NewCL(t, nodes[4].AuthURL(), nodeSecret[:])}
	m := start(t, urls(nodes[:3]))
	ask := func(cl *enginetest.CL, body []byte) []byte {
		_, _, answer, err := cl.Post(t.Context(), body)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	stream := &enginetest.Stream{
		Fork:    4,
		Direct:  func(body []byte) []byte { return ask(alone, body) },
		Through: func(body []byte) []byte { return ask(m.CL, body) },
		Restart: func() { m = start(t, urls(nodes[:3])) },
		Wait:    func(time.Duration) {}, // time is the models' affair
		Child:   b.child,
		Spoil:   func(p *enginetest.Payload) { p.StateRoot = common.Hash{1} },
	}
	stream.Root(root(t, b))
	seeds := 60
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		stream.Play(enginetest.Steps(30).Example(seed))
	}
	if stream.Broken() {
		t.Fatalf("a difference:\n%s", stream.Conversation())
	}
	if testing.Verbose() {
		t.Log("\n" + stream.Conversation())
	}
	wantHead(t, nodes[:3], head(t, dial(t, nodes[3].AuthURL(), nodeSecret)))
}

// root returns block 0 as a payload to build on.
func root(t *testing.T, b *builder) enginetest.Payload {
	t.Helper()
	p := enginetest.Payload{Version: 4}
	p.BlockHash = osaka().ToBlock().Hash()
	if got := head(t, dial(t, b.URL, nodeSecret)); got != p.BlockHash {
		t.Fatalf("geth begins at %s, want %s", got, p.BlockHash)
	}
	return p
}

// builder is a geth that makes blocks.
type builder struct {
	t *testing.T
	*enginetest.CL
}

// child has a child built, and keeps it. Variants differ in the fee recipient.
func (b *builder) child(parent enginetest.Payload, variant int) enginetest.Payload {
	b.t.Helper()
	if parent.Number > 0 { // another geth may have built it
		b.keep(parent)
	}
	attributes := parent.Attributes()
	attributes.SuggestedFeeRecipient = common.Address{1, byte(variant)}
	status, err := b.ForkchoiceUpdated(b.t.Context(), parent, attributes)
	if err != nil || status.PayloadID == "" {
		b.t.Fatalf("build on block %d: %+v, %v", parent.Number, status, err)
	}
	raw, err := b.Call(b.t.Context(), "engine_getPayloadV5", status.PayloadID)
	if err != nil {
		b.t.Fatal(err)
	}
	var envelope struct {
		ExecutionPayload  engine.ExecutableData
		ExecutionRequests []hexutil.Bytes
	}
	if err := json.Unmarshal(raw, &envelope); err != nil {
		b.t.Fatal(err)
	}
	child := enginetest.Payload{
		ExecutableData: envelope.ExecutionPayload, Version: 4, BeaconRoot: *attributes.BeaconRoot,
	}
	if child.Withdrawals == nil {
		child.Withdrawals = []*types.Withdrawal{}
	}
	for _, r := range envelope.ExecutionRequests {
		child.Requests = append(child.Requests, r)
	}
	b.keep(child)
	return child
}

func (b *builder) keep(p enginetest.Payload) {
	b.t.Helper()
	if status, err := b.NewPayload(b.t.Context(), p); err != nil || status.Status != "VALID" {
		b.t.Fatalf("block %d: %+v, %v", p.Number, status, err)
	}
}
