package proxy

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/node"
	"executionbackup/internal/quorum"
)

// proposal is one getPayload, and what the nodes offer for it.
type proposal struct {
	proxy    *Proxy
	settings *Settings
	method   engine.Method
	build    *build // nil where we don't know the id
	begun    time.Time
	deadline time.Time        // for all that is done beyond the first payload; zero while there is none
	timeUp   <-chan time.Time // at the deadline

	nodes    []*node.Node  // that are asked
	arrivals chan answered // one of each
	came     map[*node.Node]answered

	candidates []*candidate
	failures   []reply // nodes without one: why not
}

// answered is what a node answered, and the candidate in it, if there is one.
type answered struct {
	reply
	candidate *candidate
	memory    *[]byte // that the answer is in
}

// answers is the memory of answers that have been dealt with: it is used again, because they have megabytes.
var answers = sync.Pool{New: func() any { return new([]byte) }}

// getPayload asks every node for what it built, under its own id, and answers with the most valuable payload that is
// what was asked for. An id that we don't know may be from before our restart: then every node is asked for that very id, as where
// none that builds for it is left.
// The reply is empty where it has gone to out.
func (p *Proxy) getPayload(ctx context.Context, r *jsonrpc.Request, m engine.Method, out *outlet) jsonrpc.Reply {
	if len(p.pool.Nodes()) == 1 {
		return p.forward(ctx, r, m, out)
	}
	pr := &proposal{proxy: p, settings: p.settings.Load(), method: m, begun: time.Now(), came: make(map[*node.Node]answered)}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // what is not needed any more is given up
	id, _ := jsonrpc.String(r.Arg(0))
	var builders []*node.Node
	if b, known := p.builds.find(id); known {
		pr.build, builders = &b, p.builders(b.ids)
	}
	if len(builders) > 0 {
		pr.ask(ctx, builders, func(n *node.Node) []byte { return jsonrpc.NewCall(m.Name, []byte(`["`+pr.build.ids[n.ID]+`"]`)) })
	} else {
		pr.ask(ctx, p.serving(), func(*node.Node) []byte { return r.Raw })
	}
	best := pr.choose(ctx)
	if pr.build != nil && best != nil && best.out == "" {
		p.builds.won(id, best.node.ID)
	}
	reply := pr.reply(best)
	gone := out != nil && out.send(reply) == nil
	pr.report(best) // the CL doesn't wait for that
	if gone {
		pr.release()
		return jsonrpc.Reply{} // what there was is no longer ours
	}
	return reply
}

// release lets the memory of the answers that came be used again. Nothing reads them any more: what was to be checked, shown
// or kept of them is a copy, and the one that was chosen has gone to the CL.
func (pr *proposal) release() {
	const most = 64 << 20 // bytes: far above 128 blobs in hex; more than that a hostile node sends
	for _, got := range pr.came {
		if cap(*got.memory) <= most {
			answers.Put(got.memory)
		}
	}
	pr.came, pr.candidates, pr.failures = nil, nil, nil
}

// builders returns the nodes that gave an id and can be asked for their payload.
func (p *Proxy) builders(ids map[quorum.NodeID]string) []*node.Node {
	var nodes []*node.Node
	for _, n := range p.pool.Nodes() {
		if s := n.Status(); ids[n.ID] != "" && s.MayVote() && s.Reachable() {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// ask asks the nodes side by side, and reads their answers side by side: they are large.
func (pr *proposal) ask(ctx context.Context, nodes []*node.Node, body func(*node.Node) []byte) {
	pr.nodes, pr.arrivals = nodes, make(chan answered, len(nodes))
	for _, n := range nodes {
		pr.proxy.stragglers.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, n.Timeout(pr.method))
			defer cancel()
			b, memory := new(built), answers.Get().(*[]byte)
			r, err := n.CallInto(ctx, pr.method.Family, body(n), memory, b.fields(pr.method)...)
			got := pr.read(reply{n, r, err, time.Since(pr.begun)}, b)
			got.memory = memory
			pr.arrivals <- got
		})
	}
}

// read reads what a node sent, and compares it with what was asked for.
func (pr *proposal) read(got reply, b *built) answered {
	c, err := readCandidate(pr.method, got, b)
	if err != nil {
		if got.err == nil && got.Err == nil {
			got.err = err // malformed: no answer
		}
		return answered{reply: got}
	}
	if c.out = b.misfit(pr.method); c.out == "" && pr.build != nil {
		c.out = c.compare(pr.build)
	}
	return answered{reply: got, candidate: c}
}

// gather collects what the nodes offer: after the first good one the others get the build grace, and no more than the time
// that is left. While there is none, the nodes have their timeouts.
func (pr *proposal) gather(ctx context.Context) {
	if !slices.ContainsFunc(pr.candidates, (*candidate).offered) {
		pr.deadline, pr.timeUp = time.Time{}, nil
	}
	var grace <-chan time.Time
	for timeout := false; len(pr.came) < len(pr.nodes) && !timeout; {
		select {
		case got := <-pr.arrivals:
			pr.came[got.node] = got
			c := got.candidate
			if c == nil || c.out != "" {
				continue
			}
			if pr.deadline.IsZero() {
				pr.hurry()
			}
			if grace == nil && !c.wrongRecipient {
				grace = time.After(pr.settings.BuildGrace)
			}
		case <-grace:
			timeout = true
		case <-pr.timeUp:
			timeout = true
		case <-ctx.Done():
			timeout = true
		}
	}
	pr.candidates, pr.failures = nil, nil
	for _, n := range pr.nodes { // in their order, whatever that of their answers
		switch got, came := pr.came[n]; {
		case !came:
			pr.failures = append(pr.failures, reply{node: n, err: errSilent})
		case got.candidate == nil:
			pr.failures = append(pr.failures, got.reply)
		default:
			pr.candidates = append(pr.candidates, got.candidate)
		}
	}
}

