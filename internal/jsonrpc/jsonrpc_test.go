package jsonrpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"executionbackup/internal/rawjson"
)

func TestParseRequest(t *testing.T) {
	body := ` {"jsonrpc":"2.0","id":"a\"b","method":"engine_newPayloadV4","params":[{"parentHash":"0x01",` +
		`"blockHash":"0x02"},["x"],null,7]} `
	var r Request
	if err := ParseRequest([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	var got [3][]byte
	if err := r.ArgMembers([]string{"blockHash", "parentHash", "absent"}, got[:]); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, got, want string }{
		{"raw", string(r.Raw), strings.TrimSpace(body)},
		{"id", string(r.ID), `"a\"b"`},
		{"method", string(r.Method), "engine_newPayloadV4"},
		{"arg 1", string(r.Arg(1)), `["x"]`},
		{"arg 2", string(r.Arg(2)), `null`},
		{"arg 3", string(r.Arg(3)), `7`},
		{"arg 9", string(r.Arg(9)), ``},
		{"blockHash", string(got[0]), `"0x02"`},
		{"parentHash", string(got[1]), `"0x01"`},
		{"absent", string(got[2]), ``},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, c.got, c.want)
		}
	}
}

func TestParseRequestErrors(t *testing.T) {
	ambiguous := func(name string) error { return &rawjson.AmbiguousError{Name: name} }
	for _, c := range []struct {
		body string
		want error
	}{
		{`{"jsonrpc":"2.0","id":1,"method":"m"}`, nil},
		{`{"jsonrpc":"2.0","id":null,"method":"m","params":[]}`, nil},
		{`{"jsonrpc":"2.0","method":"m","unknown":{"id":1}}`, nil},
		{`{"jsonrpc":"2.0","id":{"a":[1]},"method":"m"}`, nil},
		{`{"jsonrpc":"2.0","id":99999999999999999999999999999999,"method":"m","params":{"a":1}}`, nil},
		{`{"jsonrpc":"2.0","id":1,"m\u0065thod":"m"}`, nil}, // the same name to every reader
		{``, rawjson.ErrSyntax},
		{`{`, rawjson.ErrSyntax},
		{`{}{}`, rawjson.ErrSyntax},
		{`{"jsonrpc":"2.0","id":1,"method":"m","params":[}]}`, rawjson.ErrSyntax},
		{`{"jsonrpc":"2.0","id":1,"method":"m","params":[1,]}`, rawjson.ErrSyntax},
		{`{"jsonrpc":"2.0","id":01,"method":"m"}`, rawjson.ErrSyntax},
		{"{\"jsonrpc\":\"2.0\",\"id\":\"\x01\",\"method\":\"m\"}", rawjson.ErrSyntax},
		{`{"jsonrpc":"2.0","id":1,"method":"m"`, rawjson.ErrSyntax},
		{`nul`, rawjson.ErrSyntax},
		{`7`, errNotRequest},
		{`{}`, errVersion},
		{`{"jsonrpc":"1.0","id":1,"method":"m"}`, errVersion},
		{`{"jsonrpc":"2.0","id":1}`, errMethod},
		{`{"jsonrpc":"2.0","id":1,"method":7}`, errMethod},
		{`{"jsonrpc":"2.0","id":1,"method":""}`, errMethod},
		{`{"jsonrpc":"2.0","id":1,"method":"m","method":"m"}`, ambiguous("method")},
		{`{"jsonrpc":"2.0","id":1,"method":"m","Method":"n"}`, ambiguous("method")},
		{`{"jsonrpc":"2.0","id":1,"METHOD":"m"}`, ambiguous("method")},
		{`{"jsonrpc":"2.0","id":1,"method":"m","params":[],"paramſ":[1]}`, ambiguous("params")},
		{`{"jsonrpc":"2.0","id":1,"method":"m","\u004dethod":"n"}`, ambiguous("method")},
		{`{"jsonrpc":"2.0","id":1,"Id":2,"method":"m"}`, ambiguous("id")},
		{`{"jsonrpc":"2.0","JSONRPC":"2.0","id":1,"method":"m"}`, ambiguous("jsonrpc")},
		{`{"jsonrpc":"2.0","id":1,"method":"m","params":[1],"params":[2]}`, ambiguous("params")},
	} {
		var r Request
		err := ParseRequest([]byte(c.body), &r)
		if !reflect.DeepEqual(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.body, err, c.want)
		}
	}
}

// More members than a Request keeps are looked up by a second scan, with the same result.
func TestArgMembersOverflow(t *testing.T) {
	many := strings.Repeat(`"x":1,`, maxMembers)
	for _, c := range []struct {
		arg  string
		want error
	}{
		{`{` + many + `"blockHash":"0x02"}`, nil},
		{`{"blockHash":"0x02",` + many + `"BlockHash":"0x03"}`, &rawjson.AmbiguousError{Name: "blockHash"}},
		{`{"blockHash":"0x02",` + many + `"bloc` + "\u212a" + `Hash":"0x03"}`,
			&rawjson.AmbiguousError{Name: "blockHash"}},
	} {
		var r Request
		if err := ParseRequest([]byte(`{"jsonrpc":"2.0","method":"m","params":[`+c.arg+`]}`), &r); err != nil {
			t.Fatal(err)
		}
		var got [1][]byte
		err := r.ArgMembers([]string{"blockHash"}, got[:])
		if !reflect.DeepEqual(err, c.want) {
			t.Errorf("got %v, want %v", err, c.want)
		}
		if err == nil && string(got[0]) != `"0x02"` {
			t.Errorf("got %s", got[0])
		}
	}
}

