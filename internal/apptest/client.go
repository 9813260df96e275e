package apptest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"executionbackup/internal/enginetest"
)

// Client is who talks to an ExecutionBackup, wherever that runs: a consensus client, and an operator over the REST API.
// It is as safe for concurrent use as its CL.
type Client struct {
	*enginetest.CL
}

// NewClient returns a client of the ExecutionBackup at url, with the secret that a CL shares with it.
func NewClient(t testing.TB, url string, secret []byte) Client {
	return Client{enginetest.NewCL(t, url, secret)}
}

// Answer is an HTTP response.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Ask makes a request without a token. header has names and values in turn; what is empty is not sent.
func (c Client) Ask(ctx context.Context, method, path, body string, header ...string) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.CL.URL+path, strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	for i := 0; i < len(header); i += 2 {
		if header[i+1] != "" {
			req.Header.Set(header[i], header[i+1])
		}
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, resp.Header, string(got)}, err
}

// Read decodes a REST answer into v, unless that is nil. An answer other than 200 is an error.
func (c Client) Read(ctx context.Context, path string, v any) error {
	got, err := c.Ask(ctx, "GET", path, "")
	if err == nil && got.Status != http.StatusOK {
		err = fmt.Errorf("HTTP %d: %s", got.Status, got.Body)
	}
	if err == nil && v != nil {
		err = json.Unmarshal([]byte(got.Body), v)
	}
	if err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}

// ReadMetric returns the sum of the samples of a Prometheus metric, or the one sample where name has labels, as they
// stand there; 0 if there is none.
func (c Client) ReadMetric(ctx context.Context, name string) (sum float64, err error) {
	got, err := c.Ask(ctx, "GET", "/metrics?format=prometheus", "")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(got.Body) {
		rest, found := strings.CutPrefix(line, name)
		if !found || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' ')+1:]), 64)
		if err != nil {
			return 0, err
		}
		sum += value
	}
	return sum, nil
}

// REST is Ask, which must be answered.
func (c Client) REST(t testing.TB, method, path, body string, header ...string) Answer {
	t.Helper()
	got, err := c.Ask(t.Context(), method, path, body, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return got
}

// Get is Read, which must succeed.
func (c Client) Get(t testing.TB, path string, v any) {
	t.Helper()
	if err := c.Read(t.Context(), path, v); err != nil {
		t.Fatal(err)
	}
}

// Metric is ReadMetric, which must succeed.
func (c Client) Metric(t testing.TB, name string) float64 {
	t.Helper()
	value, err := c.ReadMetric(t.Context(), name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return value
}

// IsReady says why it doesn't take calls: nobody answers, or the nodes have not been probed.
func (c Client) IsReady(ctx context.Context) error { return c.Read(ctx, "/readyz", nil) }

// Recheck probes all nodes and returns when all have been.
func (c Client) Recheck(t testing.TB) {
	t.Helper()
	c.Get(t, "/recheck", nil)
}

// NodeState is what GET /nodes says of a node, as far as tests look at it.
type NodeState struct {
	Name, URL, State, Reason             string
	Primary, Laggard, Drained, Qualified bool
	DoNotUse                             bool `json:"do_not_use"`
	Objections                           int
	LastError                            string `json:"last_error"`
}

// Nodes returns the present states of all nodes, in order.
func (c Client) Nodes(t testing.TB) (all []NodeState) {
	t.Helper()
	c.Get(t, "/nodes", &all)
	return all
}

// Node returns the present state of the node of that name.
func (c Client) Node(t testing.TB, name string) NodeState {
	t.Helper()
	for _, n := range c.Nodes(t) {
		if n.Name == name {
			return n
		}
	}
	t.Fatalf("no node %s", name)
	return NodeState{}
}

// ChangeNodes posts a list of nodes to a path of the REST API.
func (c Client) ChangeNodes(t testing.TB, path string, nodes ...string) Answer {
	t.Helper()
	body, err := json.Marshal(map[string][]string{"nodes": nodes})
	if err != nil {
		t.Fatal(err)
	}
	return c.REST(t, "POST", path, string(body), "Content-Type", "application/json")
}
