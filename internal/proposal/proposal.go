// Package proposal answers getPayload: every node is asked for what it built, under its own id, and the most valuable
// payload that is what was asked for is proposed, if no other voter calls it INVALID.
//
//	GetPayload   ask, gather, choose, answer        proposal.go
//	candidate    is it what was asked for?          candidate.go
//	hearing      what do the others say to it?      crosscheck.go
//	report       who offered what                   report.go
package proposal

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/engine"
	"executionbackup/internal/fleet"
	"executionbackup/internal/node"
	"executionbackup/internal/outlet"
	"executionbackup/internal/session"
)

// Proposer is where proposals are made. Safe for concurrent use.
type Proposer struct {
	fleet   *fleet.Fleet
	metrics *metrics
}

// New returns a proposer for the proposals of a fleet. Its metrics are registered with r.
func New(f *fleet.Fleet, r prometheus.Registerer) *Proposer {
	return &Proposer{fleet: f, metrics: newMetrics(r)}
}

// Forget drops the metrics of a name that is no node's any more.
func (pr *Proposer) Forget(name string) { pr.metrics.forget(name) }

// proposal is one getPayload, and what the nodes offer for it. It belongs to the goroutine that answers the call.
type proposal struct {
	proposer *Proposer
	fleet    *fleet.Fleet
	settings *fleet.Settings
	call     *engine.Call
	build    *session.Build // nil where we don't know the id
	shadow   *shadow        // nil but in shadow mode
	begun    time.Time
	deadline time.Time        // for all that is done after the first payload; zero while there is none
	timeUp   <-chan time.Time // at the deadline

	nodes    []*node.Node  // that are asked, in the order in which they were found
	arrivals chan answered // one of each node; has room for all
	came     map[*node.Node]answered

	candidates []*candidate  // of the nodes that have one, best first when they have been ranked
	failures   []fleet.Reply // of the nodes that have none, or haven't answered
}

// answered is what a node answered, and the candidate in it, if there is one.
type answered struct {
	fleet.Reply
	candidate *candidate
	memory    *[]byte // that the answer is in
}

// answers is the memory of answers that have been dealt with: it is used again, because they have megabytes.
var answers = sync.Pool{New: func() any { return new([]byte) }}

// begin begins a proposal.
func (pr *Proposer) begin(c *engine.Call) *proposal {
	return &proposal{
		proposer: pr, fleet: pr.fleet, settings: pr.fleet.Settings(), call: c, begun: time.Now(),
		came: make(map[*node.Node]answered),
	}
}

// GetPayload answers with the most valuable payload that is what was asked for. An id that we don't know may be from
// before our restart: then every node is asked for that very id. So it is where none of the nodes that build for an id
// is left.
//
// The answer goes to out, if that isn't nil: then reports and counts don't keep the CL waiting, and the answer's memory
// is used again. gone says that the answer has been sent, and the one that is returned is empty.
func (pr *Proposer) GetPayload(ctx context.Context, s *session.Session, c *engine.Call, out *outlet.Outlet) (
	answer engine.Answer, gone bool) {
	p := pr.begin(c)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // gives up the calls that are not needed any more
	best := p.find(ctx, s)
	hungUp := ctx.Err() != nil // and was promised nothing: it asks again
	won := p.build != nil && best != nil && best.out == "" && !hungUp
	if won {
		s.Builds.Won(c.PayloadID, best.Node.ID)
	}
	answer = p.answer(best)
	p.traceChoice(ctx, best)
	gone = out != nil && out.Send(&answer)
	if won && best.Node.ID != p.build.Winner {
		p.fleet.SaveBuild(s, c.PayloadID)
	}
	p.report(best)
	if gone {
		p.release()
		return engine.Answer{}, true
	}
	return answer, false
}

// Pass asks the only node there is. Whatever it answers passes through, and what it built is kept to be shown. As with
// fleet.Ask, an answer with an error has bytes that can be passed on, or none.
func (pr *Proposer) Pass(ctx context.Context, n *node.Node, c *engine.Call) (engine.Answer, error) {
	p := pr.begin(c)
	ctx, cancel := context.WithTimeout(ctx, pr.fleet.Timeout(n, c.Method))
	defer cancel()
	a, err := n.Build(ctx, c, new([]byte))
	reply := fleet.Reply{Node: n, Answer: a, Failure: err, Took: time.Since(p.begun)}
	var best *candidate
	switch {
	case reply.OK() && a.Built != nil:
		best = &candidate{Reply: reply, Built: a.Built}
		p.candidates = []*candidate{best}
	case reply.OK():
		reply.Failure = errUnreadable
		fallthrough
	default:
		p.failures = []fleet.Reply{reply}
	}
	p.traceChoice(ctx, best)
	pr.fleet.Proposals.Add(p.forHistory(best))
	return a, err
}

