package apptest

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector is a receiver of traces, by OTLP over HTTP. Safe for concurrent use.
type Collector struct {
	URL string
	// Instead, where it isn't nil, answers instead of it: spans are lost then. Not to be changed while spans may come.
	Instead http.HandlerFunc

	t     testing.TB
	mu    sync.Mutex
	spans []Span
}

// Span is a span that a collector has got.
type Span struct {
	Service           string // whose it is
	Name              string
	Trace, ID, Parent string // in hex; Parent is "" where there is none
	Kind              trace.Span_SpanKind
	Failure           string            // the description of an error; "" where there was none
	Has               map[string]string // attributes; lists with commas
	Begun, Ended      time.Time
}

// NewCollector returns a collector until the end of the test.
func NewCollector(t testing.TB) *Collector {
	c := &Collector{t: t}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

// Listen has who reads this process's environment from here on send its spans here, as soon as they have ended.
func (c *Collector) Listen(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
}

// ServeHTTP takes in spans.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.Instead != nil {
		c.Instead(w, r)
		return
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if body, err = gzip.NewReader(body); err != nil {
			c.t.Error(err)
			return
		}
	}
	raw, err := io.ReadAll(body)
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(raw, &request)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		c.t.Errorf("collector: %s %s: %v", r.Method, r.URL.Path, err)
		http.Error(w, "no spans", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range request.ResourceSpans {
		service := attributes(of.Resource.Attributes)["service.name"]
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, read(service, s))
			}
		}
	}
}

func read(service string, s *trace.Span) Span {
	span := Span{
		Service: service, Name: s.Name, Kind: s.Kind, Has: attributes(s.Attributes),
		Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId),
		Parent: hex.EncodeToString(s.ParentSpanId),
		Begun:  time.Unix(0, int64(s.StartTimeUnixNano)), Ended: time.Unix(0, int64(s.EndTimeUnixNano)),
	}
	if s.Status.GetCode() == trace.Status_STATUS_CODE_ERROR {
		span.Failure = s.Status.Message
	}
	return span
}

func attributes(of []*common.KeyValue) map[string]string {
	all := make(map[string]string)
	for _, a := range of {
		all[a.Key] = text(a.Value)
	}
	return all
}

func text(v *common.AnyValue) string {
	switch v := v.Value.(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_BoolValue:
		return strconv.FormatBool(v.BoolValue)
	case *common.AnyValue_IntValue:
		return strconv.FormatInt(v.IntValue, 10)
	case *common.AnyValue_ArrayValue:
		var all []string
		for _, entry := range v.ArrayValue.Values {
			all = append(all, text(entry))
		}
		return strings.Join(all, ",")
	}
	return "?"
}

// Spans are all that have come.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// Wait returns the first span for which is holds, once it has come.
func (c *Collector) Wait(t testing.TB, what string, is func(Span) bool) (found Span) {
	t.Helper()
	Until(t, "a span has come: "+what, func() bool {
		for _, s := range c.Spans() {
			if is(s) {
				found = s
				return true
			}
		}
		return false
	})
	return found
}

// Under waits for a child of a span with a name.
func (c *Collector) Under(t testing.TB, parent Span, name string) Span {
	t.Helper()
	return c.Wait(t, name+" under "+parent.Name, func(s Span) bool {
		return s.Trace == parent.Trace && s.Parent == parent.ID && s.Name == name
	})
}
