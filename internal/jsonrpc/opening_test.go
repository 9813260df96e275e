package jsonrpc

import (
	"testing"

	"executionbackup/internal/rawjson"
)

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
		end := rawjson.SkipValue(b, o.At)
		whole, want := ParseReply(b)
		got := o.Close(b[end:])
		if (got == nil) != (want == nil) || got == nil && string(whole.Result) != string(b[o.At:end]) {
			t.Errorf("%s: got %v, %s, want %v, %s", test.reply, got, b[o.At:end], want, whole.Result)
		}
	}
}
