package realgeth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"executionbackup/internal/enginetest"
	"executionbackup/internal/geth"
)

// twins are two geths to which the same happens: one is asked directly, the other over an ExecutionBackup that has no
// other node.
type twins struct {
	direct, through *enginetest.CL
	nodes           []*geth.Node
	exact           bool // an answer to one call is the same byte for byte
}

func startTwins(t *testing.T, chain *geth.Chain) *twins {
	t.Helper()
	nodes := geths(t, chain.Genesis, 2)
	return &twins{enginetest.NewCL(t, nodes[0].AuthURL(), nodeSecret[:]), start(t, urls(nodes[1:])).CL, nodes, false}
}

// startInMode is startTwins in a mode in which the second geth alone answers, with two more behind it.
func startInMode(t *testing.T, chain *geth.Chain, mode string) (*twins, *multiplexer) {
	t.Helper()
	nodes := geths(t, chain.Genesis, 4)
	m := startWith(t, urls(nodes[1:]), map[string]string{"mode": mode, "shadow-node": name(0)})
	return &twins{enginetest.NewCL(t, nodes[0].AuthURL(), nodeSecret[:]), m.CL, nodes, true}, m
}

// reply is the HTTP answer to a body.
type reply struct {
	Status int
	JSON   any // nil for an empty body; numbers are as they were written

	body string // as it came, where it is the answer to one call
}

func (r reply) String() string {
	text, _ := json.Marshal(r.JSON)
	return fmt.Sprintf("HTTP %d %.1000s", r.Status, text)
}

// code returns the error code of an answer to one call, "" for none.
func (r reply) code() string {
	answer, _ := r.JSON.(map[string]any)
	failure, _ := answer["error"].(map[string]any)
	code, _ := failure["code"].(json.Number)
	return code.String()
}

func post(t *testing.T, cl *enginetest.CL, body string) reply {
	t.Helper()
	status, _, answer, err := cl.Post(t.Context(), []byte(body))
	if err != nil {
		t.Fatalf("%.300s: %v", body, err)
	}
	r := reply{Status: status}
	if len(answer) > 0 {
		r.JSON = parse(t, string(answer))
	}
	if _, one := r.JSON.(map[string]any); one {
		r.body = string(answer)
	}
	return r
}

func parse(t *testing.T, text string) (v any) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("%.300q: %v", text, err)
	}
	return v
}

// same sends a body to both twins, fails the test unless the answers are the same, and returns the direct one.
func (tw *twins) same(t *testing.T, body string) reply {
	t.Helper()
	direct, through := post(t, tw.direct, body), post(t, tw.through, body)
	if tw.exact && direct.body != through.body {
		t.Errorf("%.300s\ndirectly: %.1000q\nthrough:  %.1000q", body, direct.body, through.body)
	}
	direct.body, through.body = "", ""
	if !reflect.DeepEqual(direct, through) {
		t.Errorf("%.300s\ndirectly: %s\nthrough:  %s", body, direct, through)
	}
	return direct
}

// call returns a Call that goes to both twins, whose answers must be the same.
func (tw *twins) call(t *testing.T) geth.Call {
	return func(_ context.Context, method string, params ...any) (json.RawMessage, error) {
		raw, err := json.Marshal(params)
		if err != nil {
			return nil, err
		}
		answer, err := json.Marshal(tw.same(t, request(method, string(raw))).JSON)
		if err != nil {
			return nil, err
		}
		var members struct{ Result, Error json.RawMessage }
		if err := json.Unmarshal(answer, &members); err != nil {
			return nil, err
		}
		if members.Error != nil {
			return nil, errors.New(string(members.Error))
		}
		return members.Result, nil
	}
}

func request(method, params string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, params)
}

// With one node, a CL cannot tell ExecutionBackup from it: whatever is asked, the answer is the same.
func TestOneNodeShowsThrough(t *testing.T) {
	chain := own(t)
	showsThrough(t, startTwins(t, chain), chain)
}

