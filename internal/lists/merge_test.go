package lists

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"executionbackup/internal/engine"
	"executionbackup/internal/enginejson"
	"executionbackup/internal/jsonrpc"
)

// mergeTexts reads the lists as a call would, leaves out those that are malformed, and merges the rest.
func mergeTexts(asked engine.List, lists ...string) (merged string, whole bool, malformed []int) {
	c := &engine.Call{Method: engine.Method{Family: engine.GetBlobs}, List: asked}
	read := make([][]engine.Entry, len(lists))
	for i, text := range lists {
		a, err := enginejson.ReadAnswer(c, jsonrpc.Reply{Result: []byte(text)})
		if err != nil {
			malformed = append(malformed, i)
		}
		read[i] = a.Entries
	}
	entries, whole := merge(&asked, read)
	return string(enginejson.Result(c, &engine.Answer{Entries: entries})), whole, malformed
}

func blobs(size uint64) engine.List { return engine.List{Kind: engine.Blobs, Size: size} }

func having(size uint64) engine.List { return engine.List{Kind: engine.Having, Size: size} }

func cells(size uint64, n int) engine.List {
	return engine.List{Kind: engine.Cells, Size: size, Cells: n}
}

func bodies(size uint64) engine.List { return engine.List{Kind: engine.BodiesSince, Size: size} }

func bodyRange(size uint64) engine.List {
	l := bodies(size)
	l.Short = true
	return l
}

func TestMerge(t *testing.T) {
	in := func(entries ...string) string { return "[" + strings.Join(entries, ",") + "]" }
	blob := func(name string) string { return fmt.Sprintf(`{"blob":%q,"proof":"0x1"}`, name) }
	cellsOf := func(cells, proofs string) string { return `{"blob_cells":[` + cells + `],"proofs":[` + proofs + `]}` }
	body := func(transactions, accessList string) string {
		return fmt.Sprintf(`{"transactions":[%s],"withdrawals":null,"blockAccessList":%s}`, transactions, accessList)
	}
	a, b, c := blob("a"), blob("b"), blob("c")
	for _, test := range []struct {
		name  string
		asked engine.List
		lists []string
		want  string
		whole bool
	}{
		{"the first node's blobs first", blobs(2), []string{in(a, b), in(c, c)}, in(a, b), true},
		{"each has one of two", blobs(2), []string{in("null", b), in(a, "null")}, in(a, b), true},
		{"one is missing everywhere", blobs(2), []string{in("null", b), "[null,null]"}, in("null", b), false},
		{"a list of another length is none", blobs(2), []string{in(a), in(a, b, c), in("null", b)},
			in("null", b), false},
		{"what is no list is none", blobs(1), []string{"{}", "7", "[" + a, "[" + a + "] x", in(a)}, in(a), true},
		{"what is no blob is none", blobs(1), []string{"[7]", `["blob"]`, "[[]]", in(a)}, in(a), true},
		{"a duplicate makes a list malformed", blobs(1),
			[]string{`[{"blob":"x","blob":null,"proof":"0x1"}]`, in(a)}, in(a), true},
		{"so does another case", blobs(1), []string{`[{"blob":"x","Blob":null,"proof":"0x1"}]`, in(a)}, in(a), true},
		{"a blob that is null is missing", blobs(1), []string{`[{"blob":null,"proof":"0x1"}]`, in(a)}, in(a), true},
		{"so is one without proofs", blobs(1), []string{`[{"blob":"x","proofs":null}]`, in(a)}, in(a), true},
		{"nothing is asked for", blobs(0), []string{"[]"}, "[]", true},

		{"any node's true", having(3), []string{"[true,false,false]", "[false,true,false]"},
			"[true,true,false]", false},
		{"neither true nor false", having(1), []string{"[1]", "[null]", "[true]"}, "[true]", true},

		{"cells of two nodes", cells(1, 3), []string{
			in(cellsOf(`"c0",null,null`, `"p0",null,null`)),
			in(cellsOf(`"C0","C1",null`, `"P0","P1",null`)),
		}, in(cellsOf(`"c0","C1",null`, `"p0","P1",null`)), false},
		{"mixed cells", cells(2, 3), []string{
			in(cellsOf(`"c0",null,null`, `"p0",null,null`), "null"),
			in(cellsOf(`null,"C1",null`, `null,"P1",null`), "null"),
			in("null", cellsOf(`"d0","d1","d2"`, `"q0","q1","q2"`)),
		}, in(cellsOf(`"c0","C1",null`, `"p0","P1",null`), cellsOf(`"d0","d1","d2"`, `"q0","q1","q2"`)), false},
		{"a cell without its proof is missing", cells(1, 2), []string{
			in(cellsOf(`"c0","c1"`, `"p0",null`)),
			in(cellsOf(`null,"C1"`, `null,"P1"`)),
		}, in(cellsOf(`"c0","C1"`, `"p0","P1"`)), true},
		{"too few cells make a list malformed", cells(1, 2), []string{
			in(cellsOf(``, ``)), in(cellsOf(`"c0"`, `"p0"`)), in(cellsOf(`"c0","c1"`, `"p0"`)),
			in(cellsOf(`"C0","C1"`, `"P0","P1"`)),
		}, in(cellsOf(`"C0","C1"`, `"P0","P1"`)), true},
		{"no cells are asked for", cells(1, 0), []string{in(cellsOf(``, ``))}, in(cellsOf(``, ``)), true},

		{"a pruned body", bodies(2),
			[]string{in("null", body("1", `"0x"`)), in(body("0", `"0x"`), "null")},
			in(body("0", `"0x"`), body("1", `"0x"`)), true},
		{"a pruned block access list", bodies(1),
			[]string{in(body("1", `null`)), in(body("1", `"0xba"`))}, in(body("1", `"0xba"`)), true},
		{"a block access list of another body", bodies(1),
			[]string{in(body("1", `null`)), in(body("2", `"0xba"`))}, in(body("1", `null`)), false},
		{"a body without, then one with, its block access list", bodies(1),
			[]string{"[null]", in(body("1", `null`)), in(body("1", `"0xba"`))}, in(body("1", `"0xba"`)), true},
		{"V1 has no block access list", engine.List{Kind: engine.Bodies, Size: 1},
			[]string{`[{"transactions":["1"],"withdrawals":[]}]`}, `[{"transactions":["1"],"withdrawals":[]}]`, true},
		{"a body without transactions may be pruned", bodies(1),
			[]string{in(body("", `"0x"`)), in(body(" ", `"0x"`)), in(body("1", `"0x"`))}, in(body("1", `"0x"`)), true},
		{"or of an empty block", bodies(1),
			[]string{in(body("", `null`)), in(body("", `"0x"`))}, in(body("", `"0x"`)), false},
		{"one with transactions is not that of an empty block", bodies(1),
			[]string{in(body("1", `null`)), in(body("", `"0x"`))}, in(body("1", `null`)), false},

		{"the longest range counts", bodyRange(4),
			[]string{in(body("1", `"0x"`)), in(body("9", `"0x"`), body("2", `"0x"`))},
			in(body("1", `"0x"`), body("2", `"0x"`)), false},
		{"beyond every node's latest block", bodyRange(4), []string{"[]", "[]"}, "[]", false},
		{"pruned everywhere", bodyRange(2), []string{"[null,null]", "[null]"}, "[null,null]", false},
		{"longer than asked for", bodyRange(1), []string{in(body("1", `"0x"`), "null"), "[]"}, "[]", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, whole, _ := mergeTexts(test.asked, test.lists...); got != test.want || whole != test.whole {
				t.Errorf("got %s (whole: %t)\nwant %s (whole: %t)", got, whole, test.want, test.whole)
			}
		})
	}
}

