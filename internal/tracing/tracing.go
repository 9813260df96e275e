// Package tracing makes spans of calls (OpenTelemetry), where the environment says where they are to go. A call's span
// travels in its context, and so does the one of a consensus client that says what its call belongs to: whoever makes a
// part of the call begins a child of it there. Where nothing is traced, nothing is made and nothing is allocated.
package tracing

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Tracer begins the spans of calls. Nil traces nothing. Safe for concurrent use.
type Tracer struct {
	tracer trace.Tracer
	export *export
}

// scope names us as the origin of spans.
const scope = "executionbackup"

// Call begins the span of a call that a consensus client makes, under the span in ctx, if that has one. What is
// returned has the call's own. Whoever answers the call ends it.
func (t *Tracer) Call(ctx context.Context, method string) (context.Context, trace.Span) {
	if t == nil {
		return ctx, none
	}
	return t.tracer.Start(ctx, spanName(method), trace.WithSpanKind(trace.SpanKindServer))
}

// maxName is how long a span's name may be, in bytes.
const maxName = 64

// spanName is a method that a caller named, as OTLP takes it: one string that is no UTF-8 would cost all spans that are
// sent with it. A name of megabytes isn't kept for the sake of its beginning.
func spanName(method string) string {
	if len(method) > maxName {
		method = strings.Clone(method[:maxName])
	}
	return strings.ToValidUTF8(method, "\uFFFD")
}

// none is a span that records nothing.
var none = trace.SpanFromContext(context.Background())

// IsOn reports whether the span in ctx is one of ours that is sent, and so will be what begins under it, also when that
// span has ended.
func IsOn(ctx context.Context) bool {
	of := trace.SpanContextFromContext(ctx)
	return of.IsSampled() && !of.IsRemote()
}

// Recorded returns the span in ctx, and whether it takes in what is said to it: it is sent, and hasn't ended.
func Recorded(ctx context.Context) (span trace.Span, recorded bool) {
	span = trace.SpanFromContext(ctx)
	return span, span.IsRecording()
}

// Child begins a span of our own work under the one in ctx, where that is on. It is to be ended.
func Child(ctx context.Context, name string) (context.Context, trace.Span) {
	return child(ctx, name, trace.SpanKindInternal, time.Time{})
}

// Client begins the span of a call to a node under the one in ctx, where that is on. It is to be ended.
func Client(ctx context.Context, method, node string) (context.Context, trace.Span) {
	if !IsOn(ctx) {
		return ctx, none
	}
	return child(ctx, spanName(method)+" "+node, trace.SpanKindClient, time.Time{})
}

// Since is Child for what began at a time.
func Since(ctx context.Context, name string, begun time.Time) trace.Span {
	_, span := child(ctx, name, trace.SpanKindInternal, begun)
	return span
}

func child(ctx context.Context, name string, kind trace.SpanKind, begun time.Time) (context.Context, trace.Span) {
	if !IsOn(ctx) {
		return ctx, none
	}
	tracer := trace.SpanFromContext(ctx).TracerProvider().Tracer(scope)
	return tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithTimestamp(begun)) // the zero time is now
}

// Carry returns a context of another life with the span that is in from: what outlives a call belongs to it all the
// same.
func Carry(life, from context.Context) context.Context {
	span := trace.SpanFromContext(from)
	if !span.SpanContext().IsValid() {
		return life
	}
	return trace.ContextWithSpan(life, span)
}

// Attribute names. The words are those of the log and of the metrics.
const (
	Node      = attribute.Key("executionbackup.node")       // its name
	BlockHash = attribute.Key("executionbackup.block_hash") // that a call is about
	Number    = attribute.Key("executionbackup.number")     // of that block
	Verdict   = attribute.Key("executionbackup.verdict")    // that the consensus client hears: a status, or error
	Disputed  = attribute.Key("executionbackup.disputed")   // whether nodes disagree about the block
	Rule      = attribute.Key("executionbackup.rule")       // that decided the dispute
	Status    = attribute.Key("executionbackup.status")     // that a node answers
	Missing   = attribute.Key("executionbackup.missing")    // names of the nodes that hadn't answered
	Proposed  = attribute.Key("executionbackup.proposed")   // name of the node whose payload is proposed
	Wei       = attribute.Key("executionbackup.value")      // of the payload that is proposed, in wei
	Outcome   = attribute.Key("executionbackup.outcome")    // of a check
)