// In modes shadow and off it cannot tell it from the node that alone answers, to the last byte. What it would have
// heard in shadow mode is the same.
func TestModesShowThrough(t *testing.T) {
	for _, mode := range []string{"shadow", "off"} {
		t.Run(mode, func(t *testing.T) {
			chain := own(t)
			tw, m := startInMode(t, chain, mode)
			showsThrough(t, tw, chain)
			valid, counted := 0.0, 0.0
			for _, would := range []string{"VALID", "INVALID", "SYNCING", "error"} {
				for _, did := range []string{"VALID", "INVALID", "SYNCING", "error"} {
					n := m.Metric(t, fmt.Sprintf(`executionbackup_shadow_decisions_total{did=%q,would=%q}`, did, would))
					if counted += n; would == did {
						valid += n
					} else if n > 0 {
						t.Logf("%v calls: would %s, did %s", n, would, did)
					}
				}
			}
			if valid != counted || (mode == "shadow") != (counted > 100) {
				t.Errorf("of %v calls %v would have been answered likewise", counted, valid)
			}
		})
	}
}

// showsThrough asks a geth directly and through whatever a CL may ask.
func showsThrough(t *testing.T, tw *twins, chain *geth.Chain) {
	// A chain over every fork; then blocks are built, enough of them for a reorganisation that geth finds too deep.
	for _, p := range chain.Payloads {
		if err := p.Import(t.Context(), tw.call(t), common.Hash{}, common.Hash{}); err != nil {
			t.Fatal(err)
		}
	}
	producer, err := geth.NewProducer(t.Context(), chain.Genesis.Config, tw.call(t))
	if err != nil {
		t.Fatal(err)
	}
	for range 32 {
		if _, err := producer.Produce(t.Context(), geth.Order{}); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("witness", func(t *testing.T) { wantSameWitness(t, tw, producer) })
	t.Run("errors", func(t *testing.T) { wantSameErrors(t, tw, chain.Payloads[0].Hash, producer.Head.Hash) })
	t.Run("methods", func(t *testing.T) { wantSameMethods(t, tw, chain.Payloads[0].Hash) })
	t.Run("results", func(t *testing.T) { wantSameResults(t, tw, chain.Payloads[len(chain.Payloads)-1]) })
	t.Run("envelopes", func(t *testing.T) { wantSameEnvelopes(t, tw) })
	t.Run("notification", func(t *testing.T) { wantSameNotification(t, tw, producer.Head.Parent) })
	t.Run("HTTP", func(t *testing.T) { wantSameHTTP(t, tw) })
}

// wantSameWitness asks for a witness with a new block. In it the order of codes and trie nodes is not always the same.
func wantSameWitness(t *testing.T, tw *twins, producer *geth.Producer) {
	payload, err := producer.Build(t.Context(), geth.Order{})
	if err != nil {
		t.Fatal(err)
	}
	params, err := json.Marshal(payload.Params)
	if err != nil {
		t.Fatal(err)
	}
	body := request("engine_newPayloadWithWitnessV5", string(params))
	read := func(cl *enginetest.CL) (status, latestValid, witness string) {
		result := post(t, cl, body).JSON.(map[string]any)["result"].(map[string]any)
		return result["status"].(string), result["latestValidHash"].(string), result["witness"].(string)
	}
	status, latestValid, witness := read(tw.through)
	_, _, want := read(tw.direct)
	if status != "VALID" || latestValid != payload.Hash.Hex() || len(witness) < 100 || len(witness) != len(want) {
		t.Errorf("%s, %s with a witness of %d characters, want VALID, %s and %d",
			status, latestValid, len(witness), payload.Hash, len(want))
	}
}

// wantSameErrors goes through the error codes of the Engine API and JSON-RPC. old is the first block's hash, head the
// last one's.
func wantSameErrors(t *testing.T, tw *twins, old, head common.Hash) {
	state := func(head, finalized common.Hash) string {
		return fmt.Sprintf(`{"headBlockHash":%q,"safeBlockHash":%q,"finalizedBlockHash":%q}`,
			head, common.Hash{}, finalized)
	}
	for _, c := range []struct{ code, method, params string }{
		{"-38001", "engine_getPayloadV6", `["0x0400000000000000"]`},
		{"-38002", "engine_forkchoiceUpdatedV4", `[` + state(head, common.Hash{1}) + `,null,null]`},
		{"-38003", "engine_forkchoiceUpdatedV4",
			`[` + state(head, common.Hash{}) + `,{"timestamp":"0xffff","prevRandao":"` + head.Hex() +
				`","suggestedFeeRecipient":"` + geth.Developer.Hex() + `"},null]`},
		{"-38004", "engine_getPayloadBodiesByRangeV1", `["0x1","0x401"]`},
		{"-38005", "engine_getPayloadV1", `["0x0400000000000000"]`},
		{"-38006", "engine_forkchoiceUpdatedV4", `[` + state(old, common.Hash{}) + `,null,null]`},
		{"-32601", "engine_newPayloadV9", `[]`},
		{"-32601", "engine_forkchoiceUpdatedV9", `[]`},
		{"-32601", "engine_getPayloadV9", `["0x0400000000000000"]`},
		{"-32601", "engine_nothing", `[]`},
		{"-32601", "eth_nothing", `[]`},
		{"-32601", "net_version", `[]`}, // geth serves these elsewhere
		{"-32601", "web3_clientVersion", `[]`},
		{"-32601", "nothing", `[]`},
		{"-32602", "engine_newPayloadV5", `[]`},
		{"-32602", "engine_forkchoiceUpdatedV4", `[5]`},
		{"-32602", "eth_getBalance", `["0x"]`},
		{"-32602", "eth_chainId", `{}`},
		{"-32602", "eth_chainId", `"x"`},
		{"-32000", "eth_getBalance", `["` + geth.Developer.Hex() + `","0xffff"]`},
		{"3", "eth_call", `[{"data":"0x60006000fd"},"latest"]`},
		{"-32600", "eth_" + strings.Repeat("x", 2048), `[]`},
	} {
		if got := tw.same(t, request(c.method, c.params)); got.code() != c.code {
			t.Errorf("%.100s %s: %s, want the code %s", c.method, c.params, got, c.code)
		}
	}
}

// wantSameMethods calls every method that geth has with params that fit few of them. hash is a block's.
func wantSameMethods(t *testing.T, tw *twins, hash common.Hash) {
	var methods []string
	capabilities := tw.same(t, request("engine_exchangeCapabilities", `[[]]`)).JSON.(map[string]any)
	for _, method := range capabilities["result"].([]any) {
		methods = append(methods, method.(string))
	}
	for _, api := range tw.nodes[0].Backend().APIs() {
		if api.Namespace == "eth" {
			for method := range reflect.TypeOf(api.Service).Methods() {
				name := []rune(method.Name)
				methods = append(methods, "eth_"+string(unicode.ToLower(name[0]))+string(name[1:]))
			}
		}
	}
	if len(methods) < 80 {
		t.Errorf("only %d methods: %v", len(methods), methods)
	}
	for _, method := range methods {
		for _, params := range []string{
			`[]`, `{}`, `null`, `[null]`, `[null,null,null,null,null]`, `[0]`, `[1,2,3,4,5,6,7]`,
			`["0x"]`, `["latest"]`, `["` + hash.Hex() + `"]`, `[{}]`, `[[]]`,
		} {
			tw.same(t, request(method, params))
		}
	}
}

// wantSameResults makes calls that succeed. last is the last block with transactions.
func wantSameResults(t *testing.T, tw *twins, last geth.Payload) {
	var transactions []hexutil.Bytes
	if err := json.Unmarshal(member(t, last, "transactions"), &transactions); err != nil {
		t.Fatal(err)
	}
	raw, err := geth.Transfer(uint64(1000)).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	contract := crypto.CreateAddress(geth.Developer, 1) // by the first chain's second transaction
	fill := strings.NewReplacer(
		"HASH", last.Hash.Hex(), "NUMBER", hexutil.EncodeUint64(last.Number),
		"TX", crypto.Keccak256Hash(transactions[0]).Hex(), "RAW", hexutil.Encode(raw),
		"DEVELOPER", geth.Developer.Hex(), "CONTRACT", contract.Hex(),
		"ZERO", common.Hash{}.Hex(), "UNKNOWN", common.Hash{1}.Hex(),
	)
	for _, c := range []struct{ method, params string }{
		{"engine_exchangeCapabilities", `[["engine_getPayloadV5"]]`},
		{"engine_getClientVersionV1", `[{"code":"XX","name":"a CL","version":"v1","commit":"0x01020304"}]`},
		{"engine_exchangeTransitionConfigurationV1",
			`[{"terminalTotalDifficulty":"0x0","terminalBlockHash":"ZERO","terminalBlockNumber":"0x0"}]`},
		{"engine_getPayloadBodiesByHashV1", `[["HASH","UNKNOWN"]]`},
		{"engine_getPayloadBodiesByHashV2", `[["UNKNOWN","HASH"]]`},
		{"engine_getPayloadBodiesByRangeV1", `["0x1","0x400"]`},
		{"engine_getPayloadBodiesByRangeV2", `["0xd","0x2"]`},
		{"engine_getBlobsV2", `[["UNKNOWN"]]`},
		{"engine_getBlobsV3", `[["UNKNOWN"]]`},
		{"engine_hasBlobs", `[["UNKNOWN"]]`},
		{"eth_chainId", `[]`},
		{"eth_syncing", `[]`},
		{"eth_blockNumber", `[]`},
		{"eth_accounts", `[]`},
		{"eth_config", `[]`},
		{"eth_gasPrice", `[]`},
		{"eth_maxPriorityFeePerGas", `[]`},
		{"eth_blobBaseFee", `[]`},
		{"eth_feeHistory", `["0x10","latest",[10,90]]`},
		{"eth_getBalance", `["DEVELOPER","latest"]`},
		{"eth_getTransactionCount", `["DEVELOPER","NUMBER"]`},
		{"eth_getCode", `["CONTRACT","latest"]`},
		{"eth_getStorageAt", `["CONTRACT","0x0","latest"]`},
		{"eth_getProof", `["CONTRACT",["0x0"],"latest"]`},
		{"eth_getHeaderByNumber", `["NUMBER"]`},
		{"eth_getHeaderByHash", `["HASH"]`},
		{"eth_getBlockByNumber", `["latest",true]`},
		{"eth_getBlockByNumber", `["earliest",false]`},
		{"eth_getBlockByNumber", `["0xffff",false]`},
		{"eth_getBlockByHash", `["HASH",true]`},
		{"eth_getBlockReceipts", `["NUMBER"]`},
		{"eth_getBlockTransactionCountByNumber", `["NUMBER"]`},
		{"eth_getBlockTransactionCountByHash", `["HASH"]`},
		{"eth_getTransactionByHash", `["TX"]`},
		{"eth_getTransactionByBlockHashAndIndex", `["HASH","0x0"]`},
		{"eth_getTransactionByBlockNumberAndIndex", `["NUMBER","0x0"]`},
		{"eth_getRawTransactionByHash", `["TX"]`},
		{"eth_getTransactionReceipt", `["TX"]`},
		{"eth_getUncleCountByBlockNumber", `["NUMBER"]`},
		{"eth_call", `[{"from":"DEVELOPER","to":"CONTRACT"},"latest"]`},
		{"eth_estimateGas", `[{"from":"DEVELOPER","to":"CONTRACT","value":"0x1"}]`},
		{"eth_createAccessList", `[{"from":"DEVELOPER","to":"CONTRACT"}]`},
		{"eth_simulateV1", `[{"blockStateCalls":[{"calls":[{"from":"DEVELOPER","to":"CONTRACT"}]}]},"latest"]`},
		{"eth_sendRawTransaction", `["RAW"]`}, // the last one: it changes the pool
	} {
		if got := tw.same(t, request(c.method, fill.Replace(c.params))); got.code() != "" {
			t.Errorf("%s %s: %s, want a result", c.method, c.params, got)
		}
	}
}

// askChainID is the end of a call.
const askChainID = `"method":"eth_chainId"}`

// wantSameEnvelopes sends what JSON-RPC says of ids, notifications and batches.
func wantSameEnvelopes(t *testing.T, tw *twins) {
	for _, id := range []string{
		`0`, `-1`, `1.5`, `-0.50`, `1e400`, `123456789012345678901234567890`, `""`, `"a\u00e9\n\\"`,
		`"ключ"`, `null`, `true`,
	} {
		body := `{"jsonrpc":"2.0","id":` + id + `,` + askChainID
		got, want := tw.same(t, body).JSON, parse(t, `{"jsonrpc":"2.0","id":`+id+`,"result":"0x539"}`)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", body, got, want)
		}
	}
	call := `{"jsonrpc":"2.0","id":7,` + askChainID
	notification := `{"jsonrpc":"2.0",` + askChainID
	for _, body := range []string{
		` ` + call + "\n",
		`{"jsonrpc":"2.0","id":1,"method":"eth_\u0063hainId","params":[],"more":{}}`,
		`{"jsonrpc":"2.0","id":1,"\u006dethod":"eth_chainId","params":null}`,
		notification,
		`{"jsonrpc":"2.0","method":"eth_nothing"}`,
		`[` + notification + `]`,
		`[` + call + `]`,
		`[` + call + `,` + notification + `,` + request("eth_nothing", `[]`) + `,` + call + `,` +
			request("eth_getBalance", `[]`) + `]`,
		`[` + strings.Repeat(call+`,`, 1999) + call + `]`,
	} {
		tw.same(t, body)
	}
	// What is no request is refused in other words, but with the same code and id.
	for _, body := range []string{
		`{`, `{]`, `nothing`, `[` + call, `[` + call + `,]`, call + `x`, call + call, "\ufeff" + call,
		`{"jsonrpc":"2.0","id":01,` + askChainID, "{\"jsonrpc\":\"2.0\",\"id\":\"\x01\"," + askChainID,
		`{}`, `[]`, `null`, `1`, `"x"`, `[1]`, `[null]`, `[{}]`, `[[]]`, `[` + call + `,2,` + call + `]`,
		`{"id":1,` + askChainID, `{"jsonrpc":"1.0","id":1,` + askChainID, `{"jsonrpc":2,"id":1,` + askChainID,
		`{"jsonrpc":null,"id":1,` + askChainID, `{"jsonrpc":"2.0"}`, `{"jsonrpc":"2.0","id":"a"}`,
		`{"jsonrpc":"2.0","id":1,"method":5}`, `{"jsonrpc":"2.0","id":1,"method":null}`,
		`{"jsonrpc":"2.0","id":1,"method":""}`,
	} {
		direct, through := post(t, tw.direct, body), post(t, tw.through, body)
		withoutMessages(direct.JSON)
		withoutMessages(through.JSON)
		direct.body, through.body = "", ""
		if !reflect.DeepEqual(direct, through) {
			t.Errorf("%s\ndirectly: %s\nthrough:  %s", body, direct, through)
		}
	}
}

