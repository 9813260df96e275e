package node

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"executionbackup/internal/engine"
	"executionbackup/internal/health"
	"executionbackup/internal/identity"
	"executionbackup/internal/wire"
)

const (
	probeInterval = 2 * time.Second
	probeTimeout  = time.Second
	// infoInterval is how often a node is asked again who it is: an upgrade behind a proxy shows no break.
	infoInterval = 5 * time.Minute
)

// watch probes the node until ctx ends. It is the node's own goroutine; its pool starts it and waits for it.
func (n *Node) watch(ctx context.Context, probed func()) {
	// A little jitter, so that many nodes on one machine are not probed in step; the same at every start, so that what
	// hangs on it can be repeated.
	jitter := rand.New(rand.NewChaCha8(sha256.Sum256([]byte(n.URL()))))
	for {
		n.probe(ctx)
		probed()
		if s := n.Status(); s.Reachable() {
			n.askHead(ctx) // for show: after the probe, so that it makes none late
		}
		n.lookAfterBreak()
		if s := n.Status(); n.needsForks(s.State) {
			n.AskForks(ctx)
			n.pool.judgeForks(time.Now())
		}
		apart := time.Duration(jitter.Int64N(int64(probeInterval / 10)))
		wait := time.NewTimer(probeInterval - probeInterval/20 + apart)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return
		}
	}
}

// lookAfterBreak has the node asked for its forks again, and told what it may have forgotten, where it can be reached
// after a break: it may have been restarted without having been seen dead. At most once per probe, so that one which
// breaks off every call isn't told without end.
func (n *Node) lookAfterBreak() {
	n.mu.Lock()
	look := n.broke && n.health.State() != health.Dead
	if look {
		n.broke, n.forks.due = false, time.Time{}
	}
	n.mu.Unlock()
	if look && n.pool.events.Restarted != nil {
		n.pool.events.Restarted(n)
	}
}

// probe asks the node how it is, and who it is where that isn't known. Probes of one node may run side by side.
func (n *Node) probe(ctx context.Context) {
	status := n.Status()
	if n.needsInfo(status.State) {
		n.askInfo(ctx)
	}
	n.askSyncing(ctx)
}

// askSyncing asks the node how it is, and notes in its health what comes of that.
func (n *Node) askSyncing(ctx context.Context) error {
	start := time.Now()
	reply, err := n.ask(ctx, "eth_syncing", "[]")
	took := time.Since(start)
	switch f, failed := err.(*wire.Failure); {
	case failed && f.Kind == wire.Stopped:
	case failed && f.Kind == wire.TimedOut:
		n.update((*health.Health).Hung)
	case failed && f.Kind == wire.Malformed:
		n.update(func(h *health.Health) { h.Failed(f.Reason) })
	case failed: // noted by ask
	default:
		synced := reply.Err == nil && string(reply.Result) == "false"
		n.update(func(h *health.Health) { h.Probed(synced, took) })
		if n.pool.Timings() {
			n.setup.Load().log.Info("node timing", "duration", took)
		}
	}
	if err == nil && reply.Err != nil {
		err = reply.Err
	}
	return err
}

// needsInfo reports whether the node in this state is to be asked who it is.
func (n *Node) needsInfo(state health.State) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.info.ChainID == "" || time.Since(n.infoAt) > infoInterval ||
		state == health.Unknown || state == health.Dead
}

// Asked is a question that was put to a node about itself, and what is the matter with the answer.
type Asked struct {
	Method string
	// Err is nil where all is well; a *wire.Failure where there is no answer; else the node's own error, or that the
	// result is none that the method has.
	Err error
}

// Answered reports whether there was an answer, be it an error.
func (a Asked) Answered() bool {
	_, failed := a.Err.(*wire.Failure)
	return !failed
}

var errUnexpected = errors.New("unexpected result")

