package lists

import (
	"strings"
	"testing"

	"executionbackup/internal/engine"
	"executionbackup/internal/enginejson"
	"executionbackup/internal/jsonrpc"
)

// sizeOf returns the size of a list as a node sends it, and whether it is valid.
func sizeOf(t *testing.T, result []byte) (size int, valid bool) {
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
		want int // 0: not valid
	}{
		{`[]`, 1},
		{`["0x01"]`, 2},
		{`["0x02ff", "0xC0"]`, 5},
		{`[` + tx("02", 54) + `]`, 56},     // a list of 55 bytes
		{`[` + tx("02", 55) + `]`, 58},     // of 56
		{`[` + tx("02", 56) + `]`, 60},     // a string of 56
		{`[` + tx("f8", 8189) + `]`, 8192}, // a legacy transaction as it is
		{`[` + tx("f8", 8190) + `]`, 0},    // one more
		{`[` + tx("02", 8186) + `]`, 8192}, // a typed one as a string
		{`[` + tx("02", 8187) + `]`, 0},    // one more
		{`["0x01","0x03aa"]`, 0},           // a blob transaction
		{`["0x80"]`, 0},                    // no transaction
		{`["0x"]`, 0},                      // nothing
		{`["0x1"]`, 0}, {`["0xgg"]`, 0}, {`[1]`, 0}, {`[null]`, 0}, {`null`, 0}, {`{}`, 0}, {``, 0},
		{`[` + strings.Repeat(" ", 16*maxInclusionList) + `]`, 0},
	} {
		got, valid := sizeOf(t, []byte(c.list))
		if valid != (c.want > 0) || valid && got != c.want {
			t.Errorf("%.40s: %d, %t; want %d", c.list, got, valid, c.want)
		}
	}
}

// FuzzInclusionList reads inclusion lists. One that is accepted is within the specification's bound.
func FuzzInclusionList(f *testing.F) {
	f.Add([]byte(`["0x02","0xc0","0x7f00"]`))
	f.Fuzz(func(t *testing.T, result []byte) {
		if n, valid := sizeOf(t, result); valid && (n < 1 || n > maxInclusionList) {
			t.Fatalf("%q: %d bytes", result, n)
		}
	})
}
