// Package admin is the REST API beside the CL's port: what the original has, with its field names, and what operators
// need beyond it.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"executionbackup/internal/auth"
	"executionbackup/internal/config"
	"executionbackup/internal/engine"
	"executionbackup/internal/fleet"
)

// API is the REST API's http.Handler. Its fields must be set before it serves; the funcs are asked at each request,
// because a reload may change what they return.
type API struct {
	Fleet   *fleet.Fleet        // what is shown and changed
	Metrics prometheus.Gatherer // what GET /metrics shows to Prometheus

	Ready    func() error               // nil when calls can be taken; else why not
	Defaults func() config.NodeDefaults // of a node that is added
	// Token must come with what changes something; the zero token forbids it, unless Open lets anyone.
	Token func() auth.AdminToken
	Open  func() bool

	Settings func() Settings        // those in force
	Reload   func(by string) Reload // reads the configuration again

	Audit   func(Change)                        // is told of each change that somebody with a token asks for
	Refused func(r *http.Request, reason error) // is told of each request that is refused for its token
}

// Change is what somebody asked for who may, and what became of it.
type Change struct {
	Action string   // as in the path: "drain_nodes"
	Nodes  []string // as they were named, without userinfo and options; nil where it isn't about nodes
	Mode   string   // that was asked for; "" where none was
	From   string   // whose address it came from
	Err    error    // why nothing changed
}

// RegisterHealth adds to a mux what load balancers ask for.
func (a *API) RegisterHealth(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", a.readyz)
}

// Register adds all endpoints to a mux.
func (a *API) Register(mux *http.ServeMux) {
	a.RegisterHealth(mux)
	mux.HandleFunc("GET /metrics", a.metrics)
	mux.HandleFunc("GET /recheck", a.recheck)
	mux.HandleFunc("GET /nodes", a.nodes)
	mux.HandleFunc("GET /forks", a.forks)
	mux.HandleFunc("GET /blocks", a.blocks)
	mux.HandleFunc("GET /disputes", a.disputes)
	mux.HandleFunc("GET /proposals", a.proposals)
	mux.HandleFunc("GET /evidence", a.evidence)
	mux.HandleFunc("GET /evidence/{file}", a.guarded("evidence is not handed out", a.evidenceFile))
	mux.HandleFunc("GET /config", a.config)
	mux.HandleFunc("POST /reload", a.changing(a.reload))
	for action, do := range map[string]func(nodes []string) error{
		"add_nodes": a.add, "remove_nodes": a.Fleet.RemoveNodes, "drain_nodes": a.drain(true),
		"undrain_nodes": a.drain(false), "clear_objections": a.Fleet.Pool.ClearObjections,
	} {
		mux.HandleFunc("POST /"+action, a.changing(a.change(action, do)))
	}
	mux.HandleFunc("POST /mode", a.changing(a.mode))
	a.registerProfiles(mux)
}

