package rawjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestSetMember(t *testing.T) {
	for _, c := range []struct{ object, want string }{
		{`{}`, `{"n":7}`},
		{`{"a":1}`, `{"a":1,"n":7}`},
		{`{"n":null,"a":{"n":2}}`, `{"n":7,"a":{"n":2}}`},
		{` { "a" : 1 , "n" : [1] } `, ` { "a" : 1 , "n" : 7 } `},
	} {
		got, err := SetMember([]byte(c.object), "n", []byte("7"))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: got %s, %v, want %s", c.object, got, err, c.want)
		}
	}
	if _, err := SetMember([]byte(`[]`), "n", []byte("7")); !errors.Is(err, ErrSyntax) {
		t.Errorf("array: %v", err)
	}
}

func FuzzElements(f *testing.F) {
	f.Add([]byte(`[{"jsonrpc":"2.0","id":1,"method":"m"}, 7 ,[]]`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Elements(b)
		if !json.Valid(b) {
			return
		}
		var want []json.RawMessage
		if json.Unmarshal(b, &want) != nil || string(bytes.TrimSpace(b)) == "null" {
			if err == nil {
				t.Fatalf("%q: accepted", b)
			}
			return
		}
		if err != nil || len(got) != len(want) {
			t.Fatalf("%q: %d elements, %v; want %d", b, len(got), err, len(want))
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("%q: element %d is %q, want %q", b, i, got[i], want[i])
			}
		}
	})
}

func TestDeepNesting(t *testing.T) {
	deep := func(n int) []byte {
		return []byte(strings.Repeat(`[`, n) + strings.Repeat(`]`, n))
	}
	if end := SkipValue(deep(maxDepth), 0); end != 2*maxDepth {
		t.Errorf("depth %d: got %d", maxDepth, end)
	}
	if end := SkipValue(deep(maxDepth+1), 0); end != -1 {
		t.Errorf("depth %d: got %d, want -1", maxDepth+1, end)
	}
	// Arrays and objects in turn, in an uneven pattern; then one bracket after the other is closed wrongly.
	var open, closed []byte
	for i := range 300 {
		if i*i%7 < 3 {
			open, closed = append(open, '['), append(closed, ']')
		} else {
			open, closed = append(open, `{"a":`...), append(closed, '}')
		}
	}
	slices.Reverse(closed)
	nested := slices.Concat(open, []byte("1"), closed)
	if end := SkipValue(nested, 0); end != len(nested) {
		t.Errorf("mixed: got %d, want %d", end, len(nested))
	}
	for i := len(nested) - len(closed); i < len(nested); i++ {
		wrong := slices.Clone(nested)
		wrong[i] ^= '}' ^ ']'
		if end := SkipValue(wrong, 0); end != -1 {
			t.Errorf("wrongly closed at %d: got %d", i, end)
		}
	}
}
