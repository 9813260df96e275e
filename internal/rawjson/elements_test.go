package rawjson

import (
	"bytes"
	"testing"
)

// An answer of many small elements must not take many times its own size in memory.
func TestElementsAreBounded(t *testing.T) {
	list := func(n int) []byte { return append(append([]byte{'['}, bytes.Repeat([]byte("0,"), n-1)...), "0]"...) }
	if got, err := Elements(list(maxElements)); err != nil || len(got) != maxElements {
		t.Errorf("%d elements, %v", len(got), err)
	}
	if _, err := Elements(list(maxElements + 1)); err == nil {
		t.Error("one element too many is accepted")
	}
}

// An array that comes in pieces has the same elements as the whole, though what has been read is thrown away.
func TestElementReader(t *testing.T) {
	for _, test := range []string{
		`[]`, ` [ ] `, `[1,2]`, ` [ {"a":[1,2]} , "x,]" ,[[]],null, -12e3 ] `, `[1`, `[1,`, `[1,]`, `[1}`, `{"a":1}`,
		`"x"`, ``, `[`, `[x,1]`,
		`["aaaaaaaaaaaaaaaaaaaaaaaa","b","cccccccccccccccccccccccccccccccccccccccccccccccccccccccc","d"]`,
	} {
		b := []byte(test)
		want, err := Elements(b)
		for step := 1; step <= max(1, len(b)); step++ {
			var r ElementReader
			var got [][]byte
			for n, came := 0, []byte(nil); ; {
				for e := r.Next(came); e != nil; e = r.Next(came) {
					got = append(got, e)
				}
				if n == len(b) {
					break
				}
				came = bytes.Clone(r.Rest(came))
				came = append(came, b[n:min(len(b), n+step)]...)
				n = min(len(b), n+step)
			}
			if err == nil && (!r.Ended() || len(got) != len(want)) {
				t.Errorf("%s in steps of %d: got %q, ended %t", test, step, got, r.Ended())
			}
			for i := range min(len(got), len(want)) {
				if string(got[i]) != string(want[i]) {
					t.Errorf("%s in steps of %d: element %d: got %s, want %s", test, step, i, got[i], want[i])
				}
			}
			if err != nil && r.Ended() {
				t.Errorf("%s in steps of %d: ended", test, step)
			}
		}
	}
}
