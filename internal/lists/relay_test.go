package lists

import (
	"encoding/json"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"executionbackup/internal/engine"
	"executionbackup/internal/enginejson"
	"executionbackup/internal/outlet"
)

// format is that of a door which knows only lists.
var format = outlet.Format{
	Around:   func([]byte) (head, tail []byte) { return []byte(`{"result":`), []byte(`}`) },
	OpenList: []byte{'['}, Comma: []byte{','}, CloseList: []byte{']'},
	Entry: func(kind engine.ListKind, e *engine.Entry) [][]byte { return enginejson.AppendEntry(nil, kind, e) },
}

// segmentSize is that of the segments in which a list is kept, in bytes.
const segmentSize = 1 << 20

// Whatever the pieces in which a list comes in, and however large its entries are beside a segment, the same entries go
// out in their order, up to the first gap.
func TestRelayedEntries(t *testing.T) {
	sizes := []int{1, segmentSize / 3, 10, segmentSize - 20, segmentSize, 0, 3 * segmentSize, segmentSize / 2, 7}
	c := &engine.Call{
		Method: engine.Method{Family: engine.GetBlobs},
		List:   engine.List{Kind: engine.Anything, Size: 100, Short: true},
	}
	var entries []string
	for i, size := range sizes {
		entries = append(entries, `"`+strings.Repeat(string(rune('a'+i)), size)+`"`)
	}
	for _, gap := range []int{len(sizes), 3, 0} {
		list := "[ " + strings.Join(entries[:gap], " ,\n")
		if gap < len(sizes) {
			list = "[" + strings.Join(slices.Concat(entries[:gap], []string{"null"}, entries[gap:]), ",")
		}
		for _, piece := range []int{1000, 256 << 10, 16 << 20} {
			w := httptest.NewRecorder()
			reader := enginejson.NewListReader(&c.List)
			r := &relay{call: c, out: outlet.New(w, &format, c, []byte("1"))}
			if err := reader.Read(pieces{strings.NewReader(list + "]"), piece}, r.take); err != nil {
				t.Fatal(err)
			}
			a, err := reader.Answer(c)
			if err != nil {
				t.Fatal(err)
			}
			r.finish(a.Entries)
			var got struct{ Result []*string }
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatalf("gap at %d, pieces of %d: %v", gap, piece, err)
			}
			if gap < len(sizes) && got.Result[gap] != nil {
				t.Errorf("gap at %d, pieces of %d: something stands there", gap, piece)
			}
			got.Result = slices.DeleteFunc(got.Result, func(s *string) bool { return s == nil })
			for i, want := range entries {
				if i < len(got.Result) && *got.Result[i] != want[1:len(want)-1] {
					t.Errorf("gap at %d, pieces of %d: entry %d has %d bytes, want %d",
						gap, piece, i, len(*got.Result[i]), len(want)-2)
				}
			}
			if len(got.Result) != len(sizes) {
				t.Errorf("gap at %d, pieces of %d: %d entries", gap, piece, len(got.Result))
			}
		}
	}
}

// pieces reads at most so many bytes at a time.
type pieces struct {
	io.Reader
	most int
}

func (p pieces) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(len(b), p.most)]) }
