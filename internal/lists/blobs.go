package lists

import (
	"context"

	"executionbackup/internal/engine"
	"executionbackup/internal/node"
	"executionbackup/internal/outlet"
)

// GetBlobs answers getBlobs and hasBlobs with what the primary has, and where it lacks something with what the others
// have: blob pools differ. gone says that the answer has gone to out.
func (m *Merger) GetBlobs(ctx context.Context, c *engine.Call, out *outlet.Outlet) (a engine.Answer, gone bool) {
	l := m.newListing(c, out)
	if isAllOrNothing(c.Method) {
		l.askForParts()
	}
	l.gather(ctx)
	incomplete := isAllOrNothing(c.Method) && l.merged != nil && !l.whole
	if incomplete {
		l.merged = nil
	}
	if c.Method.Family == engine.GetBlobs {
		m.metrics.count(l)
	}
	a, gone = l.answer()
	if incomplete && !gone {
		return engine.Answer{Null: true}, false
	}
	return a, gone
}

// isAllOrNothing reports whether the answer to a method is null as a whole if one blob is missing
// (osaka.md#engine_getblobsv2). All other versions have null for what is missing.
func isAllOrNothing(m engine.Method) bool { return m.Family == engine.GetBlobs && m.Version == 2 }

// askForParts makes a node that has not all blobs say with getBlobsV3 which it has. The other nodes needn't wait for
// that.
func (l *listing) askForParts() {
	if l.call.List.Size < 2 || len(l.Nodes) < 2 {
		return
	}
	parts := node.WithMethod(l.call, "engine_getBlobsV3")
	l.Gap = make(chan struct{}, len(l.Nodes))
	l.Call = func(ctx context.Context, n *node.Node) (engine.Answer, error) {
		all, err := l.ask(ctx, n)
		if err != nil || !all.Null {
			return all, err
		}
		l.Gap <- struct{}{}
		some, err := l.Fleet.Ask(ctx, n, parts)
		if err != nil && some.Raw == nil || some.Err != nil {
			return all, nil // the node doesn't know V3, say
		}
		return some, err // err: a list of nonsense, which is no answer
	}
}
