package tracing

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// Options are what Open needs.
type Options struct {
	Version string                // of the program
	Metrics prometheus.Registerer // with which the count of spans is registered
	Log     *slog.Logger
}

// Open returns a tracer whose spans go where the standard variables of the environment say, by OTLP over HTTP; nil
// where they name no place, or one that can't be used: that is logged, because no validator is to stand still for want
// of traces. Nobody waits for the receiver: what it doesn't take in time is dropped and counted.
func Open(o Options) *Tracer {
	spans := promauto.With(o.Metrics).NewCounterVec(prometheus.CounterOpts{
		Name: "executionbackup_trace_spans_total",
		Help: "Spans of traces, by outcome: sent; dropped for want of a receiver that takes them in time.",
	}, []string{"outcome"})
	e := &export{
		log: o.Log, sent: spans.WithLabelValues("sent"), dropped: spans.WithLabelValues("dropped"),
		over: make(chan struct{}),
	}
	to, why := destination()
	if to == nil {
		if why != "" {
			o.Log.Warn("no traces are sent", "reason", why)
		}
		return nil
	}
	hush(o.Log)
	// All else is in the environment. The URL is, too, but the library lets OTEL_EXPORTER_OTLP_INSECURE, which is about
	// URLs without a scheme, take https from one that has it: keys would go in the clear.
	sender, err := otlptracehttp.New(context.Background(),
		otlptracehttp.WithEndpointURL(to.String()), otlptracehttp.WithProxy(unlessRedirected))
	if err != nil {
		o.Log.Warn("no traces are sent", "reason", reason(err))
		return nil
	}
	e.sender = sender
	b := batches(o.Log)
	e.room = int64(b.room)
	e.queue = sdk.NewBatchSpanProcessor(exporter{e}, sdk.WithMaxQueueSize(b.room), sdk.WithMaxExportBatchSize(b.batch),
		sdk.WithBatchTimeout(b.delay), sdk.WithExportTimeout(b.giveUp))
	provider := sdk.NewTracerProvider(sdk.WithResource(about(o)), sdk.WithSpanProcessor(processor{e}))
	o.Log.Info("traces of calls are sent", "to", to.Scheme+"://"+to.Host) // without the path: some have a key in it
	return &Tracer{tracer: provider.Tracer(scope), export: e}
}

// unlessRedirected is the proxy of the environment, and an error for a request that a redirect leads to: the headers
// with our key would go to whom we don't know, and spans be lost that count as sent.
func unlessRedirected(r *http.Request) (*url.URL, error) {
	if r.Response != nil {
		return nil, errors.New("it redirects us elsewhere")
	}
	return http.ProxyFromEnvironment(r)
}

// about says who we are. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
func about(o Options) *resource.Resource {
	about, err := resource.New(context.Background(), resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(
			attribute.String("service.name", "executionbackup"), attribute.String("service.version", o.Version)),
		resource.WithFromEnv())
	if err != nil {
		o.Log.Warn("traces don't say all about us: see OTEL_RESOURCE_ATTRIBUTES")
	}
	return about
}

// Close sends what waits, until ctx ends, and returns when nothing is sent any more. No call may be under way.
func (t *Tracer) Close(ctx context.Context) {
	if t == nil {
		return
	}
	if t.export.queue.Shutdown(ctx) != nil { // the provider's own does nothing where ctx has ended
		t.export.sender.Shutdown(ctx) // breaks off what is under way
	}
	<-t.export.over
}

// export takes spans that have ended to their receiver. Safe for concurrent use.
type export struct {
	queue         sdk.SpanProcessor
	sender        sdk.SpanExporter
	log           *slog.Logger
	sent, dropped prometheus.Counter
	room          int64         // how many may wait or be under way
	pending       atomic.Int64  // how many do
	failing       atomic.Bool   // spans are being dropped, and the log has said so
	over          chan struct{} // closed when nothing is sent any more
}

// processor takes in spans that end: as many as there is room for. The queue behind it would drop the others, too, but
// tells nobody.
type processor struct{ *export }

// OnStart implements sdk.SpanProcessor.
func (p processor) OnStart(context.Context, sdk.ReadWriteSpan) {}

// OnEnd implements sdk.SpanProcessor.
func (p processor) OnEnd(s sdk.ReadOnlySpan) {
	if p.pending.Add(1) > p.room {
		p.pending.Add(-1)
		p.drop(1, "more wait than OTEL_BSP_MAX_QUEUE_SIZE")
		return
	}
	p.queue.OnEnd(s)
}

// Shutdown implements sdk.SpanProcessor.
func (p processor) Shutdown(ctx context.Context) error { return p.queue.Shutdown(ctx) }

// ForceFlush implements sdk.SpanProcessor.
func (p processor) ForceFlush(ctx context.Context) error { return p.queue.ForceFlush(ctx) }

// exporter is what the queue hands spans to.
type exporter struct{ *export }

// ExportSpans implements sdk.SpanExporter.
func (e exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := e.sender.ExportSpans(ctx, spans)
	e.pending.Add(-int64(len(spans)))
	lost := len(spans)
	if rejected, partly := rejects(err); err == nil || partly {
		lost = min(rejected, len(spans))
	}
	e.sent.Add(float64(len(spans) - lost))
	switch {
	case lost > 0:
		e.drop(lost, reason(err))
	case e.pending.Load() <= e.room/2 && e.failing.Swap(false):
		e.log.Info("traces are taken again")
	}
	return nil
}

// drop counts spans that aren't taken, and says so where that begins.
func (e *export) drop(spans int, why string) {
	e.dropped.Add(float64(spans))
	if !e.failing.Swap(true) {
		e.log.Warn("traces are dropped: the receiver doesn't take them", "reason", why)
	}
}

// Shutdown implements sdk.SpanExporter. The queue calls it when it has handed over everything.
func (e exporter) Shutdown(ctx context.Context) error {
	defer close(e.over)
	return e.sender.Shutdown(ctx)
}

// hush has what OpenTelemetry itself logs go to our log, without the values: headers with credentials are among them.
// Of an error, what stands behind the first colon is one: "unsupported sampler: …".
func hush(log *slog.Logger) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		what, _, _ := strings.Cut(err.Error(), ":")
		log.Warn("OpenTelemetry: " + what[:min(len(what), maxReason)])
	}))
	otel.SetLogger(wordless(log))
}
