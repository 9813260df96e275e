package tracing

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// call does all that is done for a call to two nodes, as far as nothing is traced.
func call(ctx context.Context, t *Tracer, h http.Header) (told string) {
	ctx = WithParent(ctx, h)
	ctx, span := t.Call(ctx, "engine_newPayloadV4")
	defer span.End()
	for _, node := range []string{"geth", "besu"} {
		ctx, span := Client(Carry(context.Background(), ctx), "engine_newPayloadV4", node)
		told = Parent(ctx)
		if _, recorded := Recorded(ctx); recorded {
			panic("recorded")
		}
		span.End()
	}
	_, check := Child(ctx, "hash check")
	check.End()
	return told
}

// Nothing is allocated where nothing is traced.
func TestNoAllocation(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { call(t.Context(), nil, nil) }); n > 0 {
		t.Errorf("%v allocations for a call that isn't traced", n)
	}
}

func BenchmarkOff(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		call(b.Context(), nil, nil)
	}
}

// Where nothing is traced, what the consensus client says goes on to the nodes; what can't be read doesn't.
func TestParent(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, c := range []struct{ name, header, want string }{
		{"sampled", parent, parent},
		{"not sampled", parent[:len(parent)-1] + "0", parent[:len(parent)-1] + "0"},
		{"a version to come, with more behind", "cc" + parent[2:] + "-more", parent},
		{"no version", "ff" + parent[2:], ""},
		{"more behind", parent + "-more", ""},
		{"no trace", "00-" + strings.Repeat("0", 32) + parent[35:], ""},
		{"capitals", strings.ToUpper(parent), ""},
		{"short", parent[:20], ""},
		{"empty", "", ""},
		{"endless", parent + strings.Repeat("0", 1<<16), ""},
	} {
		if got := call(t.Context(), nil, http.Header{Header: {c.header}}); got != c.want {
			t.Errorf("%s: a node is told %q, want %q", c.name, got, c.want)
		}
	}
}

// A method's name is the caller's, and must not cost the spans beside it.
func TestMethodNames(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"engine_newPayloadV4", "engine_newPayloadV4"},
		{"engine_\xff", "engine_\uFFFD"},
		{"engine_" + strings.Repeat("x", 100), "engine_" + strings.Repeat("x", maxName-7)},
	} {
		if got := spanName(c.name); got != c.want {
			t.Errorf("%q: got %q, want %q", c.name, got, c.want)
		} else if len(c.name) > maxName && unsafe.StringData(got) == unsafe.StringData(c.name) {
			t.Errorf("%.20q…: all %d bytes are kept", c.name, len(c.name))
		}
	}
}