// readyz says whether calls can be taken, or why not; with ?voters=N also whether that many voters are alive.
func (a *API) readyz(w http.ResponseWriter, r *http.Request) {
	err := a.Ready()
	if text := r.URL.Query().Get("voters"); err == nil && text != "" {
		wanted, bad := strconv.Atoi(text)
		if bad != nil || wanted < 0 {
			http.Error(w, "voters must be a number", http.StatusBadRequest)
			return
		}
		if alive := a.Fleet.Pool.AliveVoters(); alive < wanted {
			err = fmt.Errorf("%d voters are alive, and %d are wanted", alive, wanted)
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ready\n")
}

// metrics answers in Prometheus' format where that is asked for, else with the original's JSON.
func (a *API) metrics(w http.ResponseWriter, r *http.Request) {
	if wantsPrometheus(r) {
		promhttp.HandlerFor(a.Metrics, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(w, r)
		return
	}
	writeJSON(w, http.StatusOK, a.report())
}

// wantsPrometheus reports whether a request asks for metrics in Prometheus' format.
func wantsPrometheus(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return r.URL.Query().Get("format") == "prometheus" ||
		strings.Contains(accept, "text/plain") || strings.Contains(accept, "openmetrics")
}

// recheck probes all nodes, and reports.
func (a *API) recheck(w http.ResponseWriter, r *http.Request) {
	report, err := a.rechecked(r)
	if err != nil {
		writeError(w, http.StatusServiceUnavailable, err)
		return
	}
	writeJSON(w, http.StatusOK, report)
}

// rechecked returns what is reported after a probe of all nodes.
func (a *API) rechecked(r *http.Request) (recheckReport, error) {
	took, err := a.Fleet.Pool.Recheck(r.Context())
	if err != nil {
		return recheckReport{}, fmt.Errorf("recheck: %w", err)
	}
	return recheckReport{a.report(), took.Microseconds()}, nil
}

// maxNodeList bounds the body of a change, in bytes.
const maxNodeList = 1 << 20

// changing is a handler for who may change something, and says that it sends JSON: a page of another site can't.
func (a *API) changing(serve http.HandlerFunc) http.HandlerFunc {
	return a.guarded("changes over the REST API are disabled", func(w http.ResponseWriter, r *http.Request) {
		if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
			writeError(w, http.StatusUnsupportedMediaType, errors.New("the Content-Type must be application/json"))
			return
		}
		serve(w, r)
	})
}

// change is a handler that does something with the nodes listed in the body, all or none, and reports as /recheck does.
func (a *API) change(action string, do func(nodes []string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		nodes, err := readNodes(http.MaxBytesReader(w, r.Body, maxNodeList))
		if err == nil {
			err = do(nodes)
			a.save(r.Context()) // an objection that ends, a drain
		}
		a.Audit(Change{Action: action, Nodes: forAudit(nodes), From: r.RemoteAddr, Err: err})
		if err != nil {
			writeError(w, http.StatusBadRequest, err)
			return
		}
		a.recheck(w, r)
	}
}

// save saves what a change has changed, before its answer.
func (a *API) save(ctx context.Context) {
	words, others := a.Fleet.SaveAll()
	a.Fleet.Await(ctx, words, others)
}

// maxAudited is how many nodes an audit line names.
const maxAudited = 16

// forAudit returns what a log may have of the words that somebody sent: no secrets, and not everything.
func forAudit(words []string) (shown []string) {
	for _, word := range words[:min(len(words), maxAudited)] {
		shown = append(shown, engine.Excerpt(auth.Redact(config.Redact(word))))
	}
	if more := len(words) - maxAudited; more > 0 {
		shown = append(shown, fmt.Sprintf("and %d more", more))
	}
	return shown
}

// readNodes reads the list of nodes in the body of a change.
func readNodes(body io.Reader) ([]string, error) {
	var list struct {
		Nodes []string `json:"nodes"`
	}
	if err := decode(body, &list); err != nil {
		return nil, fmt.Errorf(`the body must be {"nodes": ["…", …]}: %w`, err)
	}
	if len(list.Nodes) == 0 {
		return nil, errors.New(`the body must be {"nodes": ["…", …]}: no node is listed`)
	}
	return list.Nodes, nil
}

// decode reads the body of a change. A member that it shouldn't have is an error.
func decode(body io.Reader, into any) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// guarded is a handler for who brings the admin token. without says what is the matter where there is none.
func (a *API) guarded(without string, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if status, err := a.authorize(r, without); err != nil {
			a.Refused(r, err)
			writeError(w, status, err)
			return
		}
		serve(w, r)
	}
}

// authorize lets through who brings the admin token. without says what is the matter where there is none.
func (a *API) authorize(r *http.Request, without string) (status int, err error) {
	token := a.Token()
	switch {
	case a.Open():
		return 0, nil
	case token.IsZero():
		const remedy = ": start with --admin-token-file FILE and send its content as bearer token"
		return http.StatusForbidden, errors.New(without + remedy)
	}
	brought, err := auth.BearerToken(r)
	if err != nil {
		return http.StatusUnauthorized, err
	}
	if !token.Matches(brought) {
		return http.StatusUnauthorized, errors.New("wrong admin token")
	}
	return 0, nil
}

// drain returns what sets nodes aside, or takes them back.
func (a *API) drain(drained bool) func(words []string) error {
	return func(words []string) error { return a.Fleet.DrainNodes(words, drained) }
}

// add parses the specifications and adds the nodes.
func (a *API) add(specs []string) error {
	defaults := a.Defaults()
	nodes := make([]config.Node, len(specs))
	for i, spec := range specs {
		n, err := config.ParseNode(spec, defaults)
		if err != nil {
			return fmt.Errorf("node %d: %w", i+1, err)
		}
		nodes[i] = n
	}
	return a.Fleet.Pool.Add(nodes)
}

// writeError answers with a status, and an error in JSON.
func writeError(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, map[string]string{"error": err.Error()})
}

// writeJSON answers with a status, and a value in JSON.
func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(b, '\n'))
}

// microseconds is how the original gives times.
func microseconds(d time.Duration) int64 { return d.Microseconds() }
