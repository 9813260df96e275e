package verdict

import (
	"log/slog"
	"sync"
	"time"

	"executionbackup/internal/config"
	"executionbackup/internal/engine"
	"executionbackup/internal/evidence"
	"executionbackup/internal/node"
)

// Mode is who answers the CL in a call. The zero value is mode Active: we do.
type Mode struct {
	Alone *node.Node // that alone answers, in modes Shadow and Off; else nil
	Off   bool       // no other node is asked
}

// shadow is what the CL hears in a poll in shadow mode: what one node answers, as it came, and as soon as it has come.
// Our verdict is worked out beside it, and whatever follows from a verdict follows from that, so that all is as it
// would be if it had been given. Nobody waits for it, and nothing that the CL does next hurries it.
type shadow struct {
	on       bool
	seat     int           // of the node that answers
	told     bool          // the CL has its answer
	answer   engine.Answer // that it has
	took     time.Duration // until it had that
	ours     engine.Answer // what it would have heard of us, once that is decided
	disputed bool          // there would have been a dispute
	isNews   bool          // the last call of the family brought no such difference
}

// tell gives the CL its answer in shadow mode, as soon as the node has answered. Where it says nothing, the CL hears
// what it would hear if there were but that node.
func (pl *poll) tell() {
	sh := &pl.shadow
	if !sh.on || sh.told {
		return
	}
	s, v := &pl.seats[sh.seat], &pl.votes[sh.seat]
	switch {
	case v.Ended && s.Whole != nil:
		sh.answer = s.Answer
		sh.answer.Verbatim = true
	case !v.Ended && time.Since(pl.begun) < v.Due:
		return
	case pl.hasContent() && pl.content.state == unknown: // no SYNCING goes out unchecked
		pl.beginCheck()
		return
	case pl.content.state == forged:
		sh.answer = pl.refutation()
	default:
		sh.answer.Status = engine.Syncing
	}
	sh.told, sh.took = true, time.Since(pl.begun)
	pl.traceAnswer(sh.answer.Status)
	pl.answer <- given{Answer: sh.answer}
	pl.compareShadow()
}

// isTold reports whether the CL has its answer.
func (pl *poll) isTold() bool { return pl.decided && !pl.shadow.on || pl.shadow.told }

// compareShadow compares what the CL heard in shadow mode with what it would have heard of us, once both are known.
func (pl *poll) compareShadow() {
	sh := &pl.shadow
	if !sh.on || !sh.told || !pl.decided {
		return
	}
	pl.fleet.Answered(pl.nodes, &pl.call)
	if sh.ours.PayloadID != "" && sh.answer.PayloadID != "" {
		pl.startBuild(sh.answer.PayloadID) // the id that the CL knows
		pl.fleet.SaveBuild(pl.session, sh.answer.PayloadID)
	}
	pl.fleet.CountShadow(heard(pl.verdict), pl.did())
	if pl.record != nil {
		pl.fleet.History.Heard(pl.record, pl.did(), sh.took)
	}
	pl.reportShadow()
	pl.keep(&sh.ours, sh.disputed)
}

// did is what the CL heard in shadow mode; "" while it has no answer.
func (pl *poll) did() string {
	if !pl.shadow.told {
		return ""
	}
	return heard(pl.shadow.answer.Status)
}

// reportShadow logs where a difference begins, and where it ends: a node that is behind gives the same one for hours.
func (pl *poll) reportShadow() {
	would, did := heard(pl.verdict), pl.did()
	now, attrs := "", []any{
		"method", pl.call.Method.Name, "block_hash", pl.call.Block, "number", pl.number(), "heard", did, "would", would,
	}
	if would != did {
		now = would + " " + did
	}
	switch was := pl.bench.differences.note(pl.call.Method.Family, now); {
	case was == now:
	case now == "":
		pl.log().Info("shadow: the consensus client hears what it would hear of us again", attrs...)
	default:
		pl.shadow.isNews = true
		pl.log().Warn("shadow: the consensus client heard something else than it would have heard of us", attrs...)
	}
}

// isEvidence reports whether what the CL heard in shadow mode differs from what it would have heard, so that it is to
// be kept: where a difference begins, and wherever one of both is INVALID.
func (pl *poll) isEvidence() bool {
	sh := &pl.shadow
	if !sh.on || !sh.told || sh.answer.Status == pl.verdict {
		return false
	}
	return sh.isNews || sh.answer.Status == engine.Invalid || pl.verdict == engine.Invalid
}

// log is where the poll is reported, with the mode where that isn't active.
func (pl *poll) log() *slog.Logger {
	if pl.shadow.on {
		return pl.fleet.Log.With("mode", config.Shadow)
	}
	return pl.fleet.Log
}

// differences are what the CL heard otherwise than it would have heard of us, when it last did: of each family of
// methods, in words. Safe for concurrent use; the zero value has none.
type differences struct {
	mu   sync.Mutex
	last map[engine.Family]string // "" where there was none
}

// note takes in the last, "" where there was none, and returns the one before.
func (d *differences) note(f engine.Family, now string) (was string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil {
		d.last = make(map[engine.Family]string)
	}
	was, d.last[f] = d.last[f], now
	return was
}

// noteMissed takes in that a payload goes to one node alone, and the others lack it. Where another was alone before,
// this one lacks what went there, and is fed what was kept.
func (b *Bench) noteMissed(mode Mode, c *engine.Call) {
	if !mode.Off || c.Method.Family != engine.NewPayload {
		return
	}
	if had := b.alone.Swap(mode.Alone); had != nil && had != mode.Alone {
		b.catchUp.Missed(mode.Alone)
	}
}

// Rejoin draws what follows from mode Off when it is over: the nodes that got no payloads are behind, so that they
// aren't asked what they can't know, and are fed what was kept.
func (b *Bench) Rejoin() {
	if b.alone.Load() == nil {
		return
	}
	had := b.alone.Swap(nil)
	if had == nil {
		return
	}
	for _, n := range b.fleet.Pool.Nodes() {
		if n != had {
			n.FellBehind()
			b.catchUp.Missed(n)
		}
	}
}

// tallyTried counts the VALIDs and INVALIDs of nodes that are tried (#shadow) beside what the CL heard of us, and says
// where one of them would have objected, or would have condemned nothing.
func (pl *poll) tallyTried() {
	definite := pl.verdict == engine.Valid || pl.verdict == engine.Invalid
	for i := range pl.seats {
		s := &pl.seats[i]
		if !s.node.Spec().Shadow || s.Status != engine.Valid && s.Status != engine.Invalid {
			continue
		}
		s.node.Count(func() { pl.bench.metrics.tried(s.node.Name(), s.Status, pl.verdict) })
		if definite {
			s.node.Track.Voted(s.Status == pl.verdict)
		}
		if s.Status == pl.verdict || !definite && s.Status == engine.Valid {
			continue
		}
		pl.log().Warn("a node that is tried (#shadow) says something else than we did", "node", s.node.Name(),
			"method", pl.call.Method.Name, "block_hash", pl.call.Block, "number", pl.number(),
			"status", s.Status.String(), "answer", heard(pl.verdict), "reason", engine.Excerpt(s.ValidationError))
		pl.keepTried(s)
	}
}

// keepTried hands the call to the evidence, if that hasn't got it.
func (pl *poll) keepTried(s *seat) {
	if pl.isKept || !pl.isWanted(evidence.Tried) {
		return
	}
	e := pl.whole(evidence.Tried)
	e.Why = s.node.Name() + ", which is tried, says " + s.Status.String()
	pl.fleet.Evidence.Add(e)
}