// Where spans go, and what is said where they can't.
func TestOpen(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for _, c := range []struct {
		name        string
		environment map[string]string
		on          bool
		says        string // in the log; "" for nothing
	}{
		{"nothing is set", nil, false, ""},
		{"an endpoint", map[string]string{endpoint: "http://127.0.0.1:4318"}, true, "to=http://127.0.0.1:4318"},
		{"one for traces wins", map[string]string{
			endpoint: "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://127.0.0.1:4318/v1/traces",
		}, true, "to=https://127.0.0.1:4318\n"},
		{"a secret in it", map[string]string{endpoint: "https://hunter2:hunter2@127.0.0.1:4318/hunter2?key=hunter2"},
			true, "to=https://127.0.0.1:4318\n"},
		{"a secret in a header that can't be read", map[string]string{
			endpoint: "http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_HEADERS": "hunter2",
		}, true, "level=WARN"},
		{"switched off", map[string]string{endpoint: "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}, false, ""},
		{"none", map[string]string{endpoint: "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}, false, ""},
		{"another exporter", map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"},
			false, `OTEL_TRACES_EXPORTER is \"zipkin\"`},
		{"the default place", map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, "to=http://localhost:4318"},
		{"gRPC", map[string]string{endpoint: "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
			false, `OTEL_EXPORTER_OTLP_PROTOCOL is \"grpc\"`},
		{"JSON", map[string]string{endpoint: "http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
			true, "to=http://127.0.0.1:4318"},
		{"no URL", map[string]string{endpoint: "127.0.0.1:4318"}, false, "is no http or https URL"},
		{"a certificate that isn't there", map[string]string{
			endpoint: "https://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere",
		}, true, "level=WARN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, value := range c.environment {
				t.Setenv(name, value)
			}
			var said bytes.Buffer
			tracer := Open(Options{
				Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(&said, nil)),
			})
			if _, span := tracer.Call(t.Context(), "eth_chainId"); span.IsRecording() != c.on {
				t.Errorf("a call is recorded: %t, want %t", !c.on, c.on)
			}
			tracer.Close(t.Context())
			if c.says == "" && said.Len() > 0 || !strings.Contains(said.String(), c.says) {
				t.Errorf("the log says %q, want %q", &said, c.says)
			}
			if strings.Contains(said.String(), "hunter2") {
				t.Errorf("the log has a secret: %s", &said)
			}
		})
	}
}

// receiver returns a server that takes spans at one path, and that path's calls.
func receiver(t *testing.T, serve http.HandlerFunc, secured bool) (url string, asked <-chan string) {
	t.Helper()
	paths := make(chan string, 100)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths <- r.URL.Path
		if serve != nil {
			serve(w, r)
		}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if secured {
		server.StartTLS()
		file := filepath.Join(t.TempDir(), "ca.pem")
		pem := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		if err := os.WriteFile(file, pem, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", file)
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server.URL, paths
}

// sent is what is counted and logged when spans have gone to where the environment says.
type sent struct {
	sent, dropped float64
	log           string
}

// send sends spans, a batch for each.
func send(t *testing.T, spans int) sent {
	t.Helper()
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
	var said bytes.Buffer
	metrics := prometheus.NewRegistry()
	tracer := Open(Options{Metrics: metrics, Log: slog.New(slog.NewTextHandler(&said, nil))})
	for range spans {
		_, span := tracer.Call(t.Context(), "eth_chainId")
		span.End()
	}
	tracer.Close(t.Context())
	count := func(outcome string) float64 {
		families, err := metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range families[0].Metric {
			if m.Label[0].GetValue() == outcome {
				return m.Counter.GetValue()
			}
		}
		return 0
	}
	return sent{count("sent"), count("dropped"), said.String()}
}

// A URL says where spans go, and whether that is encrypted: no other variable does. Its path is taken as the
// specification has it.
func TestEndpoints(t *testing.T) {
	const whole, base = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
	for _, c := range []struct {
		name, variable, path, insecure string
		secured                        bool
		want                           string
	}{
		{"http", base, "", "", false, "/v1/traces"},
		{"a path before it", base, "/otlp/", "", false, "/otlp/v1/traces"},
		{"for traces", whole, "/api/traces", "", false, "/api/traces"},
		{"for traces, with no path", whole, "", "", false, "/"},
		{"https", base, "", "", true, "/v1/traces"},
		{"https that isn't secure", base, "", "true", true, "/v1/traces"},
		{"https for traces that isn't secure", whole, "/v1/traces", "true", true, "/v1/traces"},
		{"http that is secure", base, "", "false", false, "/v1/traces"},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, asked := receiver(t, nil, c.secured)
			t.Setenv(c.variable, url+c.path)
			t.Setenv("OTEL_EXPORTER_OTLP_INSECURE", c.insecure)
			if got := send(t, 1); got.sent != 1 {
				t.Fatalf("got %+v", got)
			}
			if got := <-asked; got != c.want {
				t.Errorf("spans went to %s, want %s", got, c.want)
			}
		})
	}
}

// A redirect isn't followed: the key is for the receiver that was named.
func TestRedirects(t *testing.T) {
	for _, code := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect} {
		elsewhere, asked := receiver(t, nil, false)
		named, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere+"/hunter2", code)
		}, false)
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", named)
		t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2")
		got := send(t, 1)
		if got.dropped != 1 || got.sent != 0 || !strings.Contains(got.log, "redirects") {
			t.Errorf("%d: got %+v, want the span dropped", code, got)
		}
		if len(asked) > 0 || strings.Contains(got.log, "hunter2") {
			t.Errorf("%d: %d requests went elsewhere; the log says %q", code, len(asked), got.log)
		}
	}
}

// A receiver that takes spans but for some says so, and one that takes all may have something to say.
func TestPartialSuccess(t *testing.T) {
	for _, c := range []struct {
		name, says    string
		sent, dropped float64
	}{
		{"one of one", `{"partialSuccess":{"rejectedSpans":"1","errorMessage":"hunter2"}}`, 0, 1},
		{"none, and advice", `{"partialSuccess":{"errorMessage":"hunter2 (1 spans rejected) use gzip"}}`, 1, 0},
		{"more than it got", `{"partialSuccess":{"rejectedSpans":"9223372036854775807"}}`, 0, 1},
		{"fewer than none", `{"partialSuccess":{"rejectedSpans":"-1"}}`, 0, 1},
		{"nothing", `{}`, 1, 0},
	} {
		url, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, c.says)
		}, false)
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
		got := send(t, 1)
		if got.sent != c.sent || got.dropped != c.dropped || strings.Contains(got.log, "hunter2") ||
			strings.Contains(got.log, "dropped") != (c.dropped > 0) {
			t.Errorf("%s: got %+v, want %v sent and %v dropped", c.name, got, c.sent, c.dropped)
		}
	}
}

