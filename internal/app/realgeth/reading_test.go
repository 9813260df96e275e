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

// A call that can be read in two ways is refused, and no node sees it. This shows for every judged member which of the two geth would
// have read; a client in another language may well read the other.
func TestNoSecondReading(t *testing.T) {
	nodes := geths(t, osaka(), 2)
	direct := enginetest.NewCL(t, nodes[0].AuthURL(), nodeSecret[:])
	seen := enginetest.Proxy(t, nodes[1].AuthURL(), nodeSecret[:])
	m := start(t, []string{seen.URL}, nil)
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

// judgedMembers gives both nodes three blocks and returns the judged members in calls that fit them, and the head.
func judgedMembers(t *testing.T, nodes []*geth.Node) (list []judged, head common.Hash) {
	call := dial(t, nodes[0].AuthURL(), nodeSecret)
	producer, err := geth.NewProducer(t.Context(), osaka().Config, call)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []geth.Payload
	for nonce := range uint64(3) {
		tx := geth.Transfer(nonce)
		...
	}
}
