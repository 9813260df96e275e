package state_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"executionbackup/internal/apptest"
	"executionbackup/internal/state"
)

// fixture is a File, and what it says.
type fixture struct {
	*state.File
	dir      string
	log      *apptest.Logbook
	registry *prometheus.Registry
	found    []state.Records // by Run's goroutine
}

func open(t testing.TB, dir string) *fixture {
	t.Helper()
	f := &fixture{dir: dir, log: new(apptest.Logbook), registry: prometheus.NewRegistry()}
	f.File = state.Open(dir, state.FileOptions{
		Log:     slog.New(slog.NewTextHandler(f.log, nil)),
		Metrics: f.registry,
		Found:   func(r state.Records) { f.found = append(f.found, r) },
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s", f.log)
		}
	})
	return f
}

// run runs a File until end is called, or the test ends.
func (f *fixture) run(t testing.TB) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Run(ctx)
	}()
	end = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	t.Cleanup(end)
	return end
}

// started is open and run.
func started(t testing.TB, dir string) (f *fixture, end func()) {
	t.Helper()
	f = open(t, dir)
	return f, f.run(t)
}

// in is a state directory in one of the test's.
func in(t testing.TB) string { return filepath.Join(t.TempDir(), "state", "executionbackup") }

// one is a record that stands alone.
func one(key string, rank uint64, value string) state.Records {
	return state.Records{key: {Rank: rank, Value: []byte(value)}}
}

// gone deletes a record.
func gone(key string, rank uint64) state.Records { return state.Records{key: {Rank: rank}} }

// with is all with changes.
func with(all state.Records, changes ...state.Records) state.Records {
	old := all
	all = make(state.Records)
	for _, c := range append([]state.Records{old}, changes...) {
		for key, r := range c {
			all[key] = r
			if r.Value == nil {
				delete(all, key)
			}
		}
	}
	return all
}

func same(t testing.TB, what string, got, want state.Records) {
	t.Helper()
	if len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %d records, want %d:\n%s%s", what, len(got), len(want), state.Encode(got), state.Encode(want))
	}
}

// wantKept compares what a process would find that started now, after a kill -9 of this one.
func (f *fixture) wantKept(t testing.TB, want state.Records) {
	t.Helper()
	log, err := os.ReadFile(f.path())
	if err != nil {
		t.Error(err)
		return
	}
	got, torn, err := state.ReadLog(log)
	if torn > 0 || err != nil {
		t.Errorf("%d bytes torn, %v", torn, err)
	}
	same(t, "on disk", got, want)
}

func (f *fixture) path() string { return filepath.Join(f.dir, "state") }

func (f *fixture) wantDegraded(t testing.TB, why ...string) {
	t.Helper()
	for _, w := range why {
		if !strings.Contains(f.Degraded(), w) {
			t.Errorf("degraded by %q, want %q", f.Degraded(), w)
		}
	}
	if len(why) == 0 && f.Degraded() != "" {
		t.Errorf("degraded by %q", f.Degraded())
	}
}

// wantLogged counts lines.
func (f *fixture) wantLogged(t testing.TB, want int, words ...string) {
	t.Helper()
	if got := len(f.log.Lines(words...)); got != want {
		t.Errorf("%d lines with %q, want %d", got, words, want)
	}
}