// What a receiver says, at whatever length, is no part of the log.
func TestReceiversWords(t *testing.T) {
	long := strings.Repeat("hunter2", 1<<17)
	for name, raw := range map[string]string{
		"a status line":     "HTTP/1.1 403 " + long + "\r\nContent-Length: 0\r\n\r\n",
		"no HTTP":           long + "\r\n\r\n",
		"a status":          "HTTP/1.1 " + long + "\r\n\r\n",
		"where it is":       "HTTP/1.1 302 Found\r\nLocation: http://%zz" + long + "\r\nContent-Length: 0\r\n\r\n",
		"busy":              "HTTP/1.1 503 Busy\r\nRetry-After: 9223372036854775807\r\n\r\nhunter2",
		"a megabyte":        "HTTP/1.1 400 Bad\r\nContent-Length: 917504\r\n\r\n" + long,
		"more than we read": "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat(long, 8),
	} {
		url, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			connection, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				io.WriteString(connection, raw)
				connection.Close()
			}
		}, false)
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
		t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "500")
		got := send(t, 1)
		if got.dropped != 1 || strings.Contains(got.log, "hunter2") || len(got.log) > 1000 {
			t.Errorf("%s: %v dropped, %d bytes of log: %.500s", name, got.dropped, len(got.log), got.log)
		}
	}
}

// The log says when spans begin to be dropped, also for want of room alone.
func TestNoRoom(t *testing.T) {
	let := make(chan struct{})
	url, asked := receiver(t, func(http.ResponseWriter, *http.Request) { <-let }, false)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "2")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
	said := make(chan string, 100)
	tracer := Open(Options{Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(lines(said), nil))})
	for range 10 {
		_, span := tracer.Call(t.Context(), "eth_chainId")
		span.End()
	}
	<-asked
	close(let)
	tracer.Close(t.Context())
	got := ""
	for len(said) > 0 {
		got += <-said
	}
	if strings.Count(got, "are dropped") != 1 || strings.Count(got, "taken again") != 1 {
		t.Errorf("the log says %s", got)
	}
}

// The end comes though there is no time left for it, and the receiver hangs.
func TestCloseWithoutTime(t *testing.T) {
	let := make(chan struct{})
	url, asked := receiver(t, func(http.ResponseWriter, *http.Request) { <-let }, false)
	defer close(let)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
	tracer := Open(Options{Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
	for range 10 {
		_, span := tracer.Call(t.Context(), "eth_chainId")
		span.End()
	}
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	closed := make(chan struct{})
	go func() {
		tracer.Close(ctx)
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("Close doesn't return")
	}
}

// lines is a writer to a channel.
type lines chan<- string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// A certificate for an endpoint without encryption is a mistake that the log names.
func TestCertificateForHTTP(t *testing.T) {
	receiver(t, nil, true) // whose certificate is in the environment now
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	if got := send(t, 1); !strings.Contains(got.log, "OTEL_EXPORTER_OTLP_CERTIFICATE and its like are for https") {
		t.Errorf("the log says %s", got.log)
	}
}

// Numbers that OpenTelemetry's own library would panic at, spin on or fill the memory with.
func TestBadNumbers(t *testing.T) {
	const queue, batch = "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
	const delay, giveUp = "OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT"
	for name, values := range map[string][]string{
		queue:  {"-5", "0", "2147483647", "9223372036854775807", "many"},
		batch:  {"-1", "0", "9223372036854775807", "1e3"},
		delay:  {"-1", "0", "9223372036854775807", "soon"},
		giveUp: {"-1", "0", "9223372036854775807"},
	} {
		for _, value := range values {
			t.Run(name+"="+value, func(t *testing.T) {
				t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
				t.Setenv(name, value)
				var said bytes.Buffer
				log := slog.New(slog.NewTextHandler(&said, nil))
				Open(Options{Metrics: prometheus.NewRegistry(), Log: log}).Close(t.Context())
				if !strings.Contains(said.String(), name+" can't be used") {
					t.Errorf("the log doesn't name the variable: %s", &said)
				}
				want := batching{room: 2048, batch: 512, delay: 5 * time.Second, giveUp: 30 * time.Second}
				if got := batches(log); got != want {
					t.Errorf("got %+v, want what is usual: %+v", got, want)
				}
			})
		}
	}
	t.Setenv(queue, "20")
	t.Setenv(delay, "10")
	want := batching{room: 20, batch: 20, delay: 10 * time.Millisecond, giveUp: 30 * time.Second}
	if got := batches(slog.New(slog.DiscardHandler)); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// No variable keeps us from starting, whatever is in it, or comes to stand in the log.
func TestBadVariables(t *testing.T) {
	values := []string{
		"hunter2", "-1", "0", "9223372036854775807", "hunter2=hunter2", "hunter2=%FFhunter2", "=,=hunter2,;", "%",
		"\xffhunter2", "http://%zzhunter2", "http://hunter2:hunter2@127.0.0.1:1/hunter2", "/nowhere/hunter2",
		strings.Repeat("hunter2,", 1<<12),
	}
	for _, name := range []string{
		"OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_LOG_LEVEL", "OTEL_PROPAGATORS", "OTEL_SDK_DISABLED",
		"OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_ENTITIES", "OTEL_CONFIG_FILE",
		"OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT", "OTEL_BSP_MAX_QUEUE_SIZE",
		"OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
		"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
		"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_SPAN_LINK_COUNT_LIMIT",
		"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
		"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
		"OTEL_EXPORTER_OTLP_INSECURE", "OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_CERTIFICATE",
		"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY",
		"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
		"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_COMPRESSION",
		"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
		"OTEL_GO_X_OBSERVABILITY", "OTEL_GO_X_RESOURCE", "HTTP_PROXY",
	} {
		for _, value := range values {
			t.Run(name, func(t *testing.T) {
				t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
				t.Setenv(name, value)
				var said bytes.Buffer
				log := slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug - 10}))
				tracer := Open(Options{Metrics: prometheus.NewRegistry(), Log: log})
				ctx, span := tracer.Call(t.Context(), "eth_chainId")
				_, child := Client(ctx, "eth_chainId", "geth")
				child.SetAttributes(Node.String("geth"))
				child.End()
				span.End()
				tracer.Close(t.Context())
				if strings.Contains(said.String(), "hunter2") {
					t.Errorf("%.40q: the log has it: %.300s", value, &said)
				}
			})
		}
	}
}

