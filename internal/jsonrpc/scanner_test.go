package jsonrpc

import (
	"bytes"
	"strings"
	"testing"
)

// scanInPieces feeds a Scanner and returns where the value ends, -1 where it doesn't or isn't one.
func scanInPieces(b []byte, size int) int {
	var s Scanner
	for at := 0; at < len(b); {
		piece := b[at:min(len(b), at+size)]
		n, err := s.Scan(piece)
		if err != nil {
			return -1
		}
		at += n
		if s.Done() {
			return at
		}
	}
	return -1
}

var values = []string{
	`{}`, `[]`, `""`, `{"a":1}`, `{"a":1,"b":[true,false,null,-1.5e+3,{"":[]}]} `, ` [ 1 , "x\"y\\" , { "k" : "\\\\" } ] x`, `"\\"`, `"\\\""`, `"\""`,
	`[`, `{`, `[1`, `[1,]`, `[,]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{1:2}`, `[1}`, `{"a":1]`, `[01]`, `[tru]`, `[true]`, `[nul,1]`, `[1 2]`, `["a" "b"]`,
	`{"a" 1}`, `[-]`, `x`, `}`, `]`, `,`, `"a`, `"a\"`, `["\\\\\\\\"]`, `[[[[]]],{}]`, `[1e5,1E-5,0]`, `[.5]`,
	strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1),
}

// A Scanner finds what skipValue finds, wherever the pieces are cut.
func TestScanner(t *testing.T) {
	for _, v := range values {
		b := []byte(v)
		want := skipValue(b, skipSpace(b, 0))
		for size := 1; size <= min(len(b), 12); size++ {
			if got := scanInPieces(b, size); got != want {
				t.Errorf("%.40s in pieces of %d: got %d, want %d", v, size, got, want)
			}
		}
	}
}

func FuzzScanner(f *testing.F) {
	for _, v := range values {
		f.Add([]byte(v), 3)
	}
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		at := skipSpace(b, 0)
		if at == len(b) || !bytes.ContainsRune([]byte(`{["`), rune(b[at])) {
			return // a number has no end of its own
		}
		if size < 1 {
			return
		}
		want := skipValue(b, at)
		if got := scanInPieces(b, size); got != want && (want < 0 || !longScalar(b)) {
			t.Fatalf("%q in pieces of %d: got %d, want %d", b, size, got, want)
		}
	})
}

func longScalar(b []byte) bool { return len(b) > maxScalar }

// A reply that is judged in two halves is judged as it is whole.
func TestOpening(t *testing.T) {
	for _, test := range []struct {
		reply  string
		opened bool
	}{
		{`{"jsonrpc":"2.0","id":1,"result":[1,2]}`, true},
		{` {"id":"x","x":[{}],"result":{"a":1},"jsonrpc":"2.0" } ` + "\n", true},
		{`{"result":"x","id":1,"more":[],"error":null}`, true},
		{`{"error":null,"result":[]}`, true},
		{`{"result":[],"error":{"code":1,"message":""}}`, true},
		{`{"result":[],"result":[]}`, true},
		{`{"id":1,"result":[],"id":1}`, true},
		{`{"id":1,"result":[],"ID":1}`, true},
		{`{"result":[],}`, true},
		{`{"result":[]`, true},
		{`{"result":[]]`, true},
		{`{"result":[]} x`, true},
		{`{"result":[] "id":1}`, true},
		{`{"id":1,"id":1,"result":[]}`, false},
		{`{"Id":1,"result":[]}`, false},
		{`{"error":{"code":1,"message":""},"result":[]}`, false},
		{`{"Result":[]}`, false},
		{`{"result":1}`, false},
		{`{"result":null}`, false},
		{`{"id":1}`, false},
		{`[]`, false},
		{`<html>`, false},
		{``, false},
	} {
		b := []byte(test.reply)
		o, ok := OpenReply(b)
		if ok != test.opened {
			t.Errorf("%s: opened %t, want %t", test.reply, ok, test.opened)
		}
		if !ok {
			continue
		}
		end := skipValue(b, o.At)
		whole, want := ParseReply(b)
		got := o.Close(b[end:])
		if (got == nil) != (want == nil) || got == nil && string(whole.Result) != string(b[o.At:end]) {
			t.Errorf("%s: got %v, %s, want %v, %s", test.reply, got, b[o.At:end], want, whole.Result)
		}
	}
}

func BenchmarkScanner(b *testing.B) {
	blob := `{"blob":"0x` + strings.Repeat("ab", 128<<10) + `","proofs":["0x` + strings.Repeat("ab", 48) + `"]}`
	list := []byte(`[` + strings.Repeat(blob+",", 5) + blob + `]`)
	b.SetBytes(int64(len(list)))
	b.ReportAllocs()
	for b.Loop() {
		if scanInPieces(list, 256<<10) != len(list) {
			b.Fatal("no value")
		}
	}
}