// withoutMessages takes the messages out of the errors of an answer or a batch of them.
func withoutMessages(v any) {
	switch v := v.(type) {
	case []any:
		for _, entry := range v {
			withoutMessages(entry)
		}
	case map[string]any:
		if failure, ok := v["error"].(map[string]any); ok {
			delete(failure, "message")
		}
	}
}

// wantSameNotification makes a block the head without an id: there is no answer, but the head has moved.
func wantSameNotification(t *testing.T, tw *twins, to common.Hash) {
	state := fmt.Sprintf(`{"headBlockHash":%[1]q,"safeBlockHash":%[2]q,"finalizedBlockHash":%[2]q}`, to, common.Hash{})
	body := `{"jsonrpc":"2.0","method":"engine_forkchoiceUpdatedV4","params":[` + state + `,null,null]}`
	if got := tw.same(t, body); got.JSON != nil {
		t.Errorf("%s, want nothing", got)
	}
	wantHead(t, tw.nodes[:2], to)
}

// wantSameHTTP compares what HTTP says where there is no JSON-RPC.
func wantSameHTTP(t *testing.T, tw *twins) {
	otherSecret, old := make([]byte, 32), time.Now().Add(-70*time.Second)
	for _, c := range []struct {
		method, path string
		token        func(secret []byte) string
		want         int
	}{
		{"POST", "/", func(secret []byte) string { return enginetest.Token(secret, time.Now()) }, http.StatusOK},
		{"POST", "/", func([]byte) string { return "" }, http.StatusUnauthorized},
		{"POST", "/", func([]byte) string { return enginetest.Token(otherSecret, time.Now()) },
			http.StatusUnauthorized},
		{"POST", "/", func(secret []byte) string { return enginetest.Token(secret, old) }, http.StatusUnauthorized},
		{"POST", "/engine/v1", func(secret []byte) string { return enginetest.Token(secret, time.Now()) },
			http.StatusNotFound},
		{"PUT", "/", func(secret []byte) string { return enginetest.Token(secret, time.Now()) },
			http.StatusMethodNotAllowed},
	} {
		for _, cl := range []*enginetest.CL{tw.direct, tw.through} {
			req, err := http.NewRequestWithContext(t.Context(), c.method, cl.URL+c.path,
				strings.NewReader(request("eth_chainId", `[]`)))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+c.token(cl.Secret))
			resp, err := cl.HTTP.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != c.want {
				t.Errorf("%s %s at %s: HTTP %d, want %d", c.method, c.path, cl.URL, resp.StatusCode, c.want)
			}
		}
	}
}

