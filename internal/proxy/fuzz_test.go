package proxy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"executionbackup/internal/bubble"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/fleet"
	"executionbackup/internal/rawjson"
)

// fuzzed is an execution client that answers every call with the same bytes.
type fuzzed []byte

func (f fuzzed) RoundTrip(r *http.Request) (*http.Response, error) {
	io.Copy(io.Discard, r.Body)
	return bubble.Answer(f), nil
}

const statusAnswer = `{"jsonrpc":"2.0","id":1,` +
	`"result":{"status":"VALID","latestValidHash":null,"validationError":null}}`

// FuzzProxy puts a whole request body, and whatever bytes as a node's answer, through the path of a call. Nothing may
// panic, and what comes back is JSON-RPC: one answer for each call that wants one.
func FuzzProxy(f *testing.F) {
	call := func(id, method, params string) string {
		return `{"jsonrpc":"2.0","id":` + id + `,"method":"` + method + `","params":` + params + `}`
	}
	result := func(id, result string) string { return `{"jsonrpc":"2.0","id":` + id + `,"result":` + result + `}` }
	forkchoice := result("1", `{"payloadStatus":{"status":"VALID","latestValidHash":null},"payloadId":"0x01"}`)
	attributes := `{"timestamp":"0x1","prevRandao":"` + bubble.Hash(1).Hex() + `","withdrawals":[]}]`
	both := string(bubble.PayloadCall(1)) + "," + string(bubble.ForkchoiceCall(1))
	for _, seed := range [][2]string{
		{string(bubble.PayloadCall(1)), statusAnswer},
		{string(bubble.ForkchoiceCall(1)), forkchoice},
		{"[" + both + `,7,{"jsonrpc":"2.0","method":"eth_x"}]`, statusAnswer},
		{strings.Replace(string(bubble.ForkchoiceCall(2)), "null]", attributes, 1), forkchoice},
		{call("1", "engine_getPayloadV4", `["0x01"]`), result("1", enginetest.BuiltPayload)},
		{call(`"a"`, "engine_getBlobsV1", `[["0x01","0x02"]]`), result(`"a"`, `[null,{"blob":"0x","proof":"0x"}]`)},
		{call("null", "engine_getPayloadBodiesByRangeV1", `["0x1","0x2"]`), result("1", `[{"transactions":[]}]`)},
		{call("1", "engine_exchangeCapabilities", `[[]]`), result("1", `["engine_newPayloadV4","engine_x"]`)},
		{call("1", "engine_getClientVersionV1", `[{}]`), result("1", `[{"code":"GE"}]`)},
		{call("1", "engine_getInclusionListV1", `[]`), result("1", `["0x02","0xc0"]`)},
		{
			call("1", "eth_sendRawTransaction", `["0x"]`),
			`{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no"}}`,
		},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, body, answer []byte) {
		quick := bubble.Options{Settings: func(s *fleet.Settings) {
			s.Times.Grace, s.BuildGrace = 0, 0 // the nodes are as fast as they can be
		}}
		p := bubble.New(t, []fuzzed{answer, fuzzed(statusAnswer)}, quick)
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/", bytes.NewReader(body)))
		p.Calls.Drain(t.Context())
		got := w.Body.Bytes()
		if w.Code != http.StatusOK {
			t.Fatalf("%q: HTTP %d", body, w.Code)
		}
		if !json.Valid(body) || !json.Valid(answer) {
			return // what strings contain is passed on as it came
		}
		var calls []json.RawMessage // none where it is no batch
		json.Unmarshal(body, &calls)
		if err := wellFormed(got, len(calls)); err != nil {
			t.Fatalf("%q: %v in %q", body, err, got)
		}
	})
}

// wellFormed returns what is wrong with the answer to some calls.
func wellFormed(answer []byte, calls int) error {
	var replies []map[string]json.RawMessage
	if !rawjson.IsArray(answer) && len(answer) > 0 {
		replies = make([]map[string]json.RawMessage, 1)
		if err := json.Unmarshal(answer, &replies[0]); err != nil {
			return err
		}
	} else if len(answer) > 0 {
		if err := json.Unmarshal(answer, &replies); err != nil {
			return err
		}
	}
	if len(replies) > max(calls, 1) {
		return fmt.Errorf("%d replies to %d calls", len(replies), calls)
	}
	for _, r := range replies {
		if string(r["jsonrpc"]) != `"2.0"` || r["id"] == nil || (r["result"] == nil) == (r["error"] == nil) {
			return fmt.Errorf("no reply: %s", r)
		}
	}
	return nil
}
