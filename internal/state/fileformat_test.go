package state_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"executionbackup/internal/state"
)

// golden is what stands in testdata/state-1, a log of the format's version 1 that was written once and for all: every
// later version must read it.
var golden = state.Records{
	"drained/http://127.0.0.1:8551": {Rank: 3, Value: []byte(`true`)},
	"objection/http://10.0.0.2:8551/0x8d07": {Rank: 18446744073709551615,
		Value: []byte(`{"number":12,"reason":"invalid <state> & \"root\""}`)},
	"head":   {Rank: 21, Value: []byte(`{"number":"0x15"}`)},
	"binary": {Value: []byte{0, 255, '\n', '{'}},
	"empty":  {Rank: 1, Value: []byte{}},
	"null":   {Value: []byte(`null`)},
	"spaced": {Rank: 2, Value: []byte("[1, 2]")},
}

func TestGolden(t *testing.T) {
	t.Parallel()
	log, err := os.ReadFile("testdata/state-1")
	if err != nil {
		t.Fatal(err)
	}
	got, torn, err := state.ReadLog(log)
	if torn != 0 || err != nil {
		t.Errorf("%d bytes torn, %v", torn, err)
	}
	same(t, "read", got, golden)

	// As a daemon reads it, and what it makes of it.
	f := open(t, in(t))
	f.Crash()
	if err := os.WriteFile(f.path(), log, 0o600); err != nil {
		t.Fatal(err)
	}
	f, end := started(t, f.dir)
	same(t, "opened", f.Records(), golden)
	end()
	f.wantKept(t, golden)
	if f.log.String() != "" {
		t.Errorf("it said something: %s", f.log)
	}
}

// The log is text that an operator can read.
func TestLogIsReadable(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	size, err := state.WriteLog(&log, state.Records{
		"drained/http://127.0.0.1:8551": {Rank: 3, Value: []byte(`true`)},
		"a":                             {Value: []byte("\xff\n")},
	})
	const want = `00000023 3e7412ec executionbackup state 1
00000023 1e2f348a {"a":{"base64":"/wo="}}
00000057 a108af34 {"drained/http://127.0.0.1:8551":{"rank":3,"value":true}}
`
	if err != nil || size != int64(log.Len()) || log.String() != want {
		t.Errorf("got %d bytes, %v\n%swant\n%s", size, err, &log, want)
	}
}

// A log without a header of ours is broken, and one of a later version newer: whatever else is in it.
func TestVersions(t *testing.T) {
	t.Parallel()
	line := state.Encode(one("a", 1, "1"))
	for _, test := range []struct {
		log        []byte
		kind, says string
	}{
		{state.Header(state.FormatVersion + 1), "newer", "its format is 2, and we know 1"},
		{append(state.Header(99), "what we can't know"...), "newer", "its format is 99"},
		{bytes.Replace(state.Header(1), []byte("state 1"), []byte("state 2"), 1),
			"broken", "line 1: length or checksum"},
		{state.Header(0), "broken", "line 1: no header"},
		{state.Header(-1), "broken", "line 1: no header"},
		{line, "broken", "line 1: no header"},
		{nil, "broken", "no header"},
		{state.Header(1)[:30], "broken", "line 1: no header"},
		{[]byte("something else"), "broken", "line 1: no line begins so"},
		{append(state.Header(1), state.Header(1)...), "broken", "line 2: invalid character"},
	} {
		f := open(t, in(t))
		f.Crash()
		if err := os.WriteFile(f.path(), test.log, 0o600); err != nil {
			t.Fatal(err)
		}
		f, end := started(t, f.dir)
		same(t, "opened", f.Records(), nil)
		f.wantLogged(t, 1, test.says)
		<-f.Put(one("new", 1, "1"), state.Synced)
		end()
		f.wantSetAside(t, test.kind, test.log)
		f.wantKept(t, one("new", 1, "1"))
		f.wantDegraded(t)
	}
}

// wantSetAside expects one log that was set aside, and said so.
func (f *fixture) wantSetAside(t testing.TB, kind string, want []byte) {
	t.Helper()
	names := f.named(t, "state.")
	if len(names) != 1 || !strings.HasPrefix(names[0], "state."+kind+"-20") {
		t.Errorf("set aside: %q, want one that is %s", names, kind)
		return
	}
	path := filepath.Join(f.dir, names[0])
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("what was set aside isn't what was there: %v", err)
	}
	f.wantLogged(t, 1, "level=ERROR", "set aside", path)
	f.wantLogged(t, 1, "")
}

// What is no file is set aside too, and a link isn't followed.
func TestNoFile(t *testing.T) {
	t.Parallel()
	f := open(t, in(t))
	f.Crash()
	if err := os.MkdirAll(filepath.Join(f.path(), "in it"), 0o700); err != nil {
		t.Fatal(err)
	}
	f, end := started(t, f.dir)
	end()
	f.wantLogged(t, 1, "level=ERROR", "set aside", "it is no file")
	f.wantKept(t, nil)

	linked := open(t, in(t))
	linked.Crash()
	if err := os.Symlink(f.path(), linked.path()); err != nil {
		t.Fatal(err)
	}
	linked = open(t, linked.dir)
	defer linked.Crash()
	linked.wantDegraded(t, linked.path())
}

