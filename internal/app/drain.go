package app

import (
	"context"
	"time"
)

// The times of the end, from the signal on.
const (
	// lastCall is when calls are no longer taken, though there was no moment without one: a consensus client may call
	// without a pause. Those that have begun have until lastMoment.
	lastCall   = 9 * time.Second
	lastMoment = 10 * time.Second

	// lastRest is how long answers of the REST API, and streams of the page, may take when no call is in flight any
	// more.
	lastRest = 500 * time.Millisecond

	// lastTraces is how long the receiver of traces may take over the last of them. Calls wait meanwhile, in the socket
	// or for our successor.
	lastTraces = 300 * time.Millisecond
)

// drain ends us, in order, when nobody waits for an answer:
//
//  1. Not ready, for load balancers. Calls go on being answered.
//  2. When nodes have done what they still work on, or --drain has passed: the first moment without a call in flight,
//     or lastCall.
//  3. No connection is accepted any more, and WebSocket connections take no more calls. Those that came in that very
//     moment have their answers, until lastMoment.
//  4. What is left of connections is closed, and of nodes' work given up. The page, metrics and the REST API go last,
//     where they have a port of their own; then the traces of the last calls are sent.
//
// The socket may be somebody else's, too: whoever connects from 3 on waits in it for our successor.
func (a *App) drain() {
	a.draining.Store(true)
	a.front.Drain()
	a.log.Info("draining")
	end, cancel := context.WithTimeout(context.Background(), lastMoment)
	defer cancel()
	calls, cancel := context.WithTimeout(end, lastCall)
	defer cancel()
	nodes, cancel := context.WithTimeout(end, a.config.Load().Drain)
	defer cancel()

	until(calls, func() bool { return (a.fleet.Idle() || nodes.Err() != nil) && a.front.Quiet() })
	a.calls.closed()
	a.front.CloseSockets()
	until(end, a.front.Quiet)
	a.calls.end(end, a.log)
	a.router.Drain(nodes)
	if a.admin != nil {
		a.admin.closed()
		a.admin.end(end, a.log)
	}
	traces, cancel := context.WithTimeout(context.Background(), lastTraces)
	defer cancel()
	a.tracer.Close(traces)
	a.log.Info("stopped")
}

// until returns when something holds, or when ctx ends. It looks every millisecond.
func until(ctx context.Context, holds func() bool) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
