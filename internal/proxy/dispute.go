package proxy

import (
	"log/slog"

	"executionbackup/internal/engine"
)

// reportDispute says that nodes disagree about a block, each with what it said.
func (pl *poll) reportDispute() {
	pl.proxy.metrics.disputes.WithLabelValues(pl.method.Family.String()).Inc()
	attrs := []any{"method", pl.method.Name, "block_hash", pl.block, "number", pl.payload.Number, "answer", outcome(pl.verdict)}
	for i := range pl.seats {
		s, v := &pl.seats[i], &pl.votes[i]
		said := pl.shown(i).Status
		switch {
		case pl.vote(i) == engine.Invalid && s.status.Status != engine.Invalid:
			said += " (it stands by an earlier INVALID)"
		case s.status.Status == engine.Invalid && pl.vote(i) != engine.Invalid:
			said += " (doesn't count: restarted, and not yet seen to follow)"
		case !v.Ended:
			said = "no answer yet"
		}
		if s.status.ValidationError != "" {
			said += ": " + s.status.ValidationError
		}
		attrs = append(attrs, slog.String(s.node.Name(), said))
	}
	pl.proxy.log.Error("dispute: nodes disagree about a block", attrs...)
}

// reportLate says that a node objects to a block after the CL has its answer. The objection binds what comes after.
func (pl *poll) reportLate(s *seat) {
	pl.proxy.metrics.lateObjections.Inc()
	if pl.record == nil {
		pl.record = newRecord(pl)
		pl.record.Verdict, pl.record.Took = outcome(pl.verdict), pl.took
	}
	pl.proxy.history.objected(pl.record)
	pl.proxy.log.Error("late objection: a node calls a block INVALID that was answered otherwise",
		"node", s.node.Name(), "method", pl.method.Name, "block_hash", pl.block, "number", pl.payload.Number,
		"answer", outcome(pl.verdict), "duration", s.took, "reason", s.status.ValidationError)
}