func done(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// named are the files in the directory whose names begin so.
func (f *fixture) named(t testing.TB, prefix string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names
}

// What is put is there at the next start: replaced, deleted, in whatever bytes.
func TestFileKeeps(t *testing.T) {
	dir := in(t)
	want := state.Records{
		"json":             {Rank: 1, Value: []byte(`{"a":[1,"<&>\u2028",null]}`)},
		"null":             {Rank: 2, Value: []byte(`null`)},
		"spaced":           {Rank: 3, Value: []byte(`{"a": 1}`)},
		"two lines":        {Rank: 4, Value: []byte("1\n")},
		"bytes":            {Rank: 5, Value: []byte{0, 0xff, '\n', '{'}},
		"empty":            {Rank: 6, Value: []byte{}},
		"deep":             {Rank: 7, Value: []byte(strings.Repeat("[", 9999) + strings.Repeat("]", 9999))},
		"no rank":          {Value: []byte(`"x"`)},
		"the highest":      {Rank: 1<<64 - 1, Value: []byte(`1.50`)},
		"a\n\x00key <&> é": {Value: []byte(`true`)},
	}
	for round := range uint64(3) {
		f, end := started(t, dir)
		if round > 0 {
			same(t, "opened", f.Records(), want)
		}
		f.Put(want, state.Soon)
		f.Put(one("gone", round, "1"), state.Soon)
		f.Put(one("replaced", 9, `"at first"`), state.Soon)
		f.Put(state.Records{"gone": {}, "replaced": {Rank: round, Value: []byte(`"at last"`)}}, state.Soon)
		want = with(want, one("replaced", round, `"at last"`)) // by a smaller rank
		same(t, "stands", f.Records(), want)
		end()
		f.wantKept(t, want)
		f.wantDegraded(t)
		if f.log.String() != "" {
			t.Errorf("it said something: %s", f.log)
		}
	}
}

// Records gives a map of its own.
func TestFileRecordsAreACopy(t *testing.T) {
	f, _ := started(t, in(t))
	put := one("a", 1, "1")
	f.Put(put, state.Soon)
	clear(put)
	clear(f.Records())
	same(t, "stands", f.Records(), one("a", 1, "1"))
}

// Others on the machine can't read it. A file that they could read becomes one that they can't.
func TestFileModes(t *testing.T) {
	dir := in(t)
	f, end := started(t, dir)
	end()
	if err := os.Chmod(f.path(), 0o644); err != nil {
		t.Fatal(err)
	}
	_, end = started(t, dir)
	end()
	for path, want := range map[string]fs.FileMode{
		dir: fs.ModeDir | 0o700, f.path(): 0o600, filepath.Join(dir, "lock"): 0o600,
	} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s is %v, want %v, %v", path, info.Mode(), want, err)
		}
	}
	if got := f.named(t, ""); !slices.Equal(got, []string{"lock", "state"}) {
		t.Errorf("in the directory: %q", got)
	}
}

// Changes are in the log in the order of the calls, those before Run too, and each Put is a line of its own.
func TestFileOrder(t *testing.T) {
	f := open(t, in(t))
	f.Put(one("n", 0, "0"), state.Soon)
	end := f.run(t)
	<-f.Put(one("begun", 0, "true"), state.Written)
	var last <-chan struct{}
	for n := range 1000 {
		last = f.Put(one("n", 0, fmt.Sprint(n+1)), state.Written)
	}
	<-last
	f.wantKept(t, with(one("begun", 0, "true"), one("n", 0, "1000")))
	log, err := os.ReadFile(f.path())
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	for line := range bytes.Lines(log) {
		if text := string(line[state.FrameSize:]); strings.HasPrefix(text, `{"n":`) {
			if next++; next > 1 && text != fmt.Sprintf("{\"n\":{\"value\":%d}}\n", next-1) {
				t.Fatalf("the line %d is %s", next, text)
			}
		}
	}
	if next != 1001 {
		t.Errorf("%d lines", next)
	}
	end()
}

// A Put is done when it is as far as was wanted; Written doesn't wait for the fsync of its batch. What changes nothing
// isn't written, and done only when what stands is as far.
func TestFileDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, in(t))
		var hanging []chan error // those of fsync
		f.OnSync(func(file *os.File) error {
			c := make(chan error)
			hanging = append(hanging, c)
			return <-c
		})
		release := func() {
			synctest.Wait()
			if len(hanging) != 1 {
				t.Fatalf("%d fsyncs at once", len(hanging))
			}
			c := hanging[0]
			hanging = nil
			c <- nil
			synctest.Wait()
		}
		before := f.Put(one("a", 1, "1"), state.Written)
		end := f.run(t)
		synctest.Wait()
		if done(before) {
			t.Error("done before the log has its place")
		}
		release()
		if !done(before) {
			t.Error("what was put before Run isn't done")
		}
		if c := f.Put(one("b", 1, "1"), state.Soon); c != nil {
			t.Error("somebody may wait for nothing")
		}
		synctest.Wait()
		if c := f.Put(one("b", 1, "1"), state.Written); !done(c) {
			t.Error("what is written already isn't done at once")
		}
		first := f.Put(one("b", 1, "1"), state.Synced) // which hasn't been synced
		synctest.Wait()
		if done(first) {
			t.Error("done before it is on disk")
		}
		// While it hangs: another batch, with an equal Put in it.
		written, again := f.Put(one("c", 1, "1"), state.Written), f.Put(one("c", 1, "1"), state.Synced)
		deleted := f.Put(gone("never there", 1), state.Synced)
		if done(written) || done(again) || done(deleted) {
			t.Error("done too early")
		}
		release()
		if !done(first) || !done(written) || done(again) {
			t.Errorf("b on disk: %v, c written: %v, c on disk: %v; want the former two",
				done(first), done(written), done(again))
		}
		release()
		if !done(again) || !done(deleted) {
			t.Error("c isn't done")
		}
		size := f.size(t)
		for _, changes := range []state.Records{
			one("a", 1, "1"), gone("never there", 1), {}, with(one("b", 1, "1"), one("c", 1, "1")),
		} {
			if !done(f.Put(changes, state.Synced)) {
				t.Errorf("what is on disk already isn't done at once: %s", state.Encode(changes))
			}
		}
		synctest.Wait()
		if len(hanging) > 0 || f.size(t) != size {
			t.Error("what stands already was written again")
		}
		for _, changes := range []state.Records{
			one("a", 2, "1"), one("a", 2, "2"), one("a", 2, ""), gone("a", 2), gone("b", 1),
		} {
			c := f.Put(changes, state.Synced)
			if done(c) {
				t.Error("done too early")
			}
			if release(); !done(c) || f.size(t) == size {
				t.Errorf("not written: %s", state.Encode(changes))
			}
			size = f.size(t)
		}
		go func() { // the last fsync
			synctest.Wait()
			hanging[0] <- nil
		}()
		end()
		if !done(f.Put(one("z", 1, "1"), state.Synced)) {
			t.Error("somebody waits for what has ended")
		}
	})
}

