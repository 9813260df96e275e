package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/admin"
	"executionbackup/internal/config"
	"executionbackup/internal/identity"
	"executionbackup/internal/memory"
	"executionbackup/internal/node"
	"executionbackup/internal/wire"
)

// newPool returns the daemon's view of nodes, which tells nobody what it sees. transport may be nil.
func newPool(nodes []config.Node, transport func(config.Node) http.RoundTripper) *node.Pool {
	return node.NewPool(nodes, node.Options{
		Memory:    memory.New(1),
		Metrics:   node.NewMetrics(prometheus.NewRegistry()),
		Log:       slog.New(slog.DiscardHandler),
		Transport: transport,
	})
}

// patience bounds the questions to one node, all together; a node's own timeout may be less.
const patience = 5 * time.Second

// inspection is what a node showed when it was asked once.
type inspection struct {
	node    *node.Node
	timeout time.Duration
	*witness

	accepted bool        // there was an answer to a token of ours
	failures []error     // what it answered with errors, or not at all
	now      node.Status // as the daemon sees it, with regard to the other nodes
	head     node.Head
	place    place // where it is
}

// inspect has each node asked all that the daemon asks, once. home is the chain that the daemon would follow; in a tie
// those that it may be. forks is what the nodes say of their forks, in their order.
func inspect(ctx context.Context, nodes []config.Node) (
	inspections []*inspection, home []identity.Chain, forks admin.Forks,
) {
	var witnesses []*witness // in the nodes' order
	pool := newPool(nodes, func(n config.Node) http.RoundTripper {
		witnesses = append(witnesses, newWitness(n))
		return witnesses[len(witnesses)-1]
	})
	var asking sync.WaitGroup
	for i, n := range pool.Nodes() {
		one := &inspection{node: n, timeout: min(nodes[i].Timeout, patience), witness: witnesses[i]}
		inspections = append(inspections, one)
		asking.Go(func() { one.ask(ctx) })
		asking.Go(func() { one.place = find(ctx, nodes[i].URL) })
	}
	asking.Wait()
	for _, i := range inspections {
		i.now, i.head = i.node.Status(), i.node.Head()
	}
	return inspections, pool.Home(), admin.ForksOf(pool.Forks(), time.Now())
}

// optional are the questions that a client need not understand.
var optional = map[string]bool{"engine_getClientVersionV1": true, "web3_clientVersion": true}

// ask asks the node, and notes what it failed of.
func (i *inspection) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, i.timeout)
	defer cancel()
	defer i.disconnect()
	for _, asked := range i.node.Inspect(ctx) {
		if asked.Method == "eth_config" {
			continue // few clients have it: what it doesn't tell is unknown, and no failure
		}
		if !asked.Answered() {
			i.failures = append(i.failures, i.noAnswer(ctx, asked.Err))
			return // whatever it is, it concerns the rest as well
		}
		i.accepted = true
		if asked.Err != nil && !optional[asked.Method] {
			i.failures = append(i.failures, fmt.Errorf("%s: %w", asked.Method, asked.Err))
		}
	}
}

// errRefused is an answer of 401 or 403.
var errRefused = errors.New("token refused")

// noAnswer says why there was no answer, as exactly as we know.
func (i *inspection) noAnswer(ctx context.Context, err error) error {
	failure, _ := err.(*wire.Failure)
	switch {
	case failure.Kind == wire.Unauthorized:
		return errRefused
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("no answer in %v", i.timeout)
	case failure.Kind == wire.Unreachable && i.failed != nil:
		return i.failed
	case failure.Kind == wire.Malformed && i.status > http.StatusOK:
		return fmt.Errorf("no JSON-RPC answer (HTTP %d)", i.status)
	}
	return failure
}

// witness is the way to one node, and notes what the daemon has no use for. It makes one exchange at a time.
type witness struct {
	via        http.RoundTripper
	disconnect func()

	reachable bool          // there was an answer, of whatever kind
	status    int           // of HTTP, in the last exchange; 0 where there was no answer
	failed    error         // why there was none
	roundTrip time.Duration // of the answer that skew is taken from; 0 = no answer had a date
	skew      time.Duration // how far the node's clock is ahead of ours, give or take half a second
}

func newWitness(n config.Node) *witness {
	via, disconnect := wire.TCP(n.CAs)
	return &witness{via: via, disconnect: disconnect}
}

// RoundTrip implements http.RoundTripper.
func (w *witness) RoundTrip(req *http.Request) (*http.Response, error) {
	sent := time.Now()
	resp, err := w.via.RoundTrip(req)
	w.status, w.failed = 0, err
	if err == nil {
		w.reachable, w.status = true, resp.StatusCode
		w.noteClock(resp.Header.Get("Date"), sent, time.Now())
	}
	return resp, err
}

// noteClock estimates the node's clock by the date of an answer. That has whole seconds only, and was written at some
// moment between sent and received: the quickest answer tells most.
func (w *witness) noteClock(date string, sent, received time.Time) {
	theirs, err := http.ParseTime(date)
	roundTrip := received.Sub(sent)
	if err != nil || w.roundTrip > 0 && roundTrip >= w.roundTrip {
		return
	}
	w.roundTrip = max(roundTrip, 1)
	w.skew = theirs.Add(time.Second / 2).Sub(sent.Add(roundTrip / 2)).Round(time.Second)
}
