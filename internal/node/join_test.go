package node

import (
	"slices"
	"sync"
	"testing"

	"executionbackup/internal/engine"
	"executionbackup/internal/lane"
)

// Calls that come at the same time stand in one order in the lanes of all nodes, whichever that is.
func TestJoinIsOneOrder(t *testing.T) {
	p := pooled(t, 4)
	const calls = 800
	turns := make(chan []*lane.Turn, calls)
	var joining sync.WaitGroup
	start := make(chan struct{})
	for range 8 {
		joining.Go(func() {
			<-start
			for range calls / 8 {
				method := engine.ParseMethod("engine_forkchoiceUpdatedV4")
				call := &engine.Call{Method: method, Forkchoice: engine.Forkchoice{Attributes: new(engine.Attributes)}}
				turns <- p.Join(p.Nodes(), &lane.Call{Call: call})
			}
		})
	}
	close(start)
	joining.Wait()
	close(turns)
	orders := make([][]*lane.Call, len(p.Nodes())) // in which the calls' turns come, by node: one at a time on each
	var taking sync.WaitGroup
	for all := range turns {
		for i, turn := range all {
			taking.Go(func() {
				defer turn.Done()
				if err := turn.Start(t.Context()); err != nil {
					t.Error(err)
				}
				orders[i] = append(orders[i], turn.Call())
			})
		}
	}
	taking.Wait()
	if len(orders[0]) != calls {
		t.Errorf("%d calls had their turns", len(orders[0]))
	}
	for i, order := range orders[1:] {
		if !slices.Equal(order, orders[0]) {
			t.Errorf("%s has another order than %s", p.Nodes()[i+1].Name(), p.Nodes()[0].Name())
		}
	}
}
