package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common/hexutil"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
)

// fuzzed is an execution client that answers every call with the same bytes.
type fuzzed []byte

func (f fuzzed) RoundTrip(r *http.Request) (*http.Response, error) {
	io.Copy(io.Discard, r.Body)
	return &http.Response{StatusCode: 200, ContentLength: int64(len(f)), Body: io.NopCloser(bytes.NewReader(f)), Header: http.Header{}}, nil
}

const statusAnswer = `{"jsonrpc":"2.0","id":1,"result":{"status":"VALID","latestValidHash":null,"validationError":null}}`

// FuzzProxy puts a whole request body, and whatever bytes as a node's answer, through the path of a call. Nothing may
// panic, and what comes back is JSON-RPC: one answer for each call that wants one.
func FuzzProxy(f *testing.F) {
	forkchoice := `{"jsonrpc":"2.0","id":1,"result":{"payloadStatus":{"status":"VALID","latestValidHash":null},"payloadId":"0x01"}}`
	for _, seed := range [][2]string{
		{string(payloadCall(1)), statusAnswer},
		{string(forkchoiceCall(1)), forkchoice},
		{"[" + string(payloadCall(1)) + "," + string(forkchoiceCall(1)) + `,7,{"jsonrpc":"2.0","method":"eth_x"}]`, statusAnswer},
		{strings.Replace(string(forkchoiceCall(2)), "null]", `{"timestamp":"0x1","prevRandao":"`+hash(1).Hex()+`","withdrawals":[]}]`, 1), forkchoice},
		{`{"jsonrpc":"2.0","id":1,"method":"engine_getPayloadV4","params":["0x01"]}`, `{"jsonrpc":"2.0","id":1,"result":` + builtPayload + `}`},
		{`{"jsonrpc":"2.0","id":"a","method":"engine_getBlobsV1","params":[["0x01","0x02"]]}`, `{"jsonrpc":"2.0","id":"a","result":[null,{"blob":"0x","proof":"0x"}]}`},
		{`{"jsonrpc":"2.0","id":null,"method":"engine_getPayloadBodiesByRangeV1","params":["0x1","0x2"]}`, `{"jsonrpc":"2.0","id":1,"result":[{"transactions":[]}]}`},
		{`{"jsonrpc":"2.0","id":1,"method":"engine_exchangeCapabilities","params":[[]]}`, `{"jsonrpc":"2.0","id":1,"result":["engine_newPayloadV4","engine_x"]}`},
		{`{"jsonrpc":"2.0","id":1,"method":"engine_getClientVersionV1","params":[{}]}`, `{"jsonrpc":"2.0","id":1,"result":[{"code":"GE"}]}`},
		{`{"jsonrpc":"2.0","id":1,"method":"engine_getInclusionListV1","params":[]}`, `{"jsonrpc":"2.0","id":1,"result":["0x02","0xc0"]}`},
		{`{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x"]}`, `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no"}}`},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, body, answer []byte) {
		p := newProxy(t, []fuzzed{answer, fuzzed(statusAnswer)})
		settings := *p.settings.Load()
		settings.Grace, settings.BuildGrace = 0, 0 // the nodes are as fast as they can be
		p.Reload(settings)
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/", bytes.NewReader(body)))
		p.Drain(t.Context())
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
	if !jsonrpc.IsArray(answer) && len(answer) > 0 {
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

const builtPayload = `{"executionPayload":{"blockHash":"0x0101010101010101010101010101010101010101010101010101010101010101",` +
	`"parentHash":"0x0202020202020202020202020202020202020202020202020202020202020202","blockNumber":"0x1","timestamp":"0x2",` +
	`"prevRandao":"0x0303030303030303030303030303030303030303030303030303030303030303","feeRecipient":"0x0000000000000000000000000000000000000001",` +
	`"gasUsed":"0x5208","transactions":["0x02"],"withdrawals":[]},"blockValue":"0x7","blobsBundle":{"commitments":["0xaa"],"proofs":[],"blobs":["0xbb"]},"executionRequests":[]}`

// FuzzCandidate reads built payloads. What is judged must mean the same to encoding/json, which the CL's decoder is
// taken to be like, and to judge it must not panic.
func FuzzCandidate(f *testing.F) {
	for version := range 7 {
		f.Add(version, []byte(builtPayload))
	}
	for version := range 2 {
		f.Add(version, []byte(builtPayload[len(`{"executionPayload":`):strings.Index(builtPayload, `,"blockValue"`)]))
	}
	f.Fuzz(func(t *testing.T, version int, result []byte) {
		m := engine.ParseMethod(fmt.Sprintf("engine_getPayloadV%d", version))
		var b built
		if jsonrpc.Read(result, b.fields(m)...) != nil {
			return
		}
		bare := m.Version == 1 || m.Version == 0 && b.payload == nil
		c, err := readCandidate(m, reply{Reply: jsonrpc.Reply{Result: result}}, &b)
		if err != nil {
			return
		}
		attributes := &engine.Attributes{Judged: true, Timestamp: c.payload.Timestamp, PrevRandao: c.prevRandao}
		b.misfit(m)
		c.compare(&build{head: c.payload.Parent, attributes: attributes})
		if method, params, err := c.newPayload(m, attributes); err == nil {
			new(proposal).wrongHash(t.Context(), method, params)
		}
		if !json.Valid(result) {
			return
		}
		type judged struct {
			BlockHash, ParentHash, PrevRandao string
			BlockNumber, Timestamp            hexutil.Uint64
		}
		var second struct {
			judged
			ExecutionPayload judged
			BlockValue       *hexutil.Big
		}
		if err := json.Unmarshal(result, &second); err != nil {
			if m.Version < 2 {
				return // a member around a payload that has none
			}
			t.Fatalf("%q is accepted, and %v", result, err)
		}
		payload, value := second.ExecutionPayload, (*big.Int)(second.BlockValue)
		if bare {
			payload, value = second.judged, nil
		}
		if !strings.EqualFold(payload.BlockHash, c.payload.Hash.Hex()) || !strings.EqualFold(payload.ParentHash, c.payload.Parent.Hex()) ||
			!strings.EqualFold(payload.PrevRandao, c.prevRandao.Hex()) || uint64(payload.BlockNumber) != c.payload.Number ||
			uint64(payload.Timestamp) != c.payload.Timestamp || (value == nil) != (c.value == nil) || value != nil && value.Cmp(c.value) != 0 {
			t.Fatalf("%q read as %+v %v and %+v", result, c.payload, c.value, second)
		}
	})
}

// FuzzInclusionList reads inclusion lists. One that is accepted is within the specification's bound.
func FuzzInclusionList(f *testing.F) {
	f.Add([]byte(`["0x02","0xc0","0x7f00"]`))
	f.Fuzz(func(t *testing.T, result []byte) {
		if n, err := inclusionListSize(result); err == nil && (n < 1 || n > maxInclusionList) {
			t.Fatalf("%q: %d bytes", result, n)
		}
	})
}
