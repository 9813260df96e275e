package enginetest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// Call is one JSON-RPC request as a node saw it. Its slices and its header are shared: don't change them.
type Call struct {
	Method    string // empty for what is no JSON-RPC request
	Params    json.RawMessage
	ID        json.RawMessage // nil for a notification
	BlockHash string          // of the payload, or of the head; empty for other methods
	Body      []byte          // the whole HTTP body, which entries of a batch share
	Path      string
	Header    http.Header
	Time      time.Time

	// Positions in one order of events across all nodes, so that a.Ended < b.Arrived says that a was over before b
	// came. A call ends just before the first byte of its answer goes out; Ended is 0 until then.
	Arrived, Ended int64
	Gone           bool // it ended without an answer: the caller went away, or the node closed

	raw json.RawMessage // this request alone
}

// events counts what happens on all nodes of the process.
var events atomic.Int64

// Calls returns all calls in order of arrival. Requests with a wrong token are not among them, see Violations.
func (n *Node) Calls() []Call { return n.CallsOf("") }

// CallsOf returns the calls that a method, as in Rule.Method, covers, in order of arrival.
func (n *Node) CallsOf(method string) []Call {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.callsOf(method, false)
}

// Forget drops the calls that have ended, for a node that runs for hours.
func (n *Node) Forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls = slices.DeleteFunc(n.calls, func(c *Call) bool { return c.Ended > 0 })
}

// Wait returns once want such calls have arrived, and fails the test if they don't.
func (n *Node) Wait(method string, want int) []Call {
	n.t.Helper()
	return n.wait(method, want, false)
}

// WaitEnded returns, in order of their ends, once want such calls have ended, and fails the test if they don't.
func (n *Node) WaitEnded(method string, want int) []Call {
	n.t.Helper()
	calls := n.wait(method, want, true)
	slices.SortFunc(calls, func(a, b Call) int { return cmp.Compare(a.Ended, b.Ended) })
	return calls
}

// Patience is how long tests wait for what should happen soon. It is enough for a busy machine, and says nothing of how
// soon.
const Patience = 30 * time.Second

func (n *Node) wait(method string, want int, ended bool) []Call {
	n.t.Helper()
	timeout := time.After(Patience)
	for {
		n.mu.Lock()
		calls, changed := n.callsOf(method, ended), n.changed
		n.mu.Unlock()
		if len(calls) >= want {
			return calls
		}
		select {
		case <-changed:
		case <-timeout:
			n.t.Fatalf("got %d calls of %q (ended: %t) within %v, want %d", len(calls), method, ended, Patience, want)
		}
	}
}

// Violations returns what callers did wrong with their tokens.
func (n *Node) Violations() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.violations)
}

// callsOf copies the matching calls. The caller holds n.mu.
func (n *Node) callsOf(method string, ended bool) (calls []Call) {
	for _, c := range n.calls {
		if matches(method, c.Method) && (c.Ended > 0 || !ended) {
			calls = append(calls, *c)
		}
	}
	return calls
}

// arrive records the calls of one HTTP request and returns the rule for each.
func (n *Node) arrive(calls []*Call) (rules []*script) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range calls {
		c.Time, c.Arrived = time.Now(), events.Add(1)
		rules = append(rules, n.match(c.Method, c.BlockHash))
	}
	n.calls = append(n.calls, calls...)
	n.tell()
	return rules
}

// end records that calls are over. Those that are already stay as they are.
func (n *Node) end(calls []*Call, gone bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range calls {
		if c.Ended == 0 {
			c.Ended, c.Gone = events.Add(1), gone
		}
	}
	n.tell()
}

// tell wakes those who wait. The caller holds n.mu.
func (n *Node) tell() {
	close(n.changed)
	n.changed = make(chan struct{})
}
