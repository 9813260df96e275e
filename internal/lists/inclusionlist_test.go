package lists

import (
	"strings"
	"testing"

	"executionbackup/internal/engine"
	"executionbackup/internal/enginejson"
	"executionbackup/internal/jsonrpc"
)

// sizeOf returns the size of a list as a node sends it, or an error where it isn't valid.
func sizeOf(t *testing.T, result []byte) (int, error) {
	t.Helper()
	c := &engine.Call{Method: engine.ParseMethod("engine_getInclusionListV1")}
	a, err := enginejson.ReadAnswer(c, jsonrpc.Reply{Result: result})
	if err != nil {
		t.Fatal(err)
	}
	return inclusionListSize(a.InclusionList)
}

func TestInclusionListSize(t *testing.T) {
	tx := func(first string, bytes int) string { return `"0x` + first + strings.Repeat("11", bytes-1) + `"` }
	for _, c := range []struct {
		list string
		want any // bytes, or why it isn't valid
	}{
		{`[]`, 1},
		{`["0x01"]`, 2},
		{`["0x02ff", "0xC0"]`, 5},
		{`[` + tx("02", 54) + `]`, 56},           // a list of 55 bytes
		{`[` + tx("02", 55) + `]`, 58},           // of 56
		{`[` + tx("02", 56) + `]`, 60},           // a string of 56
		{`[` + tx("f8", 8189) + `]`, 8192},       // a legacy transaction as it is
		{`[` + tx("f8", 8190) + `]`, errTooLong}, // one more
		{`[` + tx("02", 8186) + `]`, 8192},       // a typed one as a string
		{`[` + tx("02", 8187) + `]`, errTooLong}, // one more
		{`["0x01","0x03aa"]`, errTransaction},    // a blob transaction
		{`["0x80"]`, errTransaction},             // no transaction
		{`["0x"]`, errTransaction},               // nothing
		{`["0x1"]`, errNoTransactions}, {`["0xgg"]`, errNoTransactions}, {`[1]`, errNoTransactions},
		{`[null]`, errNoTransactions}, {`null`, errNoTransactions}, {`{}`, errNoTransactions}, {``, errNoTransactions},
		{`[` + strings.Repeat(" ", 16*engine.MaxInclusionList) + `]`, errNoTransactions},
	} {
		var got any
		size, err := sizeOf(t, []byte(c.list))
		if got = size; err != nil {
			got = err
		}
		if got != c.want {
			t.Errorf("%.40s: %v, want %v", c.list, got, c.want)
		}
	}
}

// FuzzInclusionList reads inclusion lists. One that is accepted is within the specification's bound.
func FuzzInclusionList(f *testing.F) {
	f.Add([]byte(`["0x02","0xc0","0x7f00"]`))
	f.Fuzz(func(t *testing.T, result []byte) {
		if n, err := sizeOf(t, result); err == nil && (n < 1 || n > engine.MaxInclusionList) {
			t.Fatalf("%q: %d bytes", result, n)
		}
	})
}
