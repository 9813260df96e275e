package verdict

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"executionbackup/internal/blockhash"
	"executionbackup/internal/engine"
	"executionbackup/internal/tracing"
)

// What is told of a poll in the span of its call (package tracing), and in those below it: a node's is the business of
// package node.

// traceCall tells what the call is about: at once, as its span ends when the caller has gone.
func (pl *poll) traceCall() {
	span, recorded := tracing.Recorded(pl.traced)
	if !recorded {
		return
	}
	if pl.call.Named {
		span.SetAttributes(tracing.BlockHash.String(pl.call.Block.Hex()))
	}
	if number := pl.number(); number > 0 {
		span.SetAttributes(tracing.Number.Int64(int64(number)))
	}
}

// traceAnswer tells what the CL hears, before it does: then the call's span ends.
func (pl *poll) traceAnswer(status engine.Status) {
	if span, recorded := tracing.Recorded(pl.traced); recorded {
		span.SetAttributes(tracing.Verdict.String(heard(status)))
	}
}

// traceVerdict tells what was decided, and how long that was waited for once a node had given a status. In shadow mode
// that isn't what the CL hears, and has a span of its own.
func (pl *poll) traceVerdict(dispute bool) {
	if !tracing.IsOn(pl.traced) {
		return
	}
	attributes := []attribute.KeyValue{tracing.Disputed.Bool(dispute), tracing.Rule.String(pl.rule.String())}
	if pl.shadow.on {
		would := tracing.Since(pl.traced, "would be answered", pl.begun)
		would.SetAttributes(append(attributes, tracing.Verdict.String(heard(pl.verdict)))...)
		would.End()
	} else {
		trace.SpanFromContext(pl.traced).SetAttributes(attributes...)
		pl.traceAnswer(pl.verdict)
	}
	pl.traceWait()
}

// traceWait tells for whom a verdict was waited, once a node had given a status.
func (pl *poll) traceWait() {
	var first time.Duration
	var missing []string
	for i := range pl.seats {
		s, v := &pl.seats[i], &pl.votes[i]
		switch {
		case !v.Ended:
			missing = append(missing, s.node.Name())
		case v.Said != engine.None && (first == 0 || s.took < first):
			first = s.took
		}
	}
	if first == 0 {
		return
	}
	wait := tracing.Since(pl.traced, "wait for the others", pl.begun.Add(first))
	wait.SetAttributes(tracing.Missing.StringSlice(missing))
	wait.End()
}

// traceCheck tells how long a check of the payload's content took, and what came of it.
func (pl *poll) traceCheck(r blockhash.Result) {
	if !tracing.IsOn(pl.traced) {
		return
	}
	span := tracing.Since(pl.traced, "hash check", pl.content.begun)
	span.SetAttributes(tracing.Outcome.String(r.Outcome.String()))
	span.End()
}
