package catchup_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/bubble"
	"executionbackup/internal/engine"
	"executionbackup/internal/enginejson"
)

// A node that died once under a payload has died once.
func TestOneDeathIsCountedOnce(t *testing.T) {
	var dies atomic.Bool
	f := &bubble.Fake{Reset: dies.Load}
	nodes := []*bubble.Fake{
		bubble.Speaker(3, "SYNCING", 0), bubble.Speaker(3, "VALID", 20*time.Millisecond),
		bubble.Speaker(3, "VALID", 30*time.Millisecond), f,
	}
	bubble.OnBench(t, nodes, bubble.ReplayBytes, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 2)
		dies.Store(true)
		b.Send(bubble.PayloadCall(3))
		dies.Store(false)
		if n := b.CatchUp.Deaths(b.Fleet.Pool.Nodes()[3].ID, bubble.Hash(3)); n != 1 {
			t.Errorf("%d deaths", n)
		}
	})
}

// A payload under which a node died twice isn't fed to it again for ten minutes.
func TestDeadlyPayloadIsNotFed(t *testing.T) {
	bubble.OnBench(t, []*bubble.Fake{{}, {}}, bubble.ReplayBytes, func(t *testing.T, b *bubble.Bubble) {
		other, n := b.Fleet.Pool.Nodes()[0], b.Fleet.Pool.Nodes()[1]
		way := []common.Hash{bubble.Hash(7), bubble.Hash(8)}
		for died, want := range []bool{false, false, true} {
			if died > 0 {
				b.CatchUp.Died(n.ID, bubble.Hash(8))
			}
			if got := b.CatchUp.Withholds(n, way...); got != want {
				t.Errorf("after %d deaths: withheld %t", died, got)
			}
		}
		if b.CatchUp.Withholds(other, way...) {
			t.Error("it is withheld from another node, too")
		}
		time.Sleep(10 * time.Minute) // the bubble's clock
		if b.CatchUp.Withholds(n, way...) {
			t.Error("it is withheld after ten minutes, too")
		}
	})
}

// crasher is a client without peers that crashes under blocks, and starts again two blocks short.
type crasher struct {
	mu      sync.Mutex
	crashes map[int]int // how often it still does, by the block
	errors  map[int]int // how often it still answers an error to a block that it lacks
	head    int
	has     map[int]bool
	down    time.Time // until when
}

func (c *crasher) RoundTrip(r *http.Request) (*http.Response, error) {
	call, err := bubble.Received(r)
	if err != nil {
		return nil, err
	}
	words, _ := enginejson.ReadCall(&call)
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.down) {
		return nil, bubble.ErrRefused
	}
	number := func(h common.Hash) int { return int(h.Big().Int64()) }
	status := func(has bool) string {
		if has {
			return fmt.Sprintf(`{"status":"VALID","latestValidHash":%q}`, words.Block.Hex())
		}
		return `{"status":"SYNCING","latestValidHash":null}`
	}
	result := "null"
	switch n := number(words.Block); {
	case words.Method.Family == engine.NewPayload && c.crashes[n] > 0:
		c.crashes[n]--
		for c.head = max(c.head-2, 1); n > c.head; n-- {
			delete(c.has, n)
		}
		c.down = time.Now().Add(time.Second)
		return nil, bubble.ErrReset
	case words.Method.Family == engine.NewPayload && c.errors[n] > 0 && !c.has[n]:
		c.errors[n]--
		return bubble.Answer([]byte(`{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"internal error"}}`)), nil
	case words.Method.Family == engine.NewPayload:
		c.has[n] = c.has[n] || c.has[number(words.Payload.Parent)]
		result = status(c.has[n])
	case words.Method.Family == engine.ForkchoiceUpdated:
		if c.has[n] {
			c.head = n
		}
		result = `{"payloadStatus":` + status(c.has[n]) + `,"payloadId":null}`
	case string(call.Method) == "eth_getBlockByNumber":
		result = bubble.Latest(c.head)
	case string(call.Method) == "eth_syncing":
		result = "false"
	}
	return bubble.Answer([]byte(`{"jsonrpc":"2.0","id":1,"result":` + result + `}`)), nil
}

// inCrashes plays a CL before three crashers. After five blocks it sends block 900, which builds on the fifth, and goes
// on beside that for two minutes. crashes and errors are from then on.
func inCrashes(t *testing.T, crashes, errors map[int]int) {
	var nodes []*crasher
	for range 3 {
		nodes = append(nodes, &crasher{has: map[int]bool{0: true}})
	}
	bubble.In(t, nodes, func(t *testing.T, b *bubble.Bubble) {
		b.Follow(1, 5)
		for _, n := range nodes {
			n.mu.Lock()
			n.crashes, n.errors = maps.Clone(crashes), maps.Clone(errors)
			n.mu.Unlock()
		}
		parent, head := []byte(bubble.Hash(899).Hex()), []byte(bubble.Hash(5).Hex())
		hostile := bytes.Replace(bubble.PayloadCall(900), parent, head, 1)
		if got, _ := b.Send(hostile); got != "SYNCING" {
			t.Errorf("the hostile block: %s", got)
		}
		slots := b.Follow(6, 60)
		for i, s := range slots[20:] {
			if s.NewPayload != "VALID" || s.Forkchoice != "VALID" {
				t.Errorf("block %d: %+v", 26+i, s)
				break
			}
		}
	})
}

// A payload on the head under which all nodes crashed, and came back short, keeps none of them from what comes up to
// the head: that isn't under it, and neither is the chain that goes on beside it.
func TestDeadlyPayloadBesideTheChain(t *testing.T) { inCrashes(t, map[int]int{900: 1000}, nil) }

// Nodes that crash again while they are fed, and are back before they may be fed again, are fed when they may: nothing
// else would bring them to the head, where there is no other node.
func TestBackTooSoon(t *testing.T) { inCrashes(t, map[int]int{900: 1, 4: 1}, nil) }

// Nodes to which the first attempt failed are fed again when they may be, also where the CL has gone on from the head
// that they lack.
func TestFailedAttemptBeforeTheHead(t *testing.T) {
	inCrashes(t, map[int]int{900: 1}, map[int]int{4: 1})
}
