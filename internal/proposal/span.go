package proposal

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"executionbackup/internal/tracing"
)

// traceChoice tells in a call's span what is proposed, before the CL has it: then the span ends.
func (p *proposal) traceChoice(ctx context.Context, best *candidate) {
	span, recorded := tracing.Recorded(ctx)
	if !recorded || best == nil {
		return
	}
	span.SetAttributes(tracing.Proposed.String(best.Node.Name()), tracing.BlockHash.String(best.Payload.Hash.Hex()),
		tracing.Number.Int64(int64(best.Payload.Number)))
	if best.Value != nil {
		span.SetAttributes(tracing.Wei.String(best.Value.String()))
	}
}

// traceCheck tells in its span what came of a cross-check, and ends that.
func (p *proposal) traceCheck(span trace.Span, c *candidate) {
	if span.IsRecording() {
		outcome := "passed"
		if c.out != "" {
			outcome = "out"
		}
		span.SetAttributes(tracing.Node.String(c.Node.Name()), tracing.BlockHash.String(c.Payload.Hash.Hex()),
			tracing.Disputed.Bool(c.isDoubted), tracing.Outcome.String(outcome))
	}
	span.End()
}
