package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"runtime"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/blockhash"
	"executionbackup/internal/engine"
	"executionbackup/internal/quorum"
)

// A block is its content. The block hash in a payload is a claim, and whoever proposes a block can claim the hash of another.
// So what is remembered under a hash comes only from calls whose content has that hash: a quorum of nodes says VALID to it
// (the specification makes every one of them check that), or we have checked it ourselves, beside the wait. A call with
// another content is judged by the votes on that very call, and leaves nothing behind.

// content is what is known of a newPayload's content. It belongs to the poll's goroutine.
type content struct {
	claim
	state   contentState
	another bool // another content is known under the hash
	weak    bool // it could not be checked
	check   *hashCheck
	awaited []<-chan struct{} // checks of other calls: what was said in them is remembered when they are over
	wrong   string            // why it isn't the block's; "" where it is, or isn't known

	wrongHash bool // it is the hash that is wrong
}

type contentState uint8

const (
	unchecked contentState = iota
	genuine                // it is the block's
	forged                 // it isn't
	doubtful               // that can't be checked, and another content stands for the hash
)

// claim is a newPayload under way whose content isn't known to be the block's.
type claim struct {
	block   common.Hash
	params  []byte
	settled chan struct{} // closed when it is known; nil as long as nobody has begun to check
}

// contents are the claims under way. Safe for concurrent use. The zero value is empty.
type contents struct {
	mu   sync.Mutex
	open []*claim
}

// enter adds a claim, and tells what other claims there are to the same block: with the same content, with another.
func (c *contents) enter(cl *claim) (same, another bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.open {
		if other.block == cl.block {
			equal := bytes.Equal(other.params, cl.params)
			same, another = same || equal, another || !equal
		}
	}
	c.open = append(c.open, cl)
	return same, another
}

// checking notes that a claim is being checked.
func (c *contents) checking(cl *claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl.settled = make(chan struct{})
}

// leave removes a claim: what is known of it has been remembered, or nothing will be.
func (c *contents) leave(cl *claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.open, cl)
	if i < 0 {
		return
	}
	c.open = slices.Delete(c.open, i, i+1)
	if cl.settled != nil {
		close(cl.settled)
	}
}

// running returns what is closed when the checks of a block's claims are over, of all but one's own.
func (c *contents) running(block common.Hash, own *claim) (checks []<-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cl := range c.open {
		if cl != own && cl.block == block && cl.settled != nil {
			checks = append(checks, cl.settled)
		}
	}
	return checks
}

// hasContent reports whether the call is a payload that names its block.
func (pl *poll) hasContent() bool { return pl.named && pl.method.Family == engine.NewPayload }

// claim finds what is known of the payload's content when the call begins.
func (pl *poll) claim() {
	if !pl.hasContent() {
		return
	}
	p, c := pl.proxy, &pl.content
	c.block, c.params = pl.block, pl.request.Params
	if held, weak := p.catchUp.ring.holds(pl.block, pl.method, c.params); held {
		c.state, c.weak = genuine, weak
	}
	if pl.alone() {
		return
	}
	again := false
	if c.state != genuine {
		again, c.another = p.contents.enter(&c.claim)
		c.another = c.another || p.memory.Known(pl.block)
	}
	c.awaited = p.contents.running(pl.payload.Parent, &c.claim)
	for i := range pl.seats {
		s := &pl.seats[i]
		s.fresh = s.sent && !again && !p.memory.WasSent(s.node.ID, pl.block)
	}
	if c.state == genuine {
		pl.markSent()
	}
	if c.another || pl.matters() {
		pl.beginCheck()
	}
}

// matters reports whether what nodes said before could change a vote, if this is the block. An INVALID to its parent
// may come at any time.
func (pl *poll) matters() bool { return pl.proxy.memory.Matter(pl.block, pl.payload.Parent) }

// awaits reports whether what nodes said before isn't known yet, because another call's content is being checked.
func (c *content) awaits() bool { return c.others() != nil }

