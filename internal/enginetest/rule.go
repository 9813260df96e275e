package enginetest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Rule makes a node answer some calls in its own way. The zero values of Method, BlockHash, Times and Share apply it to
// every call; those of the other fields leave the answer as it would have been. Of several matching rules the one
// scripted last applies, alone.
type Rule struct {
	Method    string  // a method, a family (engine_newPayload: every version) or a namespace (engine_)
	BlockHash string  // the block of a newPayload or forkchoiceUpdated
	Times     int     // how many calls; 0: until cleared
	Share     float64 // of the calls, chosen at random; 0: all

	// When the answer goes out.
	Delay time.Duration // after this long
	Hang  bool          // not before the rule is cleared

	// What the answer is; the first that is set counts.
	Reply  *Reply    // a whole HTTP response
	Error  *RPCError // a JSON-RPC error
	Result string    // raw JSON
	Status string    // for newPayload and forkchoiceUpdated; other methods answer as usual

	// What goes with Status.
	LatestValidHash string // default: the block itself for VALID, else null
	ValidationError string // default: null
	Extra           string // raw members to add to the payload status: `"status":"VALID"` for a duplicate

	// How the answer goes over the wire.
	Fault Fault
}

// Reply is a whole HTTP response, written as it stands; the connection is closed after it. Status defaults to 200,
// Content-Length to the length of Body, and $ID in Body becomes the id of the call.
type Reply struct {
	Status int
	Header http.Header
	Body   string
}

// Fault is a way in which an answer fails to arrive whole.
type Fault int

const (
	Reset       Fault = iota + 1 // the connection is reset (RST) instead of an answer
	Hangup                       // the connection is closed (FIN) instead of an answer
	ResetMidway                  // it is reset after half of the body
	Truncated                    // it is closed after half of the body
	Drip                         // the body comes one byte at a time, a millisecond apart
	Endless                      // as Drip, and then white space for ever
	Flood                        // white space for ever follows the body, as fast as it is read
)

// RPCError is a JSON-RPC error: what a Rule makes a node answer, and what CL's methods return for one.
type RPCError struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func (e *RPCError) Error() string { return fmt.Sprintf("%s (code %d)", e.Message, e.Code) }

// script is a rule in force.
type script struct {
	Rule
	left    int           // calls that it still applies to, if Times is set
	cleared chan struct{} // closed when the rule is cleared
}

// Script applies a rule from the next call on. The returned function clears the rule: it matches no more calls, and
// those that it delays or hangs go on.
func (n *Node) Script(rule Rule) (clearRule func()) {
	s := &script{Rule: rule, left: rule.Times, cleared: make(chan struct{})}
	n.mu.Lock()
	n.rules = append(n.rules, s)
	n.mu.Unlock()
	return sync.OnceFunc(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.rules = slices.DeleteFunc(n.rules, func(other *script) bool { return other == s })
		close(s.cleared)
	})
}

// match returns the rule for a call, an empty one if there is none, and counts its use. The caller holds n.mu.
func (n *Node) match(method, blockHash string) *script {
	for _, s := range slices.Backward(n.rules) {
		if !matches(s.Method, method) || s.BlockHash != "" && !strings.EqualFold(s.BlockHash, blockHash) {
			continue
		}
		if s.Share > 0 && rand.Float64() >= s.Share {
			continue
		}
		if s.Times == 0 {
			return s
		}
		if s.left > 0 {
			s.left--
			return s
		}
	}
	return &script{}
}

// hold waits for as long as the rule says. It fails if the caller goes away or the node closes meanwhile.
func (s *script) hold(ctx context.Context) error {
	if !s.Hang && s.Delay == 0 {
		return nil
	}
	var elapsed <-chan time.Time // stays nil, that is never, for Hang
	if !s.Hang {
		elapsed = time.After(s.Delay)
	}
	select {
	case <-elapsed:
	case <-s.cleared:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// result returns the result of c that r.Status stands for. A payload id goes with VALID only.
func (r Rule) result(c *Call, payloadID string) json.RawMessage {
	latest := r.LatestValidHash
	if r.Status == "VALID" {
		latest = cmp.Or(latest, c.BlockHash)
	} else {
		payloadID = ""
	}
	status := fmt.Sprintf(`{"status":%q,"latestValidHash":%s,"validationError":%s`,
		r.Status, orNull(latest), orNull(r.ValidationError))
	if r.Extra != "" {
		status += "," + r.Extra
	}
	status += "}"
	if matches("engine_forkchoiceUpdated", c.Method) {
		status = fmt.Sprintf(`{"payloadStatus":%s,"payloadId":%s}`, status, orNull(payloadID))
	}
	return json.RawMessage(status)
}

func orNull(s string) string {
	if s == "" {
		return "null"
	}
	quoted, _ := json.Marshal(s)
	return string(quoted)
}

// matches reports whether pattern, as in Rule.Method, covers a method.
func matches(pattern, method string) bool {
	family, _ := split(method)
	return pattern == "" || pattern == method || pattern == family ||
		strings.HasSuffix(pattern, "_") && strings.HasPrefix(method, pattern)
}

// split divides engine_newPayloadV4 into engine_newPayload and 4. Without a version that is 0.
func split(method string) (family string, version int) {
	i := strings.LastIndexByte(method, 'V')
	if i < 0 {
		return method, 0
	}
	version, err := strconv.Atoi(method[i+1:])
	if err != nil {
		return method, 0
	}
	return method[:i], version
}
