package realgeth_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/enginetest"
	"executionbackup/internal/geth"
)

// judged is a member that ExecutionBackup judges, and two values for it.
type judged struct {
	name, first, second string
	// body is a call in which the object that has the member consists of these members and others.
	body func(members string) string
	// exact says that geth passes over names in another case. In params it doesn't.
	exact bool
}

// A call that can be read in two ways is refused, and no node sees it. This shows for every judged member which of the
// two geth would have read; a client in another language may well read the other.
func TestNoSecondReading(t *testing.T) {
	nodes := geths(t, osaka(), 2)
	direct := enginetest.NewCL(t, nodes[0].AuthURL(), nodeSecret[:])
	seen := enginetest.Proxy(t, nodes[1].AuthURL(), nodeSecret[:])
	m := start(t, []string{seen.URL})
	members, head := judgedMembers(t, nodes)

	for _, j := range members {
		plain := func(value string) reply { return post(t, direct, j.body(fmt.Sprintf("%q:%s", j.name, value))) }
		if first, second := plain(j.first), plain(j.second); reflect.DeepEqual(first, second) {
			t.Fatalf("%s: for both values geth says %s", j.name, first)
		}
		for _, variant := range variants(j) {
			body := j.body(variant.members)
			want := plain(j.second)
			if variant.folded && j.exact {
				want = plain(j.first)
			}
			if got := post(t, direct, body); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: geth reads %s, want %s", variant.members, got, want)
			}
			if got := post(t, m.CL, body); got.code() != "-32600" {
				t.Errorf("%s: %s, want the code -32600", variant.members, got)
			}
		}
	}
	for _, call := range seen.Calls() {
		if strings.Contains(string(call.Body), mark) {
			t.Errorf("the node got %s", call.Body)
		}
	}
	wantHead(t, nodes[1:], head)
}

// variant is a way to name a member twice.
type variant struct {
	members string
	folded  bool // one of the names is in another case
}

func variants(j judged) []variant {
	twice := func(other string) string { return fmt.Sprintf(`%q:%s,"%s":%s`, j.name, j.first, other, j.second) }
	initial := fmt.Sprintf(`\u%04x`, j.name[0])
	list := []variant{
		{twice(j.name), false},
		{twice(initial + j.name[1:]), false},
		{twice(strings.ToUpper(j.name)), true},
		{twice(strings.ToUpper(j.name[:1]) + j.name[1:]), true},
	}
	// Letters that fold to ASCII: the long s and the Kelvin sign.
	for _, fold := range [][2]string{{"s", "ſ"}, {"s", `\u017f`}, {"k", "\u212a"}, {"k", `\u212a`}} {
		if strings.Contains(j.name, fold[0]) {
			list = append(list, variant{twice(strings.Replace(j.name, fold[0], fold[1], 1)), true})
		}
	}
	if !j.exact {
		list = append(list, variant{fmt.Sprintf("%q:%s", strings.ToUpper(j.name), j.second), true}) // alone
	}
	return list
}

// mark stands in every call of this test.
const mark = `"mark":true`

// judgedMembers gives both nodes three blocks, and returns the judged members in calls that fit these, and the head.
func judgedMembers(t *testing.T, nodes []*geth.Node) ([]judged, common.Hash) {
	t.Helper()
	producer, err := geth.NewProducer(t.Context(), osaka().Config, dial(t, nodes[0].AuthURL(), nodeSecret))
	if err != nil {
		t.Fatal(err)
	}
	other := dial(t, nodes[1].AuthURL(), nodeSecret)
	var old geth.Payload
	for range 3 {
		old = producer.Head
		payload, err := producer.Produce(t.Context(), geth.Order{})
		if err != nil {
			t.Fatal(err)
		}
		if err := payload.Import(t.Context(), other, common.Hash{}, common.Hash{}); err != nil {
			t.Fatal(err)
		}
	}
	head := producer.Head
	next, err := producer.Build(t.Context(), geth.Order{})
	if err != nil {
		t.Fatal(err)
	}

	zero, one := quoted(common.Hash{}), quoted(common.Hash{1})
	state := fmt.Sprintf(`{"headBlockHash":%s,"safeBlockHash":%s,"finalizedBlockHash":%s}`,
		quoted(head.Hash), zero, zero)
	forkchoice := func(state, attributes string) string {
		return fmt.Sprintf(`{%s,"jsonrpc":"2.0","id":1,"method":"engine_forkchoiceUpdatedV3","params":[%s,%s]}`,
			mark, state, attributes)
	}
	inState := func(name, first, second string) judged {
		return judged{
			name, first, second,
			func(members string) string { return forkchoice(replace(t, state, name, members), "null") },
			false,
		}
	}
	attributes := fmt.Sprintf(`{"timestamp":"0xffff","prevRandao":%s,"suggestedFeeRecipient":%s,"withdrawals":[],`+
		`"parentBeaconBlockRoot":%s}`, zero, quoted(common.Address{}), zero)
	inAttributes := func(name, first, second string) judged {
		return judged{
			name, first, second,
			func(members string) string { return forkchoice(state, replace(t, attributes, name, members)) },
			false,
		}
	}
	inEnvelope := func(name, first, second, others string) judged {
		return judged{
			name, first, second,
			func(members string) string { return `{` + mark + `,` + others + `,` + members + `}` },
			true,
		}
	}
	list := []judged{
		inEnvelope("jsonrpc", `"2.0"`, `"1.0"`, `"id":1,"method":"eth_blockNumber"`),
		inEnvelope("id", `1`, `2`, `"jsonrpc":"2.0","method":"eth_blockNumber"`),
		inEnvelope("method", `"eth_blockNumber"`, `"eth_accounts"`, `"jsonrpc":"2.0","id":1`),
		inEnvelope("params", `["0x1",false]`, `["0x2",false]`,
			`"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber"`),
		inState("headBlockHash", quoted(head.Hash), quoted(old.Hash)),
		inState("safeBlockHash", zero, one),
		inState("finalizedBlockHash", zero, one),
		inAttributes("timestamp", `"0xffff"`, `"0xfffe"`),
		inAttributes("prevRandao", zero, one),
		inAttributes("suggestedFeeRecipient", quoted(common.Address{}), quoted(common.Address{1})),
		inAttributes("withdrawals", `[]`,
			`[{"index":"0x0","validatorIndex":"0x0","address":`+quoted(common.Address{1})+`,"amount":"0x1"}]`),
		inAttributes("parentBeaconBlockRoot", zero, one),
	}
	more, err := json.Marshal(next.Params[1:])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"blockHash", "parentHash", "blockNumber", "timestamp"} {
		body := func(members string) string {
			object := replace(t, string(next.Params[0]), name, members)
			return fmt.Sprintf(`{%s,"jsonrpc":"2.0","id":1,"method":%q,"params":[%s,%s}`,
				mark, next.Method, object, more[1:])
		}
		right := member(t, next, name)
		wrong := flip(right)
		list = append(list,
			judged{name, string(right), string(wrong), body, false},
			judged{name, string(wrong), string(right), body, false})
	}
	return list, head.Hash
}

func quoted(value fmt.Stringer) string { return `"` + value.String() + `"` }

// replace returns an object with other members instead of one.
func replace(t *testing.T, object, name, members string) string {
	t.Helper()
	var rest map[string]json.RawMessage
	if err := json.Unmarshal([]byte(object), &rest); err != nil {
		t.Fatal(err)
	}
	delete(rest, name)
	text, err := json.Marshal(rest)
	if err != nil {
		t.Fatal(err)
	}
	return `{` + members + `,` + string(text[1:])
}
