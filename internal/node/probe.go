package node

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"executionbackup/internal/engine"
	"executionbackup/internal/health"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/wire"
)

const (
	probeInterval = 2 * time.Second
	probeTimeout  = time.Second
	// infoInterval is how often a node is asked again who it is: an upgrade behind a proxy shows no break.
	infoInterval = 5 * time.Minute
)

// watch probes the node until ctx ends.
func (n *Node) watch(ctx context.Context, probed func()) {
	for {
		n.probe(ctx)
		probed()
		if s := n.Status(); s.Reachable() {
			n.askHead(ctx) // for show: after the probe, so that it makes none late
		}
		// A little jitter, so that many nodes on one machine are not probed in step.
		wait := time.NewTimer(probeInterval - probeInterval/20 + rand.N(probeInterval/10))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return
		}
	}
}

// probe asks the node how it is, and who it is where that isn't known. Probes of one node may run side by side.
func (n *Node) probe(ctx context.Context) {
	status := n.Status()
	if n.needsInfo(status.State) {
		n.askInfo(ctx)
	}
	start := time.Now()
	reply, err := n.ask(ctx, "eth_syncing", "[]")
	took := time.Since(start)
	switch f, failed := err.(*wire.Failure); {
	case failed && f.Kind == wire.Stopped:
	case failed && f.Kind == wire.TimedOut:
		n.update((*health.Health).Hung)
	case failed && f.Kind == wire.Malformed:
		n.update(func(h *health.Health) { h.Failed(f.Reason) })
	case failed: // noted by Ask
	default:
		synced := reply.Err == nil && string(reply.Result) == "false"
		n.update(func(h *health.Health) { h.Probed(synced, took) })
		if n.pool.Timings() {
			n.setup.Load().log.Info("node timing", "duration", took)
		}
	}
}

func (n *Node) needsInfo(state health.State) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.info.ChainID == "" || state == health.Unknown || state == health.Dead || time.Since(n.infoAt) > infoInterval
}

// askInfo asks the node who it is. What it doesn't tell stays as it was known.
func (n *Node) askInfo(ctx context.Context) {
	n.mu.Lock()
	info := n.info
	n.mu.Unlock()

	reply, err := n.ask(ctx, "eth_chainId", "[]")
	if err != nil {
		return // no use in asking more
	}
	if id, ok := jsonrpc.String(reply.Result); ok {
		info.ChainID = engine.Excerpt(id)
	}
	if reply, err := n.ask(ctx, "eth_getBlockByNumber", `["0x0",false]`); err == nil && reply.Err == nil {
		var block struct{ Hash string }
		if json.Unmarshal(reply.Result, &block) == nil && block.Hash != "" {
			info.Genesis = engine.Excerpt(block.Hash)
		}
	}
	if reply, err := n.ask(ctx, "engine_getClientVersionV1", ourVersion); err == nil && reply.Err == nil {
		var clients []ClientVersion
		if json.Unmarshal(reply.Result, &clients) == nil {
			info.Clients = clipped(clients)
		}
	}
	if reply, err := n.ask(ctx, "web3_clientVersion", "[]"); err == nil && reply.Err == nil {
		if client, ok := jsonrpc.String(reply.Result); ok {
			info.Client = engine.Excerpt(client)
		}
	}
	n.mu.Lock()
	info.Capabilities = n.info.Capabilities
	another := info.anotherClient(&n.info)
	n.info, n.infoAt = info, time.Now()
	n.mu.Unlock()
	if another {
		n.Broke()
	}
}

// recheck is a probe of all nodes that several callers wait for.
type recheck struct {
	done chan struct{}
	took time.Duration
}

// Recheck probes all nodes now and returns how long that took. Concurrent calls share one probe.
func (p *Pool) Recheck(ctx context.Context) (time.Duration, error) {
	p.mu.Lock()
	r := p.probing
	if r == nil {
		if p.ctx == nil {
			p.mu.Unlock()
			return 0, errors.New("not running")
		}
		r = &recheck{done: make(chan struct{})}
		p.probing = r
		running := p.ctx
		p.watchers.Go(func() { p.probeAll(running, r) })
	}
	p.mu.Unlock()
	select {
	case <-r.done:
		return r.took, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (p *Pool) probeAll(ctx context.Context, r *recheck) {
	start := time.Now()
	var probes sync.WaitGroup
	for _, n := range p.Nodes() {
		probes.Go(func() {
			n.probe(ctx)
			p.nodeProbed(n)
		})
	}
	probes.Wait()
	p.mu.Lock()
	p.probing = nil
	p.mu.Unlock()
	r.took = time.Since(start)
	close(r.done)
}