func (f *fixture) size(t testing.TB) int64 {
	t.Helper()
	info, err := os.Stat(f.path())
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// Puts that wait share one fsync.
func TestFileGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, in(t))
		syncs, gate := 0, make(chan struct{})
		f.OnSync(func(file *os.File) error {
			syncs++
			<-gate
			return file.Sync()
		})
		f.run(t)
		gate <- struct{}{}
		synctest.Wait()
		first := f.Put(one("first", 0, "1"), state.Synced)
		synctest.Wait()
		var all []<-chan struct{}
		for n := range 100 {
			all = append(all, f.Put(one(fmt.Sprint(n), 0, "1"), state.Synced))
		}
		gate <- struct{}{}
		<-first
		gate <- struct{}{}
		for _, c := range all {
			<-c
		}
		if syncs != 3 {
			t.Errorf("%d fsyncs for a new log, a Put, and a hundred", syncs)
		}
		close(gate)
	})
}

// A log that has grown is written anew. Puts don't wait for that, and come after it.
func TestFileIsWrittenAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, in(t))
		var gate chan struct{}
		hangs := false
		f.OnSync(func(file *os.File) error {
			if strings.HasSuffix(file.Name(), ".new") && gate != nil {
				hangs = true
				<-gate
			}
			return file.Sync()
		})
		end := f.run(t)
		synctest.Wait()
		gate = make(chan struct{})
		value := fmt.Sprintf("%q", strings.Repeat("x", 10_000))
		puts := 0
		var last <-chan struct{}
		for ; !hangs; puts++ {
			last = f.Put(one("a", uint64(puts), value), state.Written)
			synctest.Wait()
		}
		if size := f.size(t); size < 1<<20-11_000 || size > 1<<20 {
			t.Errorf("written anew at %d bytes", size)
		}
		if done(last) {
			t.Error("done before it is in the log")
		}
		during := f.Put(one("during", 1, "1"), state.Written)
		same(t, "stands", f.Records(), with(one("a", uint64(puts-1), value), one("during", 1, "1")))
		close(gate)
		<-last
		<-during
		if size := f.size(t); size > 11_000 {
			t.Errorf("%d bytes after it was written anew", size)
		}
		f.wantKept(t, f.Records())
		if len(f.named(t, "state.new")) > 0 {
			t.Error("the new log is there twice")
		}

		// What stands is large: the log may grow with it.
		big := make(state.Records)
		for n := range 60 {
			big[fmt.Sprint(n)] = state.Record{Value: []byte(value)}
		}
		for rank := range uint64(8) {
			for key, r := range big {
				big[key] = state.Record{Rank: rank, Value: r.Value}
			}
			<-f.Put(big, state.Written)
			if size := f.size(t); size > 4*600_000*11/10 {
				t.Errorf("%d bytes", size)
			}
		}
		end()
		f.wantKept(t, f.Records())
	})
}

