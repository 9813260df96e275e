package outlet_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"executionbackup/internal/engine"
	"executionbackup/internal/outlet"
)

// format writes so that one sees what was asked of it.
var format = outlet.Format{
	ContentType: "text/x",
	Around:      func(id []byte) (head, tail []byte) { return append([]byte("<"), id...), []byte(">") },
	Whole: func(c *engine.Call, id []byte, a *engine.Answer) [][]byte {
		if string(a.Raw) == "large" {
			return [][]byte{[]byte("<"), a.Raw, []byte(">")}
		}
		return [][]byte{[]byte(c.Method.Name + " " + string(id) + " " + string(a.Raw))}
	},
	OpenList: []byte("["), Comma: []byte(","), CloseList: []byte("]"),
	Entry: func(kind engine.ListKind, e *engine.Entry) [][]byte {
		if kind != engine.Blobs {
			return nil
		}
		return append(e.Parts, e.Raw)
	},
}

var call = &engine.Call{Method: engine.ParseMethod("engine_x"), List: engine.List{Kind: engine.Blobs}}

// What goes out, by what is done to an outlet.
func TestOutlet(t *testing.T) {
	entry := func(raw string, parts ...string) engine.Entry {
		e := engine.Entry{Raw: []byte(raw)}
		for _, p := range parts {
			e.Parts = append(e.Parts, []byte(p))
		}
		return e
	}
	for _, c := range []struct {
		name   string
		do     func(o *outlet.Outlet)
		want   string
		length string // the Content-Length that is told
	}{
		{"a whole answer", func(o *outlet.Outlet) { o.Send(&engine.Answer{Raw: []byte("r")}) }, "engine_x 7 r", ""},
		{"a large one", func(o *outlet.Outlet) { o.Send(&engine.Answer{Raw: []byte("large")}) }, "<large>", "7"},
		{"part by part", func(o *outlet.Outlet) {
			o.Begin()
			o.Write([]byte("a"))
			o.Write([]byte("b"))
			o.End()
		}, "<7ab>", ""},
		{"an empty list", func(o *outlet.Outlet) { o.EndList(nil) }, "<7[]>", ""},
		{"a list at once", func(o *outlet.Outlet) {
			o.EndList([]engine.Entry{entry("a"), entry("c", "b")})
		}, "<7[a,bc]>", ""},
		{"a list bit by bit", func(o *outlet.Outlet) {
			o.WriteEntry([]byte("a, b"))
			o.WriteEntry([]byte("c"), []byte("d"))
			o.EndList([]engine.Entry{entry("e")})
		}, "<7[a, b,cd,e]>", ""},
	} {
		w := httptest.NewRecorder()
		o := outlet.New(w, &format, call, []byte("7"))
		if o.HasBegun() {
			t.Errorf("%s: it has begun before anything has gone", c.name)
		}
		c.do(o)
		if got := w.Body.String(); got != c.want || !o.HasBegun() || o.Err() != nil {
			t.Errorf("%s: got %s, begun %t, %v; want %s", c.name, got, o.HasBegun(), o.Err(), c.want)
		}
		if got := w.Header(); got.Get("Content-Type") != "text/x" || got.Get("Content-Length") != c.length {
			t.Errorf("%s: got %v, want a length of %q", c.name, got, c.length)
		}
	}
}

var errGone = errors.New("gone")

// leaving is a caller that goes after some writes.
type leaving struct {
	*httptest.ResponseRecorder
	after int
}

func (l *leaving) Write(b []byte) (int, error) {
	if l.after--; l.after < 0 {
		return 0, errGone
	}
	return l.ResponseRecorder.Write(b)
}

// Where the caller goes nothing more is written, whatever comes, and all is taken: who writes need not know.
func TestCallerLeaves(t *testing.T) {
	w := &leaving{httptest.NewRecorder(), 1}
	o := outlet.New(w, &format, call, nil)
	if gone := o.Send(&engine.Answer{Raw: []byte("large")}); gone || o.Err() != errGone {
		t.Errorf("it has gone: %t, %v", gone, o.Err())
	}
	if n, err := o.Write([]byte("more")); n != 4 || err != errGone {
		t.Errorf("%d bytes are taken, %v", n, err)
	}
	if got := w.Body.String(); got != "<" || w.after != -1 {
		t.Errorf("got %s, and %d writes after that", got, -w.after)
	}
}

// What has begun and can't be ended must not look complete.
func TestAbort(t *testing.T) {
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("got %v", got)
		}
	}()
	outlet.New(httptest.NewRecorder(), &format, call, nil).Abort()
}