// others returns what is closed when the next of those checks is over; nil where there is none.
func (c *content) others() <-chan struct{} {
	for len(c.awaited) > 0 {
		select {
		case <-c.awaited[0]:
			c.awaited = c.awaited[1:]
		default:
			return c.awaited[0]
		}
	}
	return nil
}

// consent takes it that the content is the block's where a quorum says VALID, unless another is known. It reports whether
// that is news.
func (pl *poll) consent(given bool) bool {
	c := &pl.content
	if !given || !pl.hasContent() || c.state != unchecked || c.another {
		return false
	}
	if c.check != nil { // nobody needs it any more
		c.check.cancel()
		c.check = nil
	}
	pl.learn(quorum.Proven)
	return true
}

// learn remembers what was said, if the content stands for the hash with this proof.
func (pl *poll) learn(proof quorum.Proof) {
	p, c := pl.proxy, &pl.content
	if !p.memory.Learn(pl.block, pl.payload.Parent, proof, c.digest) {
		pl.settle(doubtful)
		return
	}
	news := c.state != genuine // else only the proof is a better one
	c.state = genuine
	p.catchUp.ring.put(pl.payload, pl.method, pl.call.Body, c.params, c.weak)
	if news && !pl.alone() {
		pl.markSent()
		for i := range pl.seats {
			if pl.votes[i].Ended && pl.seats[i].sent {
				pl.remember(i)
			}
		}
	}
	pl.answeredValid()
	pl.settle(genuine)
}

// settle ends the claim: it is known what the content is. What follows from that is drawn before others go on that wait for it.
func (pl *poll) settle(s contentState) {
	pl.content.state = s
	if pl.decided {
		pl.count()
		pl.followUp()
	}
	pl.proxy.contents.leave(&pl.content.claim)
}

// stands reports whether the content is the block's. One that couldn't be checked may have been displaced since.
func (pl *poll) stands() bool {
	c := &pl.content
	if c.state == genuine && c.weak && !pl.proxy.memory.Learn(pl.block, pl.payload.Parent, quorum.First, c.digest) {
		c.state = doubtful
	}
	return c.state == genuine
}

// digest tells the content from others.
func (c *content) digest() quorum.Digest { return sha256.Sum256(c.params) }

// markSent notes who is being sent the payload. Where that fails, it is taken back.
func (pl *poll) markSent() {
	for i := range pl.seats {
		if pl.seats[i].fresh && !pl.votes[i].Ended {
			pl.proxy.memory.Sent(pl.votes[i].Node, pl.block, pl.seats[i].breaks)
		}
	}
}

// release ends the claim: nothing more will come of the call.
func (pl *poll) release() {
	if pl.method.Family == engine.NewPayload {
		pl.proxy.contents.leave(&pl.content.claim)
	}
}

// contentArrived draws from a status what it says of the content. Where it is other than VALID, the content is checked: if
// that isn't the block's, a second witness is at hand. Where nothing can be checked, the content stands for the block that a
// voter was the first to call VALID.
func (pl *poll) contentArrived(v *quorum.Seat) {
	c := &pl.content
	switch {
	case !pl.hasContent() || pl.alone() || !v.Voter || v.Said == engine.None:
	case v.Said != engine.Valid:
		pl.beginCheck()
	case c.weak && c.state != forged:
		pl.learn(quorum.Voted)
	}
}

// hashCheck judges a payload by itself, beside the wait for the nodes' votes.
type hashCheck struct {
	done   chan struct{}
	cancel context.CancelFunc
	result blockhash.Result
}

// newHashChecks returns a place for each check that may run at once: half of the processors, so that votes don't wait.
func newHashChecks() chan struct{} { return make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)) }