// entries reads a list that is as it should be.
func entries(t testing.TB, asked engine.List, result []byte) []engine.Entry {
	t.Helper()
	c := &engine.Call{Method: engine.Method{Family: engine.GetBlobs}, List: asked}
	a, err := enginejson.ReadAnswer(c, jsonrpc.Reply{Result: result})
	if err != nil {
		t.Fatal(err)
	}
	return a.Entries
}

// A list that came from one node is found, so that it can go out as it came.
func TestSource(t *testing.T) {
	for _, test := range []struct {
		lists  []string
		from   int
		single bool
	}{
		{[]string{`[{"blob":"a","proof":"p"},null]`, `[null,null]`}, 0, true},
		{[]string{`[null,null]`, `[null,{"blob":"b","proof":"p"}]`}, 1, true},
		{[]string{`[null,{"blob":"b","proof":"p"}]`, `[{"blob":"a","proof":"p"},null]`}, 0, false},
		{[]string{`[null,null]`, `[null,null]`}, -1, true},
	} {
		asked := blobs(2)
		var lists [][]engine.Entry
		for _, text := range test.lists {
			lists = append(lists, entries(t, asked, []byte(text)))
		}
		merged, _ := merge(&asked, lists)
		if from, single := source(merged); from != test.from && test.single || single != test.single {
			t.Errorf("%v: %d, %t", test.lists, from, single)
		}
	}
}

