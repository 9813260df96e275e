package tracing

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Header is the header that says which span a request belongs to (W3C Trace Context, section 3.2).
const Header = "Traceparent"

// WithParent returns ctx with the span that a request belongs to, where its header names one. What can't be read, or
// comes more than once, is ignored, as the specification asks.
func WithParent(ctx context.Context, h http.Header) context.Context {
	values := h[Header]
	if len(values) != 1 {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": values[0]})
}

// Parent returns what a request's header says that belongs to the span in ctx; "" where there is none.
func Parent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}
