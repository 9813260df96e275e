package catchup

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
)

// A forkchoice state with more in it than forkchoices have is not kept with the payload that it makes the head.
func TestLongForkchoiceIsNotKept(t *testing.T) {
	p := newPayloads(1 << 20)
	for i, size := range []int{maxState, maxState + 1} {
		head := common.Hash{byte(i)}
		p.Keep(&engine.Call{Block: head, Payload: engine.Payload{Hash: head, Parent: common.Hash{9}}}, false)
		p.Follow(&engine.Call{
			Method: engine.ParseMethod("engine_forkchoiceUpdatedV3"), Block: head,
			Forkchoice: engine.Forkchoice{State: make([]byte, size), Head: head},
		})
		way, base := p.bridge(common.Hash{9}, head)
		if base != (common.Hash{9}) || len(way) != 1 {
			t.Fatalf("%d bytes: from %s, %d blocks", size, base, len(way))
		}
		f := way[0].forkchoice
		if (len(f.state) == size) != (size == maxState) || f.method == "" {
			t.Errorf("%d bytes: a state of %d bytes, method %q", size, len(f.state), f.method)
		}
	}
}