// oracle reads the lists with encoding/json, as another program would, and merges them as slowly as it likes.
// entries gives what is at a position in each list, "" where a list doesn't reach, and fold joins them.
func oracle(lists []string, malformed []int, fold func(entries []string) (entry string, whole bool)) (
	merged []string, whole bool) {
	for _, i := range malformed {
		lists[i] = "[]"
	}
	var read [][]json.RawMessage
	length := 0
	for _, text := range lists {
		var l []json.RawMessage
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			panic(err)
		}
		read, length = append(read, l), max(length, len(l))
	}
	whole = true
	for p := range length {
		var column []string
		for _, l := range read {
			if p < len(l) {
				column = append(column, string(l[p]))
			}
		}
		e, complete := fold(column)
		merged, whole = append(merged, e), whole && complete
	}
	return merged, whole
}

// compare fails the test unless the merge of the lists is what fold makes of them. Lists that aren't JSON are left out:
// the structure is judged, not what strings contain.
func compare(t *testing.T, asked engine.List, fold func([]string) (string, bool), lists ...string) {
	t.Helper()
	for _, l := range lists {
		if !json.Valid([]byte(l)) {
			return
		}
	}
	got, gotWhole, malformed := mergeTexts(asked, lists...)
	want, wantWhole := oracle(lists, malformed, fold)
	wantWhole = wantWhole && uint64(len(want)) == asked.Size
	var gotEntries []json.RawMessage
	if err := json.Unmarshal([]byte(got), &gotEntries); err != nil {
		t.Fatalf("%q is no list: %v", got, err)
	}
	if gotWhole != wantWhole || len(gotEntries) != len(want) {
		t.Fatalf("%q\ngot  %s (whole: %t)\nwant %s (whole: %t)", lists, got, gotWhole, want, wantWhole)
	}
	for i, e := range gotEntries {
		if compact(string(e)) != compact(want[i]) {
			t.Fatalf("%q\nentry %d is  %s\nwant %s", lists, i, e, want[i])
		}
	}
}

func compact(text string) string {
	var b bytes.Buffer
	if json.Compact(&b, []byte(text)) != nil {
		return text
	}
	return b.String()
}

// seeds feeds a fuzzer all lists of up to two entries out of these.
func seeds(f *testing.F, entries ...string) {
	var lists []string
	for _, a := range append(entries, "") {
		for _, b := range entries {
			lists = append(lists, "["+strings.TrimPrefix(a+","+b, ",")+"]")
		}
	}
	for i, a := range lists {
		f.Add(a, lists[(i*7+3)%len(lists)], lists[(i*5+1)%len(lists)])
		f.Add(a, lists[(i*11+2)%len(lists)], "null")
	}
}