// A log that is absurdly large is broken, and neither it nor its lines are read into memory for that.
func TestAbsurdSizes(t *testing.T) {
	t.Parallel()
	f := open(t, in(t))
	f.Crash()
	if err := os.WriteFile(f.path(), state.Header(1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(f.path(), state.MaxLog+1); err != nil { // it has no blocks
		t.Fatal(err)
	}
	f = open(t, f.dir)
	defer f.Crash()
	f.wantLogged(t, 1, "level=ERROR", "set aside", "it has 268435457 bytes")

	for _, test := range []struct{ line, want string }{
		{"16777217 00000000 ", "line 2: it would have 16777217 bytes"},
		{"99999999 00000000 {", "line 2: it would have 99999999 bytes"},
		{"16777216 00000000 {", ""}, // torn
	} {
		log := append(state.Header(1), test.line...)
		_, torn, err := state.ReadLog(log)
		wantTorn := 0
		if test.want == "" {
			wantTorn = len(test.line)
		}
		if torn != int64(wantTorn) || test.want != "" && (err == nil || err.Error() != test.want) {
			t.Errorf("%q: %d bytes torn, %v, want %q", test.line, torn, err, test.want)
		}
	}
	took := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			state.ReadLog(append(state.Header(1), "16777216 00000000 {"...))
		}
	})
	if got := took.AllocedBytesPerOp(); got > 200_000 {
		t.Errorf("a line that isn't there takes %d bytes", got)
	}
}

// FuzzOpen opens whatever a file may hold. What it makes of it is what it reads again.
func FuzzOpen(f *testing.F) {
	whole, err := os.ReadFile("testdata/state-1")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(append(bytes.Clone(whole), make([]byte, 512)...))
	f.Add(state.Header(2))
	f.Add(append(state.Header(1), "00000002 00000000 {}\n"...))
	f.Add(append(state.Header(1), state.Encode(state.Records{})...))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, log []byte) {
		opened := open(t, dir)
		opened.Crash()
		if err := os.WriteFile(opened.path(), log, 0o600); err != nil {
			t.Fatal(err)
		}
		opened = open(t, dir)
		opened.Crash()
		opened.wantDegraded(t)
		all, torn, err := state.ReadLog(log)
		same(t, "opened", opened.Records(), all)
		if silent := opened.log.String() == ""; silent != (err == nil && torn == 0) {
			t.Errorf("%d bytes torn, %v, and it says %s", torn, err, opened.log)
		}
		if torn > 0 {
			whole, again, err := state.ReadLog(log[:int64(len(log))-torn])
			if again > 0 || err != nil {
				t.Errorf("%d bytes more are torn, %v", again, err)
			}
			same(t, "without the torn line", whole, all)
		}
		state.ReadLog(append(state.Header(1), state.Line(log)...)) // so that any text gets past the checksum
		var written bytes.Buffer
		state.WriteLog(&written, all)
		again, torn, err := state.ReadLog(written.Bytes())
		if torn > 0 || err != nil {
			t.Errorf("what it writes: %d bytes torn, %v", torn, err)
		}
		same(t, "read again", again, all)
	})
}

// FuzzEncode writes whatever a value may be, and reads it again.
func FuzzEncode(f *testing.F) {
	f.Add("key", uint64(1), []byte(`{"a":1}`), "key", uint64(2), []byte(nil))
	f.Add("", uint64(0), []byte{}, "\x00\u2028\U0010ffff", uint64(1<<64-1), []byte("\"\xff\u2028<&>\""))
	f.Add("a", uint64(1), []byte("1],[2"), "b", uint64(1), []byte(" 1 "))
	f.Add("a", uint64(1), bytes.Repeat([]byte("["), 10000), "b", uint64(1), []byte("1e1000"))
	f.Fuzz(func(t *testing.T, key string, rank uint64, value []byte, key2 string, rank2 uint64, value2 []byte) {
		changes := state.Records{key: {Rank: rank, Value: value}, key2: {Rank: rank2, Value: value2}}
		line := state.Encode(changes)
		if len(line) > state.RoomOf(changes) {
			t.Errorf("%d bytes, at most %d were reckoned with", len(line), state.RoomOf(changes))
		}
		all, torn, err := state.ReadLog(append(state.Header(state.FormatVersion), line...))
		if torn > 0 || err != nil {
			t.Fatalf("%d bytes torn, %v", torn, err)
		}
		if utf8.ValidString(key) && utf8.ValidString(key2) {
			same(t, "read again", all, with(state.Records{}, changes))
		}
		for cut := range line {
			all, torn, err := state.ReadLog(append(state.Header(state.FormatVersion), line[:cut]...))
			if len(all) > 0 || torn != int64(cut) || err != nil {
				t.Fatalf("cut at %d: %d records, %d bytes torn, %v", cut, len(all), torn, err)
			}
			if len(line) > 200 {
				break
			}
		}
	})
}

// A log that can't be read to its end isn't one that ends there.
func TestLogThatBecomesShorter(t *testing.T) {
	t.Parallel()
	log := append(state.Header(1), state.Encode(one("a", 1, "1"))...)
	for _, more := range []int64{1, 100} {
		if all, torn, err := state.ReadLogOf(log, more); err != io.ErrUnexpectedEOF {
			t.Errorf("%d records, %d bytes torn, %v", len(all), torn, err)
		}
	}
}
