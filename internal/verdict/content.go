package verdict

import (
	"crypto/sha256"
	"slices"
	"time"

	"executionbackup/internal/blockhash"
	"executionbackup/internal/claim"
	"executionbackup/internal/engine"
	"executionbackup/internal/memory"
	"executionbackup/internal/quorum"
)

// A block is its content. The block hash in a payload is a claim, and whoever proposes a block can claim the hash of
// another. So what is remembered under a hash comes only from calls whose content has that hash: a quorum of nodes says
// VALID to it (the specification makes every one of them check that), or we have checked it ourselves, beside the wait.
// A call with another content is judged by the votes on that very call, and leaves nothing behind.

// content is what is known of a newPayload's content. It belongs to the poll's goroutine.
type content struct {
	own       claim.Claim // entered where the content isn't known to be the block's
	state     contentState
	another   bool              // another content is known under the hash
	unchecked bool              // the content could not be checked
	check     *claim.Check      // ours, under way; nil where none is
	begun     time.Time         // when it was
	awaited   []<-chan struct{} // closed when other calls' checks are over, and what was said in those is remembered
	wrong     string            // why the content isn't the block's; "" where it is, or that isn't known
	wrongHash bool              // it is the block hash that is wrong, not another part of the call
}

// contentState says whether a payload's content is that of the block whose hash it claims.
type contentState uint8

const (
	unknown  contentState = iota
	genuine               // it is the block's
	forged                // it isn't the block's
	doubtful              // it can't be checked, and another content stands for the hash
)

// hasContent reports whether the call is a payload that names its block.
func (pl *poll) hasContent() bool { return pl.call.Named && pl.isPayload() }

// claim finds what is known of the payload's content when the call begins.
func (pl *poll) claim() {
	if !pl.hasContent() {
		return
	}
	c := &pl.content
	c.own.Call = pl.call.Call
	if known := pl.bench.catchUp.Same(pl.call.Call); known != nil {
		c.state, c.unchecked = genuine, known.Unchecked
	}
	if pl.alone() {
		return
	}
	again := false
	if c.state != genuine {
		again, c.another = pl.bench.claims.Enter(&c.own)
		c.another = c.another || pl.fleet.Memory.Known(pl.call.Block)
	}
	c.awaited = pl.bench.claims.Checking(pl.call.Payload.Parent, &c.own)
	for i := range pl.seats {
		s := &pl.seats[i]
		s.fresh = s.sent && !again && !pl.fleet.Memory.WasSent(s.node.ID, pl.call.Block, pl.call.Payload.Timestamp)
	}
	if c.state == genuine {
		pl.markSent()
	}
	if c.another || pl.wordsMatter() {
		pl.beginCheck()
	}
}

// wordsMatter reports whether what nodes said before could change a vote, if this is the block. An INVALID to its
// parent may come at any time.
func (pl *poll) wordsMatter() bool {
	return pl.fleet.Memory.Matter(pl.call.Block, pl.call.Payload.Parent)
}

// isAwaiting reports whether it isn't known yet what nodes said before, because another call's content is being
// checked.
func (c *content) isAwaiting() bool { return len(c.awaited) > 0 }

// others returns what is closed when the next of those checks is over; nil where there is none.
func (c *content) others() <-chan struct{} {
	if len(c.awaited) == 0 {
		return nil
	}
	return c.awaited[0]
}

// dropSettled lets go of the checks of other calls that are over, and reports whether the last of them is over now.
func (c *content) dropSettled() (last bool) {
	for len(c.awaited) > 0 {
		select {
		case <-c.awaited[0]:
			c.awaited = c.awaited[1:]
		default:
			return false
		}
		last = len(c.awaited) == 0
	}
	return last
}

// consent takes the content to be the block's where a quorum says VALID (given), unless another content is known. It
// reports whether that is news.
func (pl *poll) consent(given bool) (news bool) {
	c := &pl.content
	if !given || !pl.hasContent() || c.state != unknown || c.another {
		return false
	}
	if c.check != nil { // its result is no longer needed
		c.check.Cancel()
		c.check = nil
	}
	pl.learn(memory.Proven)
	return true
}

