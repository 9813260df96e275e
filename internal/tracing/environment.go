package tracing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// destination is the URL to which spans are to go; nil where they aren't to go anywhere, and why if somebody meant them
// to. The variables are those of opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables and of
// opentelemetry.io/docs/specs/otel/protocol/exporter. OpenTelemetry's own library reads them again, with all others.
func destination() (to *url.URL, why string) {
	exporter, whole, base := variable("OTEL_TRACES_EXPORTER"), variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
		variable("OTEL_EXPORTER_OTLP_ENDPOINT")
	protocol := variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
	switch {
	case strings.EqualFold(variable("OTEL_SDK_DISABLED"), "true"), exporter == "none":
		return nil, ""
	case exporter == "" && whole == "" && base == "":
		return nil, ""
	case exporter != "" && exporter != "otlp":
		return nil, fmt.Sprintf("OTEL_TRACES_EXPORTER is %q: we know otlp", exporter)
	case protocol != "" && protocol != "http/protobuf" && protocol != "http/json":
		return nil, fmt.Sprintf("OTEL_EXPORTER_OTLP_PROTOCOL is %q: we know http/protobuf and http/json, which a "+
			"collector takes at port 4318", protocol)
	}
	to, err := url.Parse(cmp.Or(whole, base, defaultEndpoint))
	if err != nil || to.Scheme != "http" && to.Scheme != "https" || to.Host == "" {
		return nil, "OTEL_EXPORTER_OTLP_ENDPOINT is no http or https URL"
	}
	if whole == "" {
		to = to.JoinPath("v1", "traces")
	}
	return to, ""
}

// defaultEndpoint is where traces go where nothing says where. The library's own has https.
const defaultEndpoint = "http://localhost:4318"

// variable is the value of the first environment variable that has one; "" where none has.
func variable(names ...string) string {
	for _, name := range names {
		if v := strings.TrimSpace(os.Getenv(name)); v != "" {
			return v
		}
	}
	return ""
}

// batching is how spans are gathered before they are sent.
type batching struct {
	room, batch   int           // how many may wait; how many go together
	delay, giveUp time.Duration // how long one may wait for others; how long sending a batch may take
}

// maxWait bounds times that the environment names, in milliseconds.
const maxWait = int(time.Hour / time.Millisecond)

// batches reads the variables of the batch span processor. OpenTelemetry's own library takes any number: a negative
// batch is a panic, a delay of nothing a processor's whole time, and without a time to give up one answer is waited for
// for ever.
func batches(log *slog.Logger) (b batching) {
	b.room = number("OTEL_BSP_MAX_QUEUE_SIZE", sdk.DefaultMaxQueueSize, 1<<16, log)
	b.batch = min(number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", sdk.DefaultMaxExportBatchSize, 1<<16, log), b.room)
	milliseconds := func(name string, usual int) time.Duration {
		return time.Duration(number(name, usual, maxWait, log)) * time.Millisecond
	}
	b.delay = milliseconds("OTEL_BSP_SCHEDULE_DELAY", sdk.DefaultScheduleDelay)
	b.giveUp = milliseconds("OTEL_BSP_EXPORT_TIMEOUT", sdk.DefaultExportTimeout)
	return b
}

// number is an environment variable from 1 to most, or what is usual.
func number(name string, usual, most int, log *slog.Logger) int {
	v := variable(name)
	if v == "" {
		return usual
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > most {
		log.Warn(name+" can't be used", "from", 1, "to", most, "instead", usual)
		return usual
	}
	return n
}

// How OpenTelemetry's exporter words what an HTTP response said.
var (
	refusal = regexp.MustCompile(`: (\d{3}) `)
	partial = regexp.MustCompile(`\((\d+) spans rejected\)$`)
)

// rejects reports whether a receiver took spans but for some, and how many it rejected: none where it only has
// something to say.
func rejects(err error) (spans int, partly bool) {
	if err == nil || !strings.Contains(err.Error(), "OTLP partial success: ") {
		return 0, false
	}
	said := partial.FindStringSubmatch(err.Error())
	if said == nil {
		return 0, false
	}
	spans, err = strconv.Atoi(said[1])
	return spans, err == nil
}

// reason says why spans weren't taken, without the receiver's URL and its own words: there may be secrets in these.
func reason(err error) string {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		said, _, quotes := strings.Cut(failed.Err.Error(), `"`) // what it quotes, the receiver has written
		if quotes {
			said += "…"
		}
		return strings.ToValidUTF8(said[:min(len(said), maxReason)], "\uFFFD")
	}
	if _, partly := rejects(err); partly {
		return "it rejects some of them"
	}
	said := err.Error()
	if code := refusal.FindStringSubmatch(said); code != nil && strings.Contains(said, "failed to send to ") {
		n, _ := strconv.Atoi(code[1])
		return strings.TrimSpace("it answers " + code[1] + " " + http.StatusText(n))
	}
	switch {
	case strings.Contains(said, "retry-able request failure"):
		return "it answers that it is too busy: 429, 502, 503 or 504"
	case strings.Contains(said, "TLS client configuration"):
		return "OTEL_EXPORTER_OTLP_CERTIFICATE and its like are for https"
	case strings.Contains(said, "failed to marshal "):
		return "they can't be written: is a value of OTEL_RESOURCE_ATTRIBUTES no UTF-8?"
	case errors.Is(err, context.DeadlineExceeded):
		return "it doesn't answer in time"
	}
	return "see its own log"
}

// maxReason bounds a reason, in bytes.
const maxReason = 200

// wordless returns a logger whose messages go to log without their values.
func wordless(log *slog.Logger) logr.Logger { return logr.FromSlogHandler(valueless{log.Handler()}) }

// valueless is a slog.Handler that leaves out values.
type valueless struct{ slog.Handler }

// Handle implements slog.Handler.
func (h valueless) Handle(ctx context.Context, r slog.Record) error {
	level := min(r.Level, slog.LevelWarn) // it is only about traces
	return h.Handler.Handle(ctx, slog.NewRecord(r.Time, level, "OpenTelemetry: "+r.Message, r.PC))
}

// WithAttrs implements slog.Handler.
func (h valueless) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler.
func (h valueless) WithGroup(string) slog.Handler { return h }