func has(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

func FuzzMergeBlobs(f *testing.F) {
	seeds(f, `null`, `{"blob":"a","proof":"p"}`, `{"proofs":["q","r"],"blob":"b"}`, `{"blob":null}`,
		`{"blob":"","BLOB":1,"proof":"p"}`, `7`)
	f.Fuzz(func(t *testing.T, a, b, c string) {
		compare(t, blobs(2), func(column []string) (string, bool) {
			for _, e := range column {
				var blob struct{ Blob, Proof, Proofs json.RawMessage }
				if err := json.Unmarshal([]byte(e), &blob); err != nil {
					t.Fatalf("%s: %v", e, err)
				}
				if has(blob.Blob) && (has(blob.Proof) || has(blob.Proofs)) {
					return e, true
				}
			}
			return column[0], false
		}, a, b, c)
	})
}

func FuzzMergeBools(f *testing.F) {
	seeds(f, `true`, `false`, `null`, `"true"`)
	f.Fuzz(func(t *testing.T, a, b, c string) {
		compare(t, having(2), func(column []string) (string, bool) {
			any := false
			for _, e := range column {
				var is bool
				if err := json.Unmarshal([]byte(e), &is); err != nil {
					t.Fatalf("%s: %v", e, err)
				}
				any = any || is
			}
			return fmt.Sprint(any), any
		}, a, b, c)
	})
}

func FuzzMergeCells(f *testing.F) {
	type row struct {
		Cells  []*json.RawMessage `json:"blob_cells"`
		Proofs []*json.RawMessage `json:"proofs"`
	}
	seeds(f, `null`, `{"blob_cells":["a","b"],"proofs":["p","q"]}`, `{"blob_cells":["c",null],"proofs":["r",null]}`,
		`{"proofs":[null,"s"],"blob_cells":["d","e"]}`,
		`{"blob_cells":[null,null],"proofs":[null,null]}`, `{"blob_cells":["f"],"proofs":["t"]}`)
	f.Fuzz(func(t *testing.T, a, b, c string) {
		compareCells := func(column []string) (string, bool) {
			var merged *row
			for _, e := range column {
				var r *row
				if err := json.Unmarshal([]byte(e), &r); err != nil {
					t.Fatalf("%s: %v", e, err)
				}
				if r == nil {
					continue
				}
				if merged == nil {
					merged = &row{make([]*json.RawMessage, 2), make([]*json.RawMessage, 2)}
				}
				for i := range 2 {
					if r.Cells[i] != nil && r.Proofs[i] != nil && merged.Cells[i] == nil {
						merged.Cells[i], merged.Proofs[i] = r.Cells[i], r.Proofs[i]
					}
				}
			}
			if merged == nil {
				return "null", false
			}
			raw, err := json.Marshal(merged)
			if err != nil {
				t.Fatal(err)
			}
			return string(raw), merged.Cells[0] != nil && merged.Cells[1] != nil
		}
		// What comes out as it came in may have other members, and half a pair: compare what a reader takes from it.
		lists := []string{a, b, c}
		for _, l := range lists {
			if !json.Valid([]byte(l)) {
				return
			}
		}
		got, whole, malformed := mergeTexts(cells(2, 2), lists...)
		want, wantWhole := oracle(lists, malformed, compareCells)
		var entries []json.RawMessage
		if err := json.Unmarshal([]byte(got), &entries); err != nil {
			t.Fatal(err)
		}
		if len(entries) != len(want) || whole != (wantWhole && len(want) == 2) {
			t.Fatalf("%q\ngot  %s (whole: %t)\nwant %s", lists, got, whole, want)
		}
		for i, e := range entries {
			if read, _ := compareCells([]string{string(e)}); compact(read) != compact(want[i]) {
				t.Fatalf("%q\nentry %d is  %s\nwant %s", lists, i, e, want[i])
			}
		}
	})
}

func FuzzMergeBodies(f *testing.F) {
	seeds(f, `null`, `{"transactions":["a"],"withdrawals":[],"blockAccessList":null}`,
		`{"blockAccessList":"0xba","transactions":["a"],"withdrawals":[]}`,
		`{"transactions":["b"],"withdrawals":[],"blockAccessList":"0xbb"}`, `{"transactions":["a"],"withdrawals":[]}`,
		`{"transactions":[],"Transactions":[]}`)
	type body struct{ Transactions, Withdrawals, BlockAccessList json.RawMessage }
	none := func(b *body) bool {
		var transactions []json.RawMessage
		return !has(b.Transactions) || json.Unmarshal(b.Transactions, &transactions) == nil && len(transactions) == 0
	}
	fold := func(column []string) (string, bool) {
		best := "null"
		var of *body
		for _, e := range column {
			var other *body
			if json.Unmarshal([]byte(e), &other) != nil {
				panic(e)
			}
			if other == nil {
				continue
			}
			if of == nil || none(of) && !none(other) || !has(of.BlockAccessList) && has(other.BlockAccessList) &&
				bytes.Equal(of.Transactions, other.Transactions) && bytes.Equal(of.Withdrawals, other.Withdrawals) {
				best, of = e, other
			}
		}
		return best, of != nil && !none(of) && has(of.BlockAccessList)
	}
	f.Fuzz(func(t *testing.T, a, b, c string) {
		compare(t, bodies(2), fold, a, b, c)
		compare(t, bodyRange(3), fold, a, b, c)
	})
}

// blobList is a list of blobs in JSON as a node sends it; every step-th from first on is there.
func blobList(n, first, step int) []byte {
	blob, proof := strings.Repeat("0", 2*131072), strings.Repeat("0", 2*48)
	entry := `{"blob":"0x` + blob + `","proofs":["0x` + strings.Repeat(proof+`","0x`, 127) + proof + `"]}`
	entries := make([]string, n)
	for i := range entries {
		entries[i] = "null"
		if i%step == first {
			entries[i] = entry
		}
	}
	return []byte("[" + strings.Join(entries, ",") + "]")
}

// 72 blobs, as a block of the near future has, put together from two nodes' halves.
func BenchmarkMergeBlobs(b *testing.B) {
	const n = 72
	results := [][]byte{blobList(n, 0, 2), blobList(n, 1, 2)}
	b.SetBytes(int64(len(results[0]) + len(results[1])))
	b.ReportAllocs()
	for b.Loop() {
		asked, lists := blobs(n), make([][]engine.Entry, len(results))
		for i, result := range results {
			lists[i] = entries(b, asked, result)
		}
		merged, whole := merge(&asked, lists)
		c := &engine.Call{Method: engine.Method{Family: engine.GetBlobs}, List: asked}
		if !whole || len(enginejson.Result(c, &engine.Answer{Entries: merged})) < 19_000_000 {
			b.Fatal("not whole")
		}
	}
}