// A sampler that there isn't would trace all, and nobody would know why.
func TestBadSampler(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	for _, c := range []struct{ sampler, arg, want string }{
		{"one in ten", "", "unsupported sampler"},
		{"parentbased_traceidratio", "10%", "parsing sampler argument"},
		{"parentbased_traceidratio", "10", "invalid trace ID ratio"},
	} {
		t.Setenv("OTEL_TRACES_SAMPLER", c.sampler)
		t.Setenv("OTEL_TRACES_SAMPLER_ARG", c.arg)
		var said bytes.Buffer
		log := slog.New(slog.NewTextHandler(&said, nil))
		Open(Options{Metrics: prometheus.NewRegistry(), Log: log}).Close(t.Context())
		if !strings.Contains(said.String(), c.want) {
			t.Errorf("%s %s: the log says %s, want %q", c.sampler, c.arg, &said, c.want)
		}
	}
}

// Why spans weren't taken is said without secrets.
func TestReason(t *testing.T) {
	refused := &url.Error{Op: "Post", URL: "https://x:hunter2@host/hunter2", Err: errors.New("connection refused")}
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("traces export: %w", refused), "connection refused"},
		{errors.New("traces export: failed to send to http://host/hunter2: 401 Unauthorized (body: hunter2)"),
			"it answers 401 Unauthorized"},
		{fmt.Errorf("traces export: %w", context.DeadlineExceeded), "it doesn't answer in time"},
		{errors.New("retry-able request failure: body: hunter2"),
			"it answers that it is too busy: 429, 502, 503 or 504"},
		{errors.New("traces export: response body too large: exceeded 4194304 bytes"), "see its own log"},
	} {
		if got := reason(c.err); got != c.want {
			t.Errorf("%v: got %q, want %q", c.err, got, c.want)
		}
	}
}

// A consensus client that isn't traced itself decides that its calls aren't.
func TestSampling(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	tracer := Open(Options{Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
	defer tracer.Close(t.Context())
	for _, c := range []struct {
		flags trace.TraceFlags
		want  bool
	}{{trace.FlagsSampled, true}, {0, false}} {
		caller := trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: c.flags, Remote: true,
		})
		ctx, span := tracer.Call(trace.ContextWithRemoteSpanContext(t.Context(), caller), "eth_chainId")
		if IsOn(ctx) != c.want || span.IsRecording() != c.want || span.SpanContext().TraceID() != caller.TraceID() {
			t.Errorf("flags %v: on %t, span %v, want %t", c.flags, IsOn(ctx), span.SpanContext(), c.want)
		}
		if told := Parent(ctx); !strings.HasSuffix(told, c.flags.String()) {
			t.Errorf("flags %v: a node is told %q", c.flags, told)
		}
		span.End()
		if _, late := Child(ctx, "hash check"); IsOn(ctx) && !late.IsRecording() {
			t.Error("what begins when its call has ended isn't recorded")
		}
	}
}