// hurry sets the deadline, because there is a payload now: so that the answer is in time for a CL that gives up after a
// second. One that waits for longer than that anyway gets as much after the first payload.
func (pr *proposal) hurry() {
	pace := pr.method.Pace()
	pr.deadline = pr.begun.Add(pace)
	if time.Until(pr.deadline) <= 0 {
		pr.deadline = time.Now().Add(pace)
	}
	pr.timeUp = time.After(time.Until(pr.deadline))
}

// late reports whether the time for more than the present payloads is used up.
func (pr *proposal) late() bool { return !pr.deadline.IsZero() && time.Until(pr.deadline) <= 0 }

var errSilent = errors.New("no answer in time")

// choose returns what is proposed, or nil. What seemed good may turn out not to be: then the others are waited for after all.
// Where every candidate is out, it is the primary's own answer, as if we weren't there: an empty slot is certain without one.
func (pr *proposal) choose(ctx context.Context) *candidate {
	for {
		pr.gather(ctx)
		if best := pr.best(ctx); best != nil {
			return best
		}
		if !pr.mayWait(ctx) {
			return pr.lastResort()
		}
	}
}

// best returns the best candidate that can be proposed as it is, or nil.
func (pr *proposal) best(ctx context.Context) *candidate {
	if pr.build == nil {
		return pr.newest(ctx)
	}
	rank(pr.candidates, pr.isPrimary, pr.won)
	return pr.sound(ctx)
}

// won reports whether a candidate is of the node whose payload the CL got before: it may have promised that one to others.
func (pr *proposal) won(c *candidate) bool { return c.node.ID == pr.build.winner }

func (pr *proposal) isPrimary(c *candidate) bool { return c.node == pr.proxy.pool.Primary() }

// lastResort returns one of those that are out, or nil: where all that speaks against some is another node's word, it is one
// of them, for no proposal is lost to a cross-check.
func (pr *proposal) lastResort() *candidate {
	left := pr.candidates
	if doubted := slices.DeleteFunc(slices.Clone(left), func(c *candidate) bool { return !c.doubted() }); len(doubted) > 0 {
		left = doubted
	}
	switch i := slices.IndexFunc(left, pr.isPrimary); {
	case i >= 0:
		return left[i]
	case len(left) > 0 && left[0].doubted():
		return left[0]
	}
	return nil
}

// mayWait reports whether more candidates are worth waiting for: some may come, and there is time, or nothing to lose.
func (pr *proposal) mayWait(ctx context.Context) bool {
	return len(pr.came) < len(pr.nodes) && ctx.Err() == nil && !(pr.late() && slices.ContainsFunc(pr.candidates, (*candidate).offered))
}

// newest finds what an unknown id means: among the payloads on the present head the one with the greatest timestamp.
func (pr *proposal) newest(ctx context.Context) *candidate {
	if !slices.ContainsFunc(pr.candidates, (*candidate).offered) {
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, pr.deadline)
	defer cancel()
	onHead := pr.onHead(ctx)
	var best *candidate
	for _, c := range pr.candidates {
		if c.out != "" {
			continue
		}
		if best == nil || onHead(c) && !onHead(best) || onHead(c) == onHead(best) && c.payload.Timestamp > best.payload.Timestamp {
			best = c
		}
	}
	return best
}

// onHead returns what tells whether a candidate builds on the present head: that of the last forkchoiceUpdated, or, as
// long as there has been none since our start, its node's own.
func (pr *proposal) onHead(ctx context.Context) func(*candidate) bool {
	if head := pr.proxy.chain.headHash(); head != (common.Hash{}) {
		return func(c *candidate) bool { return c.payload.Parent == head }
	}
	heads := make([]node.Head, len(pr.candidates))
	var asking sync.WaitGroup
	for i, c := range pr.candidates {
		asking.Go(func() { heads[i], _ = c.node.Latest(ctx) }) // what it doesn't tell, its payload isn't on
	}
	asking.Wait()
	return func(c *candidate) bool {
		return c.payload.Parent == heads[slices.Index(pr.candidates, c)].Hash
	}
}

// reply is the answer: what is proposed, or where no node had anything the primary's error, else the first node's.
func (pr *proposal) reply(best *candidate) jsonrpc.Reply {
	if best != nil {
		return best.Reply
	}
	var first *reply
	why := "no node that builds can be reached"
	for i := range pr.failures {
		f := &pr.failures[i]
		if f.err != nil {
			why = f.node.Name() + ": " + f.err.Error()
			continue
		}
		if first == nil || f.node == pr.proxy.pool.Primary() {
			first = f
		}
	}
	if first != nil {
		return first.Reply
	}
	for _, c := range pr.candidates {
		why = c.node.Name() + ": " + c.out
	}
	return unavailable(why)
}
