package rawjson

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
	`{}`, `[]`, `""`, `{"a":1}`, `{"a":1,"b":[true,false,null,-1.5e+3,{"":[]}]} `,
	` [ 1 , "x\"y\\" , { "k" : "\\\\" } ] x`, `"\\"`, `"\\\""`, `"\""`,
	`[`, `{`, `[1`, `[1,]`, `[,]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{1:2}`, `[1}`, `{"a":1]`, `[01]`, `[tru]`, `[true]`,
	`[nul,1]`, `[1 2]`, `["a" "b"]`,
	`{"a" 1}`, `[-]`, `x`, `}`, `]`, `,`, `"a`, `"a\"`, `["\\\\\\\\"]`, `[[[[]]],{}]`, `[1e5,1E-5,0]`, `[.5]`,
	strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth),
	strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1),
}

// A Scanner finds what skipValue finds, wherever the pieces are cut.
func TestScanner(t *testing.T) {
	for _, v := range values {
		b := []byte(v)
		want := SkipValue(b, SkipSpace(b, 0))
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
		at := SkipSpace(b, 0)
		if at == len(b) || !bytes.ContainsRune([]byte(`{["`), rune(b[at])) {
			return // a number has no end of its own
		}
		if size < 1 {
			return
		}
		want := SkipValue(b, at)
		if got := scanInPieces(b, size); got != want && (want < 0 || !longScalar(b)) {
			t.Fatalf("%q in pieces of %d: got %d, want %d", b, size, got, want)
		}
	})
}

func longScalar(b []byte) bool { return len(b) > maxScalar }

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
