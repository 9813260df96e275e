package jsonrpc

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