// What a crash in the middle of that has left behind is removed.
func TestFileLeftovers(t *testing.T) {
	dir := in(t)
	f, end := started(t, dir)
	f.Put(one("a", 1, "1"), state.Soon)
	end()
	target := filepath.Join(t.TempDir(), "elsewhere")
	for _, leave := range []func(path string) error{
		func(path string) error { return os.WriteFile(path, []byte("half"), 0o644) },
		func(path string) error { return os.Symlink(target, path) },
	} {
		if err := leave(filepath.Join(dir, "state.new")); err != nil {
			t.Fatal(err)
		}
		f, end := started(t, dir)
		same(t, "opened", f.Records(), one("a", 1, "1"))
		end()
		if got := f.named(t, ""); !slices.Equal(got, []string{"lock", "state"}) {
			t.Errorf("in the directory: %q", got)
		}
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("it followed a link")
	}
}

// What is far too large is refused, and nothing else.
func TestFileRefuses(t *testing.T) {
	f := open(t, in(t))
	large := bytes.Repeat([]byte("x"), state.MaxText*3/4-1000)
	put := func(key string, value []byte) {
		f.Put(state.Records{key: {Value: value}}, state.Soon)
	}
	put("line", make([]byte, state.MaxText))
	same(t, "stands", f.Records(), nil)
	f.wantLogged(t, 1, "level=ERROR", "too large")
	for n := range 8 { // only in the end there are four
		put(fmt.Sprint(n%2), large[n:])
	}
	f.wantLogged(t, 1, "level=ERROR", "too large")
	for n := range 4 {
		put(fmt.Sprint(n), large)
	}
	f.wantLogged(t, 2, "level=ERROR", "too large")
	put("3", []byte("fits"))
	if got := len(f.Records()); got != 4 {
		t.Errorf("%d records", got)
	}
	f.run(t)()
	f.wantKept(t, f.Records())
	f.wantMetric(t, "failures_total", 2)
}

// wantMetric compares a metric's value: a histogram's is its count.
func (f *fixture) wantMetric(t testing.TB, name string, want float64) {
	t.Helper()
	families, err := f.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "executionbackup_state_"+name {
			m := family.GetMetric()[0]
			got := m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			if got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
			return
		}
	}
	t.Errorf("no metric %s", name)
}

func TestFileMetrics(t *testing.T) {
	f, end := started(t, in(t))
	<-f.Put(one("a", 1, "1"), state.Synced)
	<-f.Put(one("b", 1, "1"), state.Synced)
	end()
	f.wantMetric(t, "degraded", 0)
	f.wantMetric(t, "failures_total", 0)
	f.wantMetric(t, "bytes", float64(f.size(t)))
	if families, _ := f.registry.Gather(); len(families) != 4 {
		t.Errorf("%d metrics", len(families))
	}
}

// Another chain's records are forgotten, and kept beside. What was put since stays, in memory and on disk.
func TestFileSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, end := started(t, in(t))
		for n := range 5 {
			<-f.Put(one("old", uint64(n), "1"), state.Synced)
			synctest.Wait()
			f.SetAside("it is of the chain 5")
			same(t, "stands", f.Records(), nil)
			new := one("new", uint64(n), "1")
			<-f.Put(new, state.Synced)
			f.wantKept(t, new)
			time.Sleep(time.Millisecond)
		}
		f.wantDegraded(t)
		kept := f.named(t, "state.other-")
		if len(kept) != 3 {
			t.Errorf("kept: %q", kept)
		}
		f.Overdue() // it is written anew
		synctest.Wait()
		f.wantDegraded(t)
		f.wantLogged(t, 5, "level=ERROR", "set aside", "it is of the chain 5")
		for n, name := range kept {
			f.wantLogged(t, 1, "level=ERROR", filepath.Join(f.dir, name))
			log, err := os.ReadFile(filepath.Join(f.dir, name))
			if err != nil {
				t.Fatal(err)
			}
			all, _, _ := state.ReadLog(log)
			same(t, name, all, with(one("old", uint64(n+2), "1"), one("new", uint64(n+1), "1")))
		}
		end()
		f.wantKept(t, one("new", 4, "1"))
	})
}

// Whatever happens, Run leaves no goroutine behind.
func TestFileLeavesNoGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	dir := in(t)
	f, end := started(t, dir)
	other, endOther := started(t, dir)
	for n := range 100 {
		f.Put(one("a", uint64(n), "1"), state.Synced)
		other.Put(one("b", uint64(n), "1"), state.Synced)
	}
	f.Overdue()
	other.Overdue()
	endOther()
	end()
	goleak.VerifyNone(t, before)
}