// These are the differences between a geth and an ExecutionBackup before it that are known, and meant to be. Two others
// are no matter of single answers: the calls in a batch are made side by side, and / takes nothing but POST, of any
// content type.
func TestOneNodeDifferences(t *testing.T) {
	tw := startTwins(t, own(t))
	call := `{"jsonrpc":"2.0","id":1,` + askChainID
	refused := func(id, code string) string { return `{"jsonrpc":"2.0","id":` + id + `,"error":{"code":` + code + `}}` }
	modules := `{"jsonrpc":"2.0","id":1,"result":{"engine":"1.0","eth":"1.0","rpc":"1.0"}}`
	result := `{"jsonrpc":"2.0","id":1,"result":"0x539"}`
	for _, c := range []struct{ why, body, direct, through string }{
		{"only the namespaces that a CL needs pass, unless the operator allows others",
			request("rpc_modules", `[]`), modules, refused("1", "-32601")},
		{"there are no subscriptions, whatever a node says: the code is geth's, the words are ours",
			request("eth_subscribe", `["newHeads"]`), refused("1", "-32601"), refused("1", "-32601")},
		{"nothing is no JSON", ``, ``, refused("null", "-32700")},
		{"an id of any JSON type is the caller's own: the error is geth's, under its id",
			`{"jsonrpc":"2.0","id":[1],` + askChainID, refused("null", "-32600"), refused("[1]", "-32600")},
		{"params are the node's to judge, under the caller's id",
			`{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":["\q"]}`, refused("null", "-32700"),
			refused("1", "-32700")},
		{"an answer is no request, and no call of ours is open",
			`{"jsonrpc":"2.0","id":1,"result":5}`, ``, refused("1", "-32600")},
		{"a batch that is not carried out gets one answer",
			`[` + strings.Repeat(call+`,`, 2000) + call + `]`, `[` + refused("1", "-32600") + `]`,
			refused("null", "-32600")},
		{"a member that another decoder could take for a judged one is refused (see TestNoSecondReading)",
			`{"jsonrpc":"2.0","id":1,"Method":"eth_blockNumber",` + askChainID, result, refused("null", "-32600")},
	} {
		for _, side := range []struct {
			name string
			cl   *enginetest.CL
			want string
		}{{"directly", tw.direct, c.direct}, {"through", tw.through, c.through}} {
			got := post(t, side.cl, c.body)
			withoutMessages(got.JSON)
			var want any
			if side.want != "" {
				want = parse(t, side.want)
			}
			if got.Status != http.StatusOK || !reflect.DeepEqual(got.JSON, want) {
				t.Errorf("%s: %.200s\n%s: %s, want %s", c.why, c.body, side.name, got, side.want)
			}
		}
	}
}

// A large batch doesn't fall upon a node all at once.
func TestLargeBatch(t *testing.T) {
	node := enginetest.Proxy(t, geths(t, osaka(), 1)[0].AuthURL(), nodeSecret[:])
	m := start(t, []string{node.URL})
	call := `{"jsonrpc":"2.0","id":1,"method":"eth_accounts"}`
	post(t, m.CL, `[`+strings.Repeat(call+`,`, 999)+call+`]`)
	change := make(map[int64]int) // of the number of calls at the node, by event
	for _, call := range node.WaitEnded("eth_accounts", 1000) {
		change[call.Arrived]++
		change[call.Ended]--
	}
	now, most := 0, 0
	for _, event := range slices.Sorted(maps.Keys(change)) {
		now += change[event]
		most = max(most, now)
	}
	if most > 64 {
		t.Errorf("%d calls at once, want at most 64", most)
	}
}
