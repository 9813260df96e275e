package history

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// call is one call that is put to the history: "chain 7" is a dispute about block 7 (on block 6), "late 7" an objection
// that came late, "proposal 7" one to a payload, "agreed 7" none. after is when it comes.
type call struct {
	what   string
	number byte
	root   byte // where the objection began; 0: not known
	by     string
	after  time.Duration
}

func (c call) into(h *History) {
	r := &Record{
		Time: noon.Add(c.after), Method: "engine_newPayloadV4", Number: uint64(c.number),
		Block: common.Hash{c.number}, Parent: common.Hash{c.number - 1},
		Votes: []Vote{{Node: "n1", Status: "VALID", Vote: "VALID"}},
	}
	if c.by != "" {
		r.Votes = append(r.Votes, Vote{Node: c.by, Status: "SYNCING", Vote: "INVALID"})
	}
	switch c.what {
	case "agreed":
		h.Add(r)
		h.Decide(r, "VALID", time.Second, "", "")
	case "chain":
		h.Add(r)
		if c.root != 0 {
			h.Began(r, common.Hash{c.root})
		}
		h.Decide(r, "SYNCING", time.Second, "halt", "why")
	case "late":
		h.Add(r)
		h.Decide(r, "VALID", time.Second, "", "")
		h.Objected(r)
	case "proposal":
		r.Method, r.Parent, r.Dispute = "engine_getPayloadV4", common.Hash{}, true
		h.Disputed(r)
	}
}

// Each entry is one dispute, in words: kind, first block, calls, who objects, what the CL heard last, whether it
// stands.
func TestDisputes(t *testing.T) {
	long := []call{}
	for i := range 100 {
		long = append(long, call{"chain", byte(7 + i), 0, "n2", time.Duration(i) * 12 * time.Second})
	}
	for _, test := range []struct {
		name  string
		calls []call
		want  []string
	}{
		{"a hundred blocks", long, []string{"chain 7 x100 [n2] SYNCING stands"}},
		{"over", []call{{"chain", 7, 0, "n2", 0}, {"agreed", 8, 0, "", 12}}, []string{"chain 7 x1 [n2] SYNCING over"}},
		{"late, then the chain's, over a block that was answered meanwhile",
			[]call{
				{"agreed", 8, 0, "", 1}, {"late", 7, 0, "n2", 0}, {"chain", 9, 7, "n2", 12},
				{"chain", 10, 7, "n2", 24},
			},
			[]string{"chain 7 x3 [n2] SYNCING stands"}},
		{"one objection, some blocks without a dispute between",
			[]call{{"chain", 7, 7, "n2", 0}, {"agreed", 8, 0, "", 12}, {"chain", 30, 7, "n2", 24}},
			[]string{"chain 7 x2 [n2] SYNCING stands"}},
		{"another objection", []call{{"chain", 7, 7, "n2", 0}, {"chain", 30, 29, "n2", 24}},
			[]string{"chain 7 x1 [n2] SYNCING over", "chain 30 x1 [n2] SYNCING stands"}},
		{"payloads of one builder, each another block",
			[]call{
				{"proposal", 7, 0, "n2", 0}, {"proposal", 9, 0, "n2", time.Minute},
				{"proposal", 11, 0, "n2", time.Hour},
			},
			[]string{"proposal 7 x3 [n2]  stands"}},
		{"much later", []call{{"proposal", 7, 0, "n2", 0}, {"proposal", 9, 0, "n2", time.Hour}},
			[]string{"proposal 7 x1 [n2]  stands", "proposal 9 x1 [n2]  stands"}},
		{"of another", []call{{"proposal", 7, 0, "n2", 0}, {"proposal", 9, 0, "n3", 1}},
			[]string{"proposal 7 x1 [n2]  stands", "proposal 9 x1 [n3]  stands"}},
		{"a payload that was proposed all the same", []call{{"proposal", 7, 0, "n2", 0}, {"chain", 7, 0, "n2", 1}},
			[]string{"chain 7 x2 [n2] SYNCING stands"}},
	} {
		var h History
		for _, c := range test.calls {
			c.into(&h)
		}
		var got []string
		for _, d := range h.Disputes() {
			stands := "over"
			if d.Standing {
				stands = "stands"
			}
			got = append(got,
				fmt.Sprintf("%s %d x%d %v %s %s", d.Kind, d.Number, d.Calls, d.Objectors, d.Heard, stands))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", test.name, got, test.want)
		}
	}
}
