package enginetest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// handle answers one HTTP request: verify, read, record, and then, call after call as geth does, hold and answer.
func (n *Node) handle(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if err := n.authorize(r.Header); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	calls, batch := parse(body)
	for _, c := range calls {
		c.Body, c.Path, c.Header = body, r.URL.Path, r.Header
	}
	rules := n.arrive(calls)
	defer n.end(calls, true) // those that get no answer

	var replies []Reply
	var whole *Reply // a scripted Reply replaces the whole answer, also that to a batch
	var fault Fault
	for i, c := range calls {
		if rules[i].hold(r.Context()) != nil {
			panic(http.ErrAbortHandler)
		}
		replies = append(replies, n.reply(r.Context(), c, rules[i]))
		if rules[i].Reply != nil {
			whole = &replies[i]
		}
		fault = cmp.Or(rules[i].Fault, fault)
	}
	n.end(calls, r.Context().Err() != nil)

	answer := replies[0]
	if batch {
		answer = join(replies)
	}
	switch {
	case whole != nil:
		writeRaw(w, r, *whole, fault)
	case fault != 0:
		writeRaw(w, r, answer, fault)
	default:
		write(w, answer)
	}
}

// parse splits a body into its calls. As for geth, a body that is no JSON and an empty batch are one erroneous call.
func parse(body []byte) (calls []*Call, batch bool) {
	var entries []json.RawMessage
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
		json.Unmarshal(body, &entries)
	}
	if len(entries) == 0 {
		return []*Call{parseCall(body)}, false
	}
	for _, entry := range entries {
		calls = append(calls, parseCall(entry))
	}
	return calls, true
}

// parseCall reads one request. What is none gets no method.
func parseCall(raw json.RawMessage) *Call {
	var m struct {
		JSONRPC string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Method  string          `json:"method"`
		Params  json.RawMessage `json:"params"`
	}
	json.Unmarshal(raw, &m)
	structured := len(m.ID) > 0 && (m.ID[0] == '{' || m.ID[0] == '[')
	if structured || m.JSONRPC != "2.0" || m.Method == "" {
		return &Call{ID: json.RawMessage("null"), raw: raw}
	}
	c := &Call{Method: m.Method, Params: m.Params, ID: m.ID, raw: raw}
	if isVerdict(c.Method) {
		var first struct{ BlockHash, HeadBlockHash string }
		c.params(&first)
		c.BlockHash = cmp.Or(first.BlockHash, first.HeadBlockHash)
	}
	return c
}

// params decodes the first params into targets. Those that are missing stay as they are.
func (c *Call) params(targets ...any) error {
	if len(c.Params) == 0 {
		return nil
	}
	var all []json.RawMessage
	if err := json.Unmarshal(c.Params, &all); err != nil {
		return err
	}
	for i := range min(len(all), len(targets)) {
		if err := json.Unmarshal(all[i], targets[i]); err != nil {
			return fmt.Errorf("param %d: %w", i, err)
		}
	}
	return nil
}

func isVerdict(method string) bool {
	return matches("engine_newPayload", method) || matches("engine_forkchoiceUpdated", method)
}

// reply answers one call under its rule.
func (n *Node) reply(ctx context.Context, c *Call, rule *script) Reply {
	switch {
	case rule.Fault == Reset || rule.Fault == Hangup:
		return Reply{} // never sent
	case rule.Reply != nil:
		reply := *rule.Reply
		reply.Body = strings.ReplaceAll(reply.Body, "$ID", string(c.ID))
		return reply
	case rule.Error != nil:
		return c.failed(rule.Error)
	case rule.Result != "":
		return c.succeeded([]byte(rule.Result))
	case rule.Status != "" && isVerdict(c.Method):
		var honest Reply
		if n.upstream != "" || rule.Status == "VALID" { // else this client has not executed the call
			honest = n.honest(ctx, c)
		}
		return c.succeeded(rule.result(c, payloadIDIn(honest)))
	}
	return n.honest(ctx, c)
}

// honest is the answer that no rule has touched.
func (n *Node) honest(ctx context.Context, c *Call) Reply {
	if n.upstream != "" {
		return n.forward(ctx, c)
	}
	result, failure := n.execute(c)
	if failure != nil {
		return c.failed(failure)
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return c.failed(&RPCError{Code: -32603, Message: err.Error()})
	}
	return c.succeeded(raw)
}

// forward passes a call on to the real client.
func (n *Node) forward(ctx context.Context, c *Call) Reply {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.upstream, bytes.NewReader(c.raw))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	req.Header = c.Header.Clone()
	req.Header.Del("Accept-Encoding") // rules look into the answer
	resp, err := n.http.Do(req)
	if err != nil {
		panic(http.ErrAbortHandler) // as if the real client had broken its own connection
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return Reply{
		Status: resp.StatusCode,
		Header: http.Header{"Content-Type": resp.Header["Content-Type"]},
		Body:   string(body),
	}
}

func (c *Call) succeeded(result []byte) Reply { return c.answer(`"result":` + string(result)) }

func (c *Call) failed(err *RPCError) Reply {
	raw, _ := json.Marshal(err)
	return c.answer(`"error":` + string(raw))
}

// answer puts the id around an answer. A notification gets an empty one, as from geth.
func (c *Call) answer(member string) Reply {
	if c.ID == nil {
		return Reply{}
	}
	return Reply{Body: `{"jsonrpc":"2.0","id":` + string(c.ID) + `,` + member + "}\n"}
}

// join makes one answer to a batch of the answers to its entries. The first HTTP error among them stands for all.
func join(replies []Reply) Reply {
	var bodies []string
	for _, reply := range replies {
		if reply.Status != 0 && reply.Status != http.StatusOK {
			return reply
		}
		if reply.Body != "" {
			bodies = append(bodies, strings.TrimSpace(reply.Body))
		}
	}
	if len(bodies) == 0 {
		return Reply{}
	}
	return Reply{Body: "[" + strings.Join(bodies, ",") + "]\n"}
}

func payloadIDIn(reply Reply) string {
	var answer struct {
		Result struct {
			PayloadID string `json:"payloadId"`
		} `json:"result"`
	}
	json.Unmarshal([]byte(reply.Body), &answer)
	return answer.Result.PayloadID
}
