package evidence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/prometheus/client_golang/prometheus"
)

func block(n int) common.Hash { return common.BigToHash(big.NewInt(int64(n))) }

var begin = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// event is a call on block n, a child of block n-1, to which these nodes object.
func event(kind Kind, n int, objectors ...string) *Event {
	e := &Event{Case: Case{Kind: kind, Parent: block(n - 1), Answer: json.RawMessage(`{"status":"SYNCING"}`)}}
	e.Time, e.Method, e.Number, e.Block = begin.Add(time.Duration(n)*time.Second),
		"engine_newPayloadV4", uint64(n), block(n)
	e.Verdict = "SYNCING"
	for _, name := range []string{"n1", "n2", "n3"} {
		r := Reply{
			Node: name, Status: "VALID", Vote: "VALID", Took: 1000,
			Answer: json.RawMessage(`{"status":"VALID"}`),
			About:  &Node{URL: "http://" + name},
		}
		if slices.Contains(objectors, name) {
			r.Status, r.Vote, r.Reason, r.Answer = "INVALID", "INVALID", "bad",
				json.RawMessage(`{"status":"INVALID","validationError":"bad"}`)
		}
		e.Replies = append(e.Replies, r)
	}
	e.Calls = []Call{{e.Method, fmt.Appendf(nil,
		`{"jsonrpc":"2.0","id":1, "method":"engine_newPayloadV4","params":[{"blockNumber":"0x%x"}]}`, n)}}
	return e
}

// fixture is a Log whose queue the test empties.
type fixture struct {
	*Log
	registry *prometheus.Registry
	t        *testing.T
	log      bytes.Buffer
}

func open(t *testing.T, dir string, change func(*limits)) *fixture {
	t.Helper()
	l := defaultLimits
	if change != nil {
		change(&l)
	}
	f := &fixture{t: t, registry: prometheus.NewRegistry()}
	f.Log = openWith(dir, "v1.2.3", l, f.registry, slog.New(slog.NewTextHandler(&f.log, nil)))
	return f
}

// flush writes what is queued.
func (f *fixture) flush() {
	done, cancel := context.WithCancel(f.t.Context())
	cancel()
	f.Run(done)
}

// files are the numbers of the blocks that have a file, with the number of records that follow in it.
func (f *fixture) files() (list string) {
	f.t.Helper()
	for _, e := range f.Entries() {
		file, err := ReadFile(filepath.Join(f.dir, e.File))
		if err != nil {
			f.t.Fatal(err)
		}
		if got, want := file.Case.Block, e.Block; got != want {
			f.t.Errorf("%s is about %s", e.File, got)
		}
		list += fmt.Sprintf("%d+%d ", file.Case.Number, len(file.Records))
	}
	return strings.TrimSpace(list)
}

func (f *fixture) count(outcome string) float64 {
	families, err := f.registry.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.Metric {
			if len(m.Label) == 1 && m.Label[0].GetValue() == outcome {
				return m.Counter.GetValue()
			}
		}
	}
	return 0
}

// A file has the call byte for byte, what each node said and who it was, and our decision.
func TestCaseInFull(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	e := event(Dispute, 7, "n3")
	e.Settings = Settings{Threshold: "0.6", OnDispute: "halt"}
	l.Add(e)
	l.flush()
	entries := l.Entries()
	if len(entries) != 1 || entries[0].Size == 0 {
		t.Fatalf("got %+v", entries)
	}
	if got, want := entries[0].File, "20261125T120007.000Z-7-"+block(7).Hex()+".json.gz"; got != want {
		t.Errorf("got the name %s, want %s", got, want)
	}
	file, err := ReadFile(filepath.Join(l.dir, entries[0].File))
	if err != nil {
		t.Fatal(err)
	}
	if c := file.Case; c.Version != 1 || c.Program != "v1.2.3" || c.Kind != Dispute || c.Verdict != "SYNCING" ||
		c.Settings != e.Settings || c.Block != block(7) || c.Parent != block(6) ||
		string(c.Answer) != `{"status":"SYNCING"}` || !c.Time.Equal(e.Time) {
		t.Errorf("got %+v", c)
	}
	got, want := fmt.Sprintf("%+v", file.Case.Replies[2].Answer), fmt.Sprintf("%+v", e.Replies[2].Answer)
	if got != want || file.Case.Replies[2].About.URL != "http://n3" {
		t.Errorf("got %+v, want %+v", file.Case.Replies[2], e.Replies[2])
	}
	if len(file.Calls) != 1 || file.Calls[0].Method != e.Method || !bytes.Equal(file.Calls[0].Body, e.Calls[0].Body) {
		t.Errorf("got the calls %q", file.Calls)
	}
}