// learn settles that the content stands for the hash, if it does with this proof: then the payload is kept, and what
// nodes said to it is remembered.
func (pl *poll) learn(proof memory.Proof) {
	c := &pl.content
	if !pl.fleet.Memory.Learn(pl.call.Payload, proof, c.digest) {
		pl.settle(doubtful)
		return
	}
	news := c.state != genuine // otherwise only its proof has become a better one
	c.state = genuine
	if at := pl.call.Payload.Timestamp; at < uint64(pl.begun.Add(anyClock).Unix()) {
		pl.fleet.Memory.Saw(at)
	}
	pl.bench.catchUp.Keep(pl.call.Call, c.unchecked)
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

// settle ends the claim: it is known what the content is. What follows from that is drawn before the calls go on that
// wait for it.
func (pl *poll) settle(s contentState) {
	pl.content.state = s
	if pl.decided {
		pl.recount()
		pl.followUp()
	}
	pl.bench.claims.Leave(&pl.content.own)
}

// reviewContent looks again at a content that stands for its hash though nobody could check it: another one may have
// taken its place.
func (pl *poll) reviewContent() {
	c := &pl.content
	if c.state == genuine && c.unchecked &&
		!pl.fleet.Memory.Learn(pl.call.Payload, memory.First, c.digest) {
		c.state = doubtful
	}
}

// digest tells the content from others.
func (c *content) digest() memory.Digest { return sha256.Sum256(c.own.Call.Params) }

// markSent notes which nodes are being sent the payload. remember takes it back for those that can't be reached.
func (pl *poll) markSent() {
	for i := range pl.seats {
		if s := &pl.seats[i]; s.fresh && !pl.votes[i].Ended {
			pl.fleet.Memory.Sent(s.node.ID, pl.call.Block, s.breaks)
		}
	}
}

// contentArrived draws from a status what it says of the content. Where it is other than VALID, the content is checked:
// if that isn't the block's, a second witness is at hand. Where nothing can be checked, the content stands for the
// block that a voter was the first to call VALID.
func (pl *poll) contentArrived(v *quorum.Seat) {
	c := &pl.content
	switch {
	case !pl.hasContent() || pl.alone() || !v.Voter || v.Said == engine.None:
	case v.Said != engine.Valid:
		pl.beginCheck()
	case c.unchecked && c.state != forged:
		pl.learn(memory.Voted)
	}
}

// beginCheck begins to check the content, where it isn't known. The check belongs to this poll, which ends only when
// the check is over or isn't needed any more; draining waits for it.
func (pl *poll) beginCheck() {
	if !pl.hasContent() || pl.content.state != unknown || pl.content.check != nil {
		return
	}
	check, run := pl.bench.checks.Begin(pl.fleet.Context(), pl.call.Call)
	pl.content.check, pl.content.begun = check, time.Now()
	if !pl.alone() {
		pl.bench.claims.BeginCheck(&pl.content.own)
	}
	pl.fleet.Go(run)
}

// checked returns what is closed when the check is over; nil where none runs.
func (c *content) checked() <-chan struct{} {
	if c.check == nil {
		return nil
	}
	return c.check.Done
}

// takeCheck takes in the result of the check.
func (pl *poll) takeCheck() {
	c := &pl.content
	r := c.check.Result
	c.check = nil
	pl.bench.metrics.checked(r)
	pl.traceCheck(r)
	log := pl.fleet.Log.With("block_hash", pl.call.Block, "number", pl.call.Payload.Number)
	switch r.Outcome {
	case blockhash.Match:
		pl.learn(memory.Proven)
	case blockhash.Invalid:
		c.wrong, c.wrongHash = r.Reason, r.HashMismatch
		pl.fleet.History.Forged(pl.record, r.Reason)
		log.Error("payload is invalid by itself", "reason", r.Reason)
		pl.settle(forged)
	default:
		log.Warn("block hash not checked", "reason", r.Reason)
		c.unchecked = true
		proof := memory.First
		if pl.isVotedValid() {
			proof = memory.Voted
		}
		pl.learn(proof)
	}
}

// isVotedValid reports whether a voter called the block VALID, or a backup that might vote: it shows what the others
// lack, and could never take their place otherwise.
func (pl *poll) isVotedValid() bool {
	return slices.ContainsFunc(pl.votes, func(v quorum.Seat) bool {
		return (v.Voter || v.Rests) && v.Said == engine.Valid
	})
}
