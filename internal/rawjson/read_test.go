package rawjson

import (
	"errors"
	"slices"
	"testing"
)

// wanted is a query as deep and as wide as Read is for, and what it finds.
type wanted struct {
	outer, inner, number []byte
	list                 [][]byte
}

func (w *wanted) read(b []byte) error {
	return Read(b, Field{Name: "outer", Value: &w.outer, Members: []Field{
		{Name: "inner", Value: &w.inner}, {Name: "list", Elements: &w.list},
	}}, Field{Name: "number", Value: &w.number})
}

func TestRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in                   string
		outer, inner, number string
		list                 []string
		err                  string
	}{
		{in: ` { "x":[{}] , "outer" : {"inner":{"a":1},"list":[ 1 , "2"],"y":{"inner":2}}, "number":7 } `,
			outer: `{"inner":{"a":1},"list":[ 1 , "2"],"y":{"inner":2}}`, inner: `{"a":1}`, number: "7",
			list: []string{"1", `"2"`}},
		{in: `{"number":null,"outer":{"list":[]}}`, outer: `{"list":[]}`, number: "null", list: []string{}},
		{in: `{"outer":[{"inner":1}],"number":"x"}`, outer: `[{"inner":1}]`, number: `"x"`},
		{in: `{"outer":{"list":{"inner":1}}}`, outer: `{"list":{"inner":1}}`},
		{in: `{}`},
		{in: `{"outer":{"inner":1,"inner":1}}`, err: `member "inner" is duplicated or spelled in another case`},
		{in: `{"outer":{"List":[]}}`, err: `member "list" is duplicated or spelled in another case`},
		{in: `{"outer":{},"\u006futer":{}}`, err: `member "outer" is duplicated or spelled in another case`},
		{in: `{"number":1,"number":1}`, err: `member "number" is duplicated or spelled in another case`},
		{in: `{"outer":{"inner":}}`, err: "invalid JSON"},
		{in: `{"outer":{"list":[1,]}}`, err: "invalid JSON"},
		{in: `{"outer":{"inner":1}`, err: "invalid JSON"},
		{in: `{"outer":{"inner":1}}}`, err: "invalid JSON"},
		{in: `[]`, err: "invalid JSON"},
		{in: ``, err: "invalid JSON"},
	} {
		var got wanted
		switch err := got.read([]byte(c.in)); {
		case err != nil || c.err != "":
			if err == nil || err.Error() != c.err {
				t.Errorf("%s: error %v, want %q", c.in, err, c.err)
			}
		case string(got.outer) != c.outer || string(got.inner) != c.inner || string(got.number) != c.number:
			t.Errorf("%s: outer %s, inner %s, number %s", c.in, got.outer, got.inner, got.number)
		case (got.list == nil) != (c.list == nil) ||
			!slices.EqualFunc(got.list, c.list, func(a []byte, b string) bool { return string(a) == b }):
			t.Errorf("%s: list %q, want %q", c.in, got.list, c.list)
		}
	}
}

// To read in one pass is to read level by level.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"outer":{"inner":1,"list":[1,2]},"number":7}`))
	f.Add([]byte(`{"outer":{"Inner":1},"outer":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got wanted
		err := got.read(b)
		var outer, inner [2][]byte
		want := Members(b, []string{"outer", "number"}, outer[:])
		var list [][]byte
		if want == nil && len(outer[0]) > 0 && outer[0][0] == '{' {
			want = Members(outer[0], []string{"inner", "list"}, inner[:])
			if IsArray(inner[1]) {
				list, _ = Elements(inner[1])
			}
		}
		if (err == nil) != (want == nil) ||
			errors.Is(err, ErrSyntax) && !errors.Is(want, ErrSyntax) && !errors.As(want, new(*AmbiguousError)) {
			t.Fatalf("%q: %v, level by level %v", b, err, want)
		}
		if err != nil {
			return
		}
		if string(got.outer) != string(outer[0]) || string(got.number) != string(outer[1]) ||
			string(got.inner) != string(inner[0]) {
			t.Fatalf("%q: outer %q, number %q, inner %q", b, got.outer, got.number, got.inner)
		}
		if !slices.EqualFunc(got.list, list, func(a, b []byte) bool { return string(a) == string(b) }) {
			t.Fatalf("%q: list %q, want %q", b, got.list, list)
		}
	})
}