// What is about a block, or about its descendants, follows in its file, as long as somebody objects.
func TestDescendants(t *testing.T) {
	for _, test := range []struct {
		name   string
		events []*Event
		want   string
	}{
		{"a chain", []*Event{event(Dispute, 1, "n3"), event(Dispute, 1, "n3"), event(Dispute, 2, "n3"),
			event(Dispute, 3, "n3")}, "1+3"},
		{"beside others", []*Event{event(Dispute, 1, "n3"), event(Dispute, 11, "n3"), event(Dispute, 2, "n3"),
			event(Dispute, 12, "n3")}, "1+1 11+1"},
		{"it ends, and that is kept",
			[]*Event{event(Dispute, 1, "n3"), event(Follows, 2), event(Follows, 3), event(Follows, 2)}, "1+1"},
		{"unanimous in between", []*Event{event(Dispute, 1, "n3"), event(Follows, 2, "n1", "n2", "n3"),
			event(Dispute, 3, "n3")}, "1+2"},
		{"somebody else objects to a child", []*Event{event(Dispute, 1, "n3"), event(Dispute, 2, "n3", "n2"),
			event(Dispute, 3, "n2"), event(Dispute, 3, "n3")}, "1+0 2+2"},
		{"somebody else objects to the block",
			[]*Event{event(Dispute, 1, "n3"), event(Dispute, 1, "n2"), event(Dispute, 2, "n2")}, "1+2"},
		{"again after it ended", []*Event{event(Dispute, 1, "n3"), event(Follows, 1), event(Dispute, 1, "n3"),
			event(Dispute, 2, "n3")}, "1+3"},
		{"nothing to follow", []*Event{event(Follows, 1), event(Follows, 2, "n3")}, ""},
		{"a payload that is wrong by itself",
			[]*Event{event(WrongBlockHash, 1), event(WrongBlockHash, 1), event(Follows, 1)}, "1+2"},
		{"shown, then proposed", []*Event{event(CrossCheck, 1, "n3"), event(Dispute, 1, "n3"), event(Dispute, 2, "n3")},
			"1+2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := open(t, t.TempDir(), nil)
			for _, e := range test.events {
				l.Add(e)
				l.flush()
			}
			if got := l.files(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// A reply that comes late is added, and ends nothing.
func TestLateReplies(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	late := event(LateObjection, 1, "n3")
	late.Late = true
	l.Add(late)
	valid := event(Follows, 1)
	valid.Late, valid.Replies = true, valid.Replies[:1]
	l.Add(valid)
	l.Add(event(Dispute, 2, "n3"))
	l.flush()
	if got := l.files(); got != "1+2" {
		t.Errorf("got %s", got)
	}
}

// Records about descendants are short; those about the block itself have the answers.
func TestShortRecords(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	long := event(Dispute, 2, "n3")
	long.Replies[2].Reason = strings.Repeat("x", 4096)
	for _, e := range []*Event{event(Dispute, 1, "n3"), event(Dispute, 1, "n3"), long} {
		l.Add(e)
	}
	l.flush()
	file, err := ReadFile(filepath.Join(l.dir, l.Entries()[0].File))
	if err != nil {
		t.Fatal(err)
	}
	own, child := file.Records[0].Replies[2], file.Records[1].Replies[2]
	if string(own.Answer) != string(long.Replies[2].Answer) || own.About != nil {
		t.Errorf("on the block: got %+v", own)
	}
	if child.Answer != nil || len(child.Reason) != maxReason || child.Status != "INVALID" {
		t.Errorf("on its child: got %+v", child)
	}
	if len(long.Replies[2].Reason) != 4096 || long.Replies[2].About == nil {
		t.Error("the caller's own was changed")
	}
}

// Too many or too large: the oldest go, the last one never.
func TestBounds(t *testing.T) {
	big := func(n int) *Event {
		e := event(Dispute, n, "n3")
		raw := make([]byte, 8<<10)
		for i := range raw { // doesn't compress well
			raw[i] = byte(i*i*7 + i>>3*n)
		}
		e.Calls = []Call{{"engine_newPayloadV4", fmt.Appendf(nil, `{"x":"%x"}`, raw)}}
		return e
	}
	for _, test := range []struct {
		name   string
		change func(*limits)
		want   string
	}{
		{"files", func(l *limits) { l.files = 3 }, "60+0 70+0 80+0"},
		{"bytes", func(l *limits) { l.bytes = 2000 }, "80+0"},
		{"no room at all", func(l *limits) { l.files, l.bytes = 0, 0 }, "80+0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := open(t, t.TempDir(), test.change)
			for n := 10; n <= 80; n += 10 {
				l.Add(big(n))
				l.flush()
			}
			if got := l.files(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			found, err := os.ReadDir(l.dir)
			if err != nil || len(found) != len(l.Entries()) {
				t.Errorf("there are %v, %v", found, err)
			}
			if l.Wants(Follows, block(11), block(10)) {
				t.Error("what is gone is still followed")
			}
		})
	}
}

// A node that answers alone, and is behind now and then, doesn't push out a dispute.
func TestShadowGoesFirst(t *testing.T) {
	l := open(t, t.TempDir(), func(l *limits) { l.files = 4 })
	for n := 10; n <= 100; n += 10 {
		e := event(Shadow, n)
		switch n {
		case 10, 80:
			e = event(Dispute, n, "n3")
		case 40:
			e = event(Shadow, n, "n3")
		}
		l.Add(e)
		l.flush()
	}
	if got, want := l.files(), "10+0 40+0 80+0 100+0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A long dispute doesn't push out its own beginning, nor one that is being added to.
func TestLongDispute(t *testing.T) {
	l := open(t, t.TempDir(), func(l *limits) { l.files, l.blocks, l.records = 2, 8, 50 })
	for n := 1; n <= 100; n++ {
		l.Add(event(Dispute, n, "n3"))
	}
	l.flush()
	if got := l.files(); got != "1+50" {
		t.Errorf("got %s", got)
	}
	l.Add(event(Dispute, 201, "n3"))
	l.Add(event(Dispute, 301, "n3"))
	l.flush()
	if got := l.files(); got != "201+0 301+0" {
		t.Errorf("got %s", got)
	}
	if n := l.blocks.Len(); n > 8 {
		t.Errorf("%d blocks are known", n)
	}
}

// What doesn't fit the queue is dropped and counted, and said once. One call that is too large for it still goes.
func TestOverflow(t *testing.T) {
	l := open(t, t.TempDir(), func(l *limits) { l.queue, l.queued = 3, 10 })
	l.Add(event(Dispute, 10, "n3"))
	l.Add(event(Dispute, 20, "n3")) // too large beside the first
	l.Add(event(Dispute, 11, "n3"))
	l.Add(event(Dispute, 12, "n3"))
	l.Add(event(Dispute, 13, "n3")) // one too many
	l.flush()
	l.Add(event(Dispute, 20, "n3"))
	l.flush()
	if got := l.files(); got != "10+2 20+0" {
		t.Errorf("got %s", got)
	}
	if got := l.count("dropped"); got != 2 {
		t.Errorf("%v are counted as dropped", got)
	}
	if got := l.count("written"); got != 4 {
		t.Errorf("%v are counted as written", got)
	}
	if got := strings.Count(l.log.String(), "evidence dropped"); got != 2 {
		t.Errorf("said %d times: %s", got, l.log.String())
	}
}

// After a restart all is there that was, what was half written is gone, and other files are left alone.
func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a[b]*")
	l := open(t, dir, nil)
	l.Add(event(Dispute, 1, "n3"))
	l.Add(event(LateObjection, 11, "n2"))
	l.flush()
	before := l.Entries()
	torn, other := filepath.Join(dir, "20261125T120007.000Z.json.gz.tmp123"), filepath.Join(dir, "notes.txt")
	damaged := fileName(begin, 5, block(5))
	for path, content := range map[string]string{
		torn: "\x1f\x8b", other: "x", filepath.Join(dir, damaged): "\x1f\x8bdamaged",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	renamed := strings.Replace(tempPattern, "*", "123", 1)
	if err := os.Rename(torn, filepath.Join(dir, renamed)); err != nil {
		t.Fatal(err)
	}

	l = open(t, dir, nil)
	after := l.Entries()
	if len(after) != 3 || after[0].Damaged == "" || after[0].Block != block(5) {
		t.Fatalf("got %+v", after)
	}
	if got, want := fmt.Sprintf("%+v", after[1:]), fmt.Sprintf("%+v", before); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := os.Stat(filepath.Join(dir, renamed)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a file is still there: %v", err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
	if l.Wants(Follows, block(1), block(0)) {
		t.Error("a dispute of before is open")
	}
	l.Add(event(Dispute, 1, "n3")) // the same block again
	l.Add(event(Dispute, 2, "n3"))
	l.flush()
	if file, err := ReadFile(filepath.Join(dir, before[0].File)); err != nil || len(file.Records) != 2 {
		t.Errorf("got %+v, %v", file, err)
	}
}

// A directory that can't be written is a warning, and costs nothing but the evidence. It is tried again.
func TestUnwritable(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := open(t, dir, nil)
	if !strings.Contains(l.log.String(), "level=WARN msg=\"disputes are not recorded") {
		t.Errorf("logged %s", l.log.String())
	}
	l.Add(event(Dispute, 1, "n3"))
	l.Add(event(Dispute, 11, "n3"))
	l.flush()
	if l.count("failed") != 2 || len(l.Entries()) != 0 || strings.Count(l.log.String(), "evidence not written") != 1 {
		t.Errorf("logged %s", l.log.String())
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	l.Add(event(Dispute, 2, "n3"))
	l.flush()
	if got := l.files(); got != "2+0" || !strings.Contains(l.log.String(), "written again") {
		t.Errorf("got %s, logged %s", got, l.log.String())
	}
	if runtime.GOOS != "windows" {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("others may read it: %v, %v", info.Mode(), err)
		}
	}
}

// A file that somebody removed is begun anew with the next call.
func TestRemovedByHand(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	l.Add(event(Dispute, 1, "n3"))
	l.flush()
	if err := os.Remove(filepath.Join(l.dir, l.Entries()[0].File)); err != nil {
		t.Fatal(err)
	}
	l.Add(event(Dispute, 2, "n3"))
	l.flush()
	l.Add(event(Dispute, 3, "n3"))
	l.flush()
	if got := l.files(); got != "3+0" {
		t.Errorf("got %s", got)
	}
}

// Only what is listed can be opened.
func TestOpenFile(t *testing.T) {
	dir := t.TempDir()
	l := open(t, filepath.Join(dir, "evidence"), nil)
	l.Add(event(Dispute, 1, "n3"))
	if got := l.Entries(); len(got) != 0 {
		t.Errorf("listed before it is written: %+v", got)
	}
	l.flush()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"", ".", "..", "../secret", "/etc/passwd", l.Entries()[0].File + "/../../secret", "secret",
	} {
		if f, err := l.OpenFile(name); err == nil {
			f.Close()
			t.Errorf("%q can be opened", name)
		}
	}
	f, err := l.OpenFile(l.Entries()[0].File)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l.Add(event(Dispute, 2, "n3"))
	l.flush()
	if file, err := Read(f); err != nil || len(file.Records) > 0 {
		t.Errorf("it changed in the reader's hands: %+v, %v", file, err)
	}
	if _, err := (*Log)(nil).OpenFile(l.Entries()[0].File); !errors.Is(err, ErrNotKept) {
		t.Errorf("got %v", err)
	}
}

// Many calls at once, while files are listed and read: none is lost.
func TestConcurrency(t *testing.T) {
	l := open(t, t.TempDir(), func(l *limits) { l.queue = 1 << 20 })
	ctx, stop := context.WithCancel(t.Context())
	var running, adding sync.WaitGroup
	running.Go(func() { l.Run(ctx) })
	for i := range 6 {
		adding.Go(func() {
			for n := range 10 {
				l.Wants(Follows, block(n), block(n-1))
				l.Add(event(Dispute, 1000*i+n, "n3"))
				for _, e := range l.Entries() {
					f, err := l.OpenFile(e.File)
					if err == nil {
						_, err = Read(f)
						f.Close()
					}
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	adding.Wait()
	stop()
	running.Wait()
	total := 0
	for _, e := range l.Entries() {
		file, err := ReadFile(filepath.Join(l.dir, e.File))
		if err != nil {
			t.Fatal(err)
		}
		total += 1 + len(file.Records)
	}
	if total != 60 {
		t.Errorf("%d of 60 were kept", total)
	}
}

// A Log that is none keeps nothing.
func TestNone(t *testing.T) {
	var l *Log
	l.Add(event(Dispute, 1, "n3"))
	if l.Wants(Dispute, block(1), block(0)) || len(l.Entries()) > 0 {
		t.Error("it keeps something")
	}
}

// A large call is neither copied nor held once it is written.
func TestLargeCall(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	e := event(Dispute, 1, "n3")
	body := append([]byte(`{"x":"`), bytes.Repeat([]byte("ab"), 1<<20)...)
	e.Calls = []Call{{"engine_newPayloadV4", append(body, `"}`...)}}
	w := new(counter)
	if allocated := testing.AllocsPerRun(1, func() { writeCall(w, e.Calls[0]) }); allocated > 20 || w.n < 2<<20 {
		t.Errorf("%v allocations", allocated)
	}
	l.Add(e)
	l.flush()
	if len(l.queue) != 0 || l.queued != 0 {
		t.Errorf("%d bytes are held", l.queued)
	}
	file, err := ReadFile(filepath.Join(l.dir, l.Entries()[0].File))
	if err != nil || !bytes.Equal(file.Calls[0].Body, e.Calls[0].Body) {
		t.Errorf("it changed: %v", err)
	}
}

type counter struct{ n int }

func (c *counter) Write(b []byte) (int, error) { c.n += len(b); return len(b), nil }

var _ io.Writer = (*counter)(nil)