func TestParseReply(t *testing.T) {
	for _, c := range []struct {
		body, result, err string
		bad               bool
	}{
		{body: `{"jsonrpc":"2.0","id":1,"result":null}`, result: `null`},
		{body: `{"jsonrpc":"2.0","id":1,"result":{"a":1},"error":null}` + "\n", result: `{"a":1}`},
		{body: `{"jsonrpc":"2.0","id":1,"error":{"code":-38001,"message":"<x>","data":{"err":"e"},"more":1}}`,
			err: `{"code":-38001,"message":"<x>","data":{"err":"e"},"more":1}`},
		{body: `{"jsonrpc":"2.0","id":1}`, bad: true},
		{body: `{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":""}}`, bad: true},
		{body: `{"jsonrpc":"2.0","id":1,"result":1,"Result":2}`, bad: true},
		{body: `{"jsonrpc":"2.0","id":1,"result":1,"result":2}`, bad: true},
		{body: `{"jsonrpc":"2.0","id":1,"error":{"code":1,"Code":2}}`, bad: true},
		{body: `{"jsonrpc":"2.0","id":1,"error":"text"}`, bad: true},
		{body: `[{"jsonrpc":"2.0","id":1,"result":1}]`, bad: true},
		{body: `{"jsonrpc":"2.0","id":1,"result":1`, bad: true},
		{body: ``, bad: true},
	} {
		r, err := ParseReply([]byte(c.body))
		if (err != nil) != c.bad {
			t.Errorf("%s: error %v", c.body, err)
			continue
		}
		if c.bad {
			continue
		}
		if string(r.Result) != c.result {
			t.Errorf("%s: result %s, want %s", c.body, r.Result, c.result)
		}
		out := AppendReply(nil, []byte(`"id"`), r)
		want := `{"jsonrpc":"2.0","id":"id","result":` + c.result + `}`
		if c.err != "" {
			want = `{"jsonrpc":"2.0","id":"id","error":` + c.err + `}`
		}
		if string(out) != want {
			t.Errorf("got %s, want %s", out, want)
		}
	}
}

// What we accept means the same to encoding/json, whose decoders fold case and take the last of two.
func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"engine_newPayloadV4","params":[{"blockHash":"0x1",` +
		`"parentHash":"0x2"},[],null]}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":"\u0041","method":"m","Params":[1.5e+10,true,{"a":[{}]}]}`))
	f.Add([]byte("{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"param\u017f\":[]}"))
	f.Add([]byte(`[[[[{"a":"\\\""}]]]]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Request
		err := ParseRequest(b, &r)
		if json.Valid(b) && errors.Is(err, rawjson.ErrSyntax) {
			t.Fatalf("refused as syntax: %q", b)
		}
		if err != nil || !json.Valid(b) { // we leave the insides of strings to the node
			return
		}
		var second struct {
			JSONRPC string
			ID      json.RawMessage
			Method  string
			Params  json.RawMessage
		}
		if err := json.Unmarshal(b, &second); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if second.Method != string(r.Method) || !bytes.Equal(second.ID, r.ID) || !bytes.Equal(second.Params, r.Params) {
			t.Fatalf("%q read as %q %q %q and %q %q %q",
				b, r.Method, r.ID, r.Params, second.Method, second.ID, second.Params)
		}
		var judged [2][]byte
		if r.ArgMembers([]string{"blockHash", "parentHash"}, judged[:]) != nil || r.count < 0 {
			return
		}
		var args []json.RawMessage
		if err := json.Unmarshal(r.Params, &args); err != nil {
			t.Fatal(err)
		}
		var fields struct{ BlockHash, ParentHash json.RawMessage }
		if err := json.Unmarshal(args[0], &fields); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(fields.BlockHash, judged[0]) || !bytes.Equal(fields.ParentHash, judged[1]) {
			t.Fatalf("%q read as %q and %q", b, judged, fields)
		}
	})
}

// A node's answer, passed on under the caller's id, is JSON whenever the node's result is, and never crashes us.
func FuzzParseReply(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"result":{"status":"VALID","latestValidHash":"0x00"}}`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"x","data":{"err":"y"}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseReply(b)
		if err != nil || !json.Valid(b) {
			return
		}
		if out := AppendReply(nil, []byte("1"), r); !json.Valid(out) {
			t.Fatalf("%q passed on as %q", b, out)
		}
		rawjson.SetMember(r.Result, "payloadId", []byte("null"))
	})
}

func BenchmarkParseRequest(b *testing.B) {
	tx := `"0x` + strings.Repeat("ab", 3000) + `"`
	body := []byte(`{"jsonrpc":"2.0","id":1,"method":"engine_newPayloadV4","params":[{"parentHash":"0x01",` +
		`"blockHash":"0x02","transactions":[` +
		strings.Repeat(tx+",", 170) + tx + `]},[],"0x00",[]]}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	var r Request
	for b.Loop() {
		if err := ParseRequest(body, &r); err != nil {
			b.Fatal(err)
		}
	}
}