// release lets the memory of the answers that came be used again. Nothing reads them any more: what was to be checked,
// shown or kept of them is a copy, and the one that was chosen has gone to the CL.
func (p *proposal) release() {
	const most = 64 << 20 // bytes: far above 128 blobs in hex; more than that a hostile node sends
	for _, got := range p.came {
		if cap(*got.memory) <= most {
			answers.Put(got.memory)
		}
	}
	p.came, p.candidates, p.failures = nil, nil, nil
}

// find asks those that build, and returns the candidate that is to be proposed, or nil.
func (p *proposal) find(ctx context.Context, s *session.Session) *candidate {
	p.askBuilders(ctx, s)
	best := p.choose(ctx)
	if len(p.candidates) == 0 && p.askOthers(ctx) {
		best = p.choose(ctx)
	}
	return best
}

// askBuilders asks the nodes that build for an id of the CL's, each under its own id; where there are none, all that
// serve for that very id.
func (p *proposal) askBuilders(ctx context.Context, s *session.Session) {
	b, known := s.Builds.Find(p.call.PayloadID)
	if !known || p.fleet.IsOver(&b) { // another instance may have begun it, perhaps under an id that is used again
		if began, found := p.fleet.FetchBuild(ctx, p.call.PayloadID); found {
			b, known = began, true
			s.Builds.Put(&began)
		}
	}
	if known {
		p.build = &b
		p.fleet.Pool.Reach(b.Attributes.Timestamp) // the others would be shown the first payload of a fork by us
		if p.askOthers(ctx) {
			return
		}
	}
	p.ask(ctx, p.fleet.Pool.Serving(), func(*node.Node) *engine.Call { return p.call })
}

// askOthers asks the nodes that build for the CL's id now and haven't been asked, and reports whether there are any: a
// backup may have taken the place of a builder that turned out to be dead.
func (p *proposal) askOthers(ctx context.Context) bool {
	if p.build == nil {
		return false
	}
	ids := p.build.IDs
	others := slices.DeleteFunc(p.fleet.Pool.Roll().Builders(ids), func(n *node.Node) bool {
		return slices.Contains(p.nodes, n)
	})
	if len(others) == 0 {
		return false
	}
	clear(p.came)
	p.ask(ctx, others, func(n *node.Node) *engine.Call { return node.GetPayload(p.call.Method, ids[n.ID]) })
	return true
}

// ask asks the nodes side by side, and reads their answers side by side: they are large.
func (p *proposal) ask(ctx context.Context, nodes []*node.Node, call func(*node.Node) *engine.Call) {
	p.nodes, p.arrivals = nodes, make(chan answered, len(nodes))
	for _, n := range nodes {
		p.fleet.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, n.Timeout(p.call.Method))
			defer cancel()
			memory := answers.Get().(*[]byte)
			a, err := p.offer(ctx, n, call(n), memory)
			got := p.read(fleet.Reply{Node: n, Answer: a, Failure: err, Took: time.Since(p.begun)})
			got.memory = memory
			p.arrivals <- got
		})
	}
}

// read compares what a node sent with what was asked for.
func (p *proposal) read(got fleet.Reply) answered {
	if !got.OK() {
		return answered{Reply: got}
	}
	c := &candidate{Reply: got, Built: got.Built}
	if c.out = c.Misfit; c.out == "" && p.build != nil {
		c.out = c.compare(p.build)
	}
	return answered{Reply: got, candidate: c}
}

// gather collects what the nodes offer: after the first good one the others get the build grace, and no more than the
// time that is left. While there is none, the nodes have their timeouts.
func (p *proposal) gather(ctx context.Context) {
	if !slices.ContainsFunc(p.candidates, (*candidate).isOffered) {
		p.deadline, p.timeUp = time.Time{}, nil
	}
	var grace <-chan time.Time
	for timeout := false; len(p.came) < len(p.nodes) && !timeout; {
		select {
		case got := <-p.arrivals:
			p.came[got.Node] = got
			c := got.candidate
			if c == nil || c.out != "" {
				continue
			}
			if p.deadline.IsZero() {
				p.hurry()
			}
			if grace == nil && !c.wrongRecipient {
				grace = time.After(p.settings.BuildGrace)
			}
		case <-grace:
			timeout = true
		case <-p.timeUp:
			timeout = true
		case <-ctx.Done():
			timeout = true
		}
	}
	p.sortOut()
}

// sortOut tells candidates from failures, both in the order of the nodes, whatever that of the answers.
func (p *proposal) sortOut() {
	p.candidates, p.failures = nil, nil
	for _, n := range p.nodes {
		switch got, came := p.came[n]; {
		case !came:
			p.failures = append(p.failures, fleet.Reply{Node: n, Failure: errSilent})
		case got.candidate == nil:
			p.failures = append(p.failures, got.Reply)
		default:
			p.candidates = append(p.candidates, got.candidate)
		}
	}
}

