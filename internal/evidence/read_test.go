package evidence

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// content is a file as a Log writes it.
func content(t testing.TB, c *Case, calls []Call, records ...*Record) []byte {
	t.Helper()
	dir := t.TempDir()
	if _, err := create(dir, "x", c, calls); err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if _, err := extend(dir, "x", r); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "x"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func zipped(text string) []byte {
	var b bytes.Buffer
	member(&b, func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
	return b.Bytes()
}

// A call that is no JSON, or has white space and escapes, comes back as it was.
func TestCallsAsTheyWere(t *testing.T) {
	e := event(Dispute, 1, "n3")
	e.Case.Version = formatVersion
	calls := []Call{
		{"engine_newPayloadV4", []byte("{ \"a\" : \"<&>\\u00e9\",\n\t\"a\":1 }")},
		{"engine_\"odd\"", []byte(`{"a":"` + "\x01\xff" + `"}`)},
	}
	f, err := Read(bytes.NewReader(content(t, &e.Case, calls, &e.Record)))
	if err != nil || !reflect.DeepEqual(f.Calls, calls) || len(f.Records) != 1 {
		t.Errorf("got %q, %v", f.Calls, err)
	}
}

func TestRaw(t *testing.T) {
	for answer, want := range map[string]string{
		"":                "",
		` {"a": 1}`:       `{"a": 1}`,
		"<html>":          `"\u003chtml\u003e"`,
		"\x01":            `"\u0001"`,
		`{"a":"` + "\xff": `"{\"a\":\"\ufffd"`,
	} {
		if got := string(Raw([]byte(answer))); got != want {
			t.Errorf("%q: got %s, want %s", answer, got, want)
		}
	}
	long := Raw(bytes.Repeat([]byte("1"), maxRaw+1))
	if !json.Valid(long) || len(long) != maxRaw+2 {
		t.Errorf("a long one has %d bytes", len(long))
	}
}

func TestUnreadable(t *testing.T) {
	e := event(Dispute, 1, "n3")
	e.Case.Version = formatVersion
	good := content(t, &e.Case, e.Calls, &e.Record)
	for _, test := range []struct {
		name string
		b    []byte
		want string
	}{
		{"empty", nil, "not a file of evidence"},
		{"no gzip", []byte("{}"), "not a file of evidence"},
		{"another JSON", zipped(`{}`), "not a file of evidence"},
		{"no JSON", zipped(`x`), "not a file of evidence"},
		{"newer", zipped(`{"version":2,"program":"v9","kind":"dispute"}`), "from a newer ExecutionBackup (v9)"},
		{"cut", good[:len(good)-20], "damaged"},
		{"garbage behind", append(bytes.Clone(good), "garbage"...), "damaged"},
		{"a bomb", zipped(`{"version":1,"kind":"dispute"}` + strings.Repeat(" ", 1<<20)), "too large"},
	} {
		f, err := read(bytes.NewReader(test.b), 1<<16)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %+v, %v, want %q", test.name, f, err, test.want)
		}
	}
}

// FuzzRead: whatever the bytes, no crash; and what can be read is the same when it is written again.
func FuzzRead(f *testing.F) {
	e := event(Dispute, 1, "n3")
	e.Case.Version = formatVersion
	for _, text := range []string{
		`{"version":1,"kind":"dispute"}`,
		`{"version":1,"kind":"x","replies":[{"answer":null}]}{"method":"m","call":null}{"bytes":"AA=="}{"record":{}}`,
	} {
		f.Add([]byte(text), false)
	}
	f.Add(content(f, &e.Case, e.Calls, &e.Record), true)
	f.Fuzz(func(t *testing.T, b []byte, gzipped bool) {
		if !gzipped {
			b = zipped(string(b))
		}
		file, err := read(bytes.NewReader(b), 1<<20)
		if err != nil {
			return
		}
		var again bytes.Buffer
		z := gzip.NewWriter(&again)
		if err := encode(z, file.Case); err != nil {
			return // a time that can't be written
		}
		for _, c := range file.Calls {
			if err := writeCall(z, c); err != nil {
				t.Fatal(err)
			}
		}
		z.Close()
		second, err := Read(&again)
		if err != nil {
			t.Fatal(err)
		}
		if len(second.Calls) != len(file.Calls) || second.Case.Block != file.Case.Block {
			t.Fatalf("got %+v, want %+v", second, file)
		}
		for i := range file.Calls {
			if !bytes.Equal(second.Calls[i].Body, file.Calls[i].Body) {
				t.Errorf("call %d: got %q, want %q", i, second.Calls[i].Body, file.Calls[i].Body)
			}
		}
	})
}