// beginCheck begins to check the content, where it isn't known.
func (pl *poll) beginCheck() {
	if !pl.hasContent() || pl.content.state != unchecked || pl.content.check != nil {
		return
	}
	ctx, cancel := context.WithCancel(pl.proxy.ctx)
	c := &hashCheck{done: make(chan struct{}), cancel: cancel}
	pl.content.check = c
	if !pl.alone() {
		pl.proxy.contents.checking(&pl.content.claim)
	}
	pl.proxy.stragglers.Go(func() {
		defer cancel()
		defer close(c.done)
		select {
		case pl.proxy.hashChecks <- struct{}{}:
			defer func() { <-pl.proxy.hashChecks }()
			c.result = blockhash.Check(ctx, pl.method.Name, pl.request.Params)
		case <-ctx.Done():
			c.result = blockhash.Result{Reason: ctx.Err().Error()}
		}
	})
}

// checked returns what is closed when the check is over; nil where none runs.
func (c *content) checked() <-chan struct{} {
	if c.check == nil {
		return nil
	}
	return c.check.done
}

// takeCheck takes in what the check came to.
func (pl *poll) takeCheck() {
	c := &pl.content
	r := c.check.result
	c.check = nil
	pl.proxy.metrics.checked(r)
	log := pl.proxy.log.With("block_hash", pl.block, "number", pl.payload.Number)
	switch r.Outcome {
	case blockhash.Match:
		pl.learn(quorum.Proven)
	case blockhash.Invalid:
		c.wrong, c.wrongHash = r.Reason, r.HashMismatch
		pl.proxy.history.forged(pl.record, r.Reason)
		log.Error("payload is invalid by itself", "reason", r.Reason)
		pl.settle(forged)
	default:
		log.Warn("block hash not checked", "reason", r.Reason)
		c.weak = true
		proof := quorum.First
		if pl.voted() {
			proof = quorum.Voted
		}
		pl.learn(proof)
	}
}

// voted reports whether a voter called the payload VALID.
func (pl *poll) voted() bool {
	return slices.ContainsFunc(pl.votes, func(v quorum.Seat) bool { return v.Voter && v.Said == engine.Valid })
}

// verdict is what the CL is to hear.
type verdict struct {
	quorum.Verdict
	refuted bool // the payload shows by itself that it is invalid
	passed  bool // the only node's answer passes through
}

// judgement is what the CL is to hear, if it is due. A SYNCING is never passed on blindly: where no node has called the
// content VALID, it is checked first; so it is where what nodes said before hangs on it.
func (pl *poll) judgement(l quorum.Look) (v verdict, due bool) {
	v.Verdict = l.Verdict
	if l.Done && v.Status == engine.Syncing && pl.wordOpen() {
		pl.next = pl.settings.Grace
		return v, false
	}
	if !pl.hasContent() {
		return v, l.Done
	}
	c := &pl.content
	switch {
	case c.state == forged:
		return pl.refuted(l)
	case l.Done && c.state == unchecked && (pl.matters() || pl.proxy.memory.Known(pl.block) || pl.unknown(l.Verdict)):
		pl.beginCheck()
		return v, false
	}
	return v, l.Done
}

// unknown reports whether a verdict says that nobody knows the content.
func (pl *poll) unknown(v quorum.Verdict) bool {
	switch v.Status {
	case engine.Valid, engine.Invalid:
		return false
	case engine.None:
		return pl.commonError() == nil
	}
	return !pl.said(engine.Valid)
}

// said reports whether a status is somebody's vote.
func (pl *poll) said(s engine.Status) bool {
	return slices.ContainsFunc(pl.quorum.Ballots, func(b quorum.Ballot) bool { return b.Vote == s })
}

// refuted is the judgement on a payload whose content isn't the block's. One that is asked and says INVALID is the second
// witness. A quorum of VALID is believed more than our own check; less is a dispute.
func (pl *poll) refuted(l quorum.Look) (v verdict, due bool) {
	v.Verdict = l.Verdict
	switch {
	case pl.said(engine.Valid):
		if v.Status == engine.Valid && !l.Quorum {
			v.Verdict = quorum.Verdict{Status: engine.Syncing, Dispute: true}
		}
		return v, l.Done
	case pl.said(engine.Invalid), l.Done && pl.unknown(l.Verdict):
		return verdict{Verdict: quorum.Verdict{Status: engine.Invalid}, refuted: true}, true
	}
	return v, l.Done
}