// hurry sets the deadline, because there is a payload now: so that the answer is in time for a CL that gives up after a
// second. One that waits for longer than that anyway gets as much after the first payload.
func (p *proposal) hurry() {
	pace := p.call.Method.Pace()
	p.deadline = p.begun.Add(pace)
	if time.Until(p.deadline) <= 0 {
		p.deadline = time.Now().Add(pace)
	}
	p.timeUp = time.After(time.Until(p.deadline))
}

// isLate reports whether the time for more than the present payloads is used up.
func (p *proposal) isLate() bool { return !p.deadline.IsZero() && time.Until(p.deadline) <= 0 }

var (
	errSilent     = errors.New("no answer in time")
	errUnreadable = errors.New("what it built can't be read, and passed through")
)

// choose returns the candidate that is proposed, or nil. What seemed good may turn out not to be: then the others are
// waited for after all. Where every candidate is out, the primary's is proposed, as if we weren't there: without one,
// an empty slot is certain.
func (p *proposal) choose(ctx context.Context) *candidate {
	for {
		p.gather(ctx)
		if best := p.best(ctx); best != nil {
			return best
		}
		if !p.mayWait(ctx) {
			return p.lastResort()
		}
	}
}

// best returns the best candidate that can be proposed as it is, or nil.
func (p *proposal) best(ctx context.Context) *candidate {
	if p.build == nil {
		return p.newest(ctx)
	}
	rank(p.candidates, p.isPrimary, p.hasWon)
	return p.sound(ctx)
}

// hasWon reports whether a candidate is of the node whose payload the CL got before: it may have promised that one to
// others.
func (p *proposal) hasWon(c *candidate) bool { return c.Node.ID == p.build.Winner }

func (p *proposal) isPrimary(c *candidate) bool { return c.Node == p.fleet.Pool.Primary() }

// lastResort returns one of the candidates that are out, or nil. Where some are doubted only, it is one of these, the
// primary's before others: no proposal is lost to a cross-check. Otherwise it is the primary's.
func (p *proposal) lastResort() *candidate {
	left := p.candidates
	isSure := func(c *candidate) bool { return !c.isDoubted }
	if doubted := slices.DeleteFunc(slices.Clone(left), isSure); len(doubted) > 0 {
		left = doubted
	}
	switch i := slices.IndexFunc(left, p.isPrimary); {
	case i >= 0:
		return left[i]
	case len(left) > 0 && left[0].isDoubted:
		return left[0]
	}
	return nil
}

// mayWait reports whether more candidates are worth waiting for: some may come, and there is time, or nothing to lose.
func (p *proposal) mayWait(ctx context.Context) bool {
	late := p.isLate() && slices.ContainsFunc(p.candidates, (*candidate).isOffered)
	return len(p.came) < len(p.nodes) && ctx.Err() == nil && !late
}

// newest finds what an id that we don't know means: of the payloads on the present head the one with the greatest
// timestamp, or of all where none is on it.
func (p *proposal) newest(ctx context.Context) *candidate {
	if !slices.ContainsFunc(p.candidates, (*candidate).isOffered) {
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, p.deadline)
	defer cancel()
	isOnHead := p.onHead(ctx)
	var best *candidate
	for _, c := range p.candidates {
		if c.out != "" {
			continue
		}
		switch {
		case best == nil, isOnHead(c) && !isOnHead(best),
			isOnHead(c) == isOnHead(best) && c.Payload.Timestamp > best.Payload.Timestamp:
			best = c
		}
	}
	return best
}

// onHead returns what tells whether a candidate builds on the present head: that of the last forkchoiceUpdated, or, as
// long as there has been none since our start, its node's own.
func (p *proposal) onHead(ctx context.Context) (isOnHead func(*candidate) bool) {
	if head := p.fleet.Controller.Chain.Head(); head != (common.Hash{}) {
		return func(c *candidate) bool { return c.Payload.Parent == head }
	}
	heads := make([]node.Head, len(p.candidates))
	var asking sync.WaitGroup
	for i, c := range p.candidates {
		asking.Go(func() { heads[i], _ = c.Node.Latest(ctx) }) // no payload is on the zero head of one that fails
	}
	asking.Wait()
	return func(c *candidate) bool { return c.Payload.Parent == heads[slices.Index(p.candidates, c)].Hash }
}

// answer is what is proposed, or where no node had anything the primary's error, else the first node's.
func (p *proposal) answer(best *candidate) engine.Answer {
	if best != nil {
		return best.Answer
	}
	var first *fleet.Reply
	why := "no node that builds can be reached"
	for i := range p.failures {
		f := &p.failures[i]
		if f.Failure != nil {
			why = f.Node.Name() + ": " + f.Failure.Error()
			continue
		}
		if first == nil || f.Node == p.fleet.Pool.Primary() {
			first = f
		}
	}
	if first != nil {
		return first.Answer
	}
	for _, c := range p.candidates {
		why = c.Node.Name() + ": " + c.out
	}
	return engine.Unavailable(why)
}
