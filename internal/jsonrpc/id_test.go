package jsonrpc

import "testing"

// A call's id is its own: not that of something in its params.
func TestCallID(t *testing.T) {
	for _, test := range []struct{ call, want string }{
		{`{"jsonrpc":"2.0","id":1,"method":"eth_x"}`, `1`},
		{` {"params":[{"id":2},"\"id\":3"],"jsonrpc":"2.0", "id" : "a\"b" }`, `"a\"b"`},
		{`{"jsonrpc":"2.0","method":"id","params":{"id":2},"\u0069d":[1, 2]}`, `[1, 2]`},
		{`{"jsonrpc":"2.0","method":"eth_x"}`, ``},
		{string(NewCall("eth_x", nil)), `1`},
	} {
		call := []byte(test.call)
		if got := string(CallID(call)); got != test.want {
			t.Errorf("%s: got %s, want %s", call, got, test.want)
		}
	}
}

// Every call to a node looks for its id.
func TestCallIDTakesNoMemory(t *testing.T) {
	call := NewCall("eth_x", nil)
	if n := testing.AllocsPerRun(10, func() { CallID(call) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