// Inspect puts all questions to the node now: who and how it is, which methods it has, and what its head is. What it
// tells is in its Status and its Head then, and chains are judged, as after a probe. It returns what was asked, in
// order; the questions after one that had no answer may be missing.
func (n *Node) Inspect(ctx context.Context) []Asked {
	asked := n.askInfo(ctx)
	for _, question := range []struct {
		method string
		ask    func(context.Context) error
	}{
		{"eth_syncing", n.askSyncing},
		{"engine_exchangeCapabilities", n.askMethods},
		{"eth_getBlockByNumber", n.askHead},
		{"eth_config", n.AskForks},
	} {
		if !asked[len(asked)-1].Answered() {
			break // nor would the rest be
		}
		asked = append(asked, Asked{question.method, question.ask(ctx)})
	}
	n.pool.nodeProbed(n)
	return asked
}

// askMethods asks the node which methods it has, and lists all that we know: with a shorter list, a client that runs
// would turn off what its CL uses.
func (n *Node) askMethods(ctx context.Context) error {
	all, err := json.Marshal([][]string{engine.Methods})
	if err != nil {
		return err
	}
	c := ExchangeCapabilities(all)
	ctx, cancel := context.WithTimeout(ctx, n.Timeout(c.Method))
	defer cancel()
	a, err := n.Call(ctx, c)
	switch {
	case err != nil:
		return err
	case a.Err != nil:
		return a.Err
	case a.Methods == nil:
		return errUnexpected
	}
	return nil
}

// askInfo asks the node who it is. What it doesn't tell stays as it was known.
func (n *Node) askInfo(ctx context.Context) (asked []Asked) {
	n.mu.Lock()
	info := n.info
	n.mu.Unlock()

	told := func(method, params string, into any) bool {
		err := n.askInto(ctx, method, params, into)
		asked = append(asked, Asked{method, err})
		return err == nil
	}
	id, client := info.ChainID, info.Client
	var block struct{ Hash string }
	var clients []identity.ClientVersion
	if told("eth_chainId", "[]", &id) {
		info.ChainID = engine.Excerpt(id)
	}
	if !asked[0].Answered() {
		return asked // no use in asking more
	}
	if told("eth_getBlockByNumber", `["0x0",false]`, &block) && block.Hash != "" {
		info.Genesis = engine.Excerpt(block.Hash)
	}
	if told("engine_getClientVersionV1", ourVersion, &clients) {
		info.Clients = identity.Clipped(clients)
	}
	if told("web3_clientVersion", "[]", &client) {
		info.Client = engine.Excerpt(client)
	}
	n.mu.Lock()
	info.Capabilities = n.info.Capabilities
	another := info.IsAnotherClient(&n.info)
	n.info, n.infoAt = info, time.Now()
	n.mu.Unlock()
	if another {
		n.Broke()
	}
	return asked
}

// askInto asks the node about itself and decodes the result.
func (n *Node) askInto(ctx context.Context, method, params string, into any) error {
	reply, err := n.ask(ctx, method, params)
	switch {
	case err != nil:
		return err
	case reply.Err != nil:
		return reply.Err
	case json.Unmarshal(reply.Result, into) != nil:
		return errUnexpected
	}
	return nil
}

// recheck is a probe of all nodes that several callers wait for.
type recheck struct {
	done chan struct{} // closed when it is over
	took time.Duration // set before that
}

// Recheck probes all nodes now and returns how long that took. Concurrent calls share one probe.
func (p *Pool) Recheck(ctx context.Context) (time.Duration, error) {
	p.mu.Lock()
	r := p.recheck
	if r == nil {
		if p.ctx == nil {
			p.mu.Unlock()
			return 0, errors.New("not running")
		}
		r = &recheck{done: make(chan struct{})}
		p.recheck = r
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

// probeAll is the goroutine of a recheck.
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
	p.recheck = nil
	p.mu.Unlock()
	r.took = time.Since(start)
	close(r.done)
}

// ourVersion is how we introduce ourselves where a CL's version is asked for.
const ourVersion = `[{"code":"EB","name":"ExecutionBackup","version":"","commit":"00000000"}]`
