package state_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"executionbackup/internal/state"
)

// tick lets a second pass, in a bubble, and what is done in it.
func tick() {
	time.Sleep(time.Second + time.Millisecond) // never when it ends
	synctest.Wait()
}

// wantAgain waits a second, in a bubble, after which f must have recovered, and has said both once.
func (f *fixture) wantAgain(t *testing.T) {
	t.Helper()
	synctest.Wait()
	f.wantMetric(t, "degraded", 1)
	f.wantLogged(t, 1, "level=ERROR", "state isn't kept: disputes would not outlive a restart", "reason=")
	f.wantLogged(t, 0, "state is kept again")
	if !done(f.Put(state.Records{}, state.Synced)) || !done(f.Put(one("while degraded", 1, "1"), state.Synced)) {
		t.Error("somebody waits in vain")
	}
	tick()
	f.wantDegraded(t)
	f.wantMetric(t, "degraded", 0)
	f.wantLogged(t, 1, "level=ERROR", "state isn't kept")
	f.wantLogged(t, 1, "level=INFO", "state is kept again")
	f.wantKept(t, f.Records())
	<-f.Put(one("afterwards", 1, "1"), state.Synced)
	f.wantKept(t, f.Records())
}

// While another holds the directory we go on without it. Within a second of its end we have what it has left, as far
// as the ranks say, and tell of it.
func TestFileLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, end := started(t, in(t))
		theirs := state.Records{
			"theirs":        {Rank: 1, Value: []byte(`"theirs"`)},
			"greater":       {Rank: 2, Value: []byte(`"theirs"`)},
			"tie":           {Rank: 2, Value: []byte(`"theirs"`)},
			"smaller":       {Rank: 2, Value: []byte(`"theirs"`)},
			"deleted":       {Rank: 2, Value: []byte(`"theirs"`)},
			"deleted early": {Rank: 2, Value: []byte(`"theirs"`)},
		}
		first.Put(theirs, state.Soon)
		f, endOurs := started(t, first.dir)
		f.wantDegraded(t, fmt.Sprintf("%s is locked by process %d", filepath.Join(f.dir, "lock"), os.Getpid()))
		ours := state.Records{
			"ours":          {Rank: 1, Value: []byte(`"ours"`)},
			"greater":       {Rank: 1, Value: []byte(`"ours"`)},
			"tie":           {Rank: 2, Value: []byte(`"ours"`)},
			"smaller":       {Rank: 3, Value: []byte(`"ours"`)},
			"deleted":       {Rank: 3},
			"deleted early": {Rank: 1},
		}
		if !done(f.Put(ours, state.Synced)) {
			t.Error("somebody waits in vain")
		}
		same(t, "before", f.Records(), with(state.Records{}, ours))
		time.Sleep(time.Hour + time.Millisecond)
		f.wantDegraded(t, "locked")
		f.wantLogged(t, 1, "")
		first.wantKept(t, theirs)
		f.SetAside("this isn't meant for the other's log")
		f.Put(ours, state.Soon)
		synctest.Wait()
		end()
		first.wantLogged(t, 0, "level=ERROR")
		f.wantAgain(t)
		want := with(theirs, one("ours", 1, `"ours"`), one("smaller", 3, `"ours"`), gone("deleted", 0))
		if len(f.found) != 1 {
			t.Fatalf("found %d times", len(f.found))
		}
		same(t, "found", f.found[0], with(want, gone("ours", 0), gone("smaller", 0)))
		want = with(want, one("while degraded", 1, "1"), one("afterwards", 1, "1"))
		same(t, "merged", f.Records(), want)
		f.wantLogged(t, 0, "set aside")
		endOurs()
		f.wantKept(t, want)
	})
}

// A directory that can't be made or read is looked at every second, until it can.
func TestFileWithoutDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		was, end := started(t, in(t))
		<-was.Put(one("a", 5, "1"), state.Synced)
		end()
		dir := filepath.Join(t.TempDir(), "dir")
		if err := os.WriteFile(dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		f, _ := started(t, dir)
		f.wantDegraded(t, dir, "not a directory")
		f.Put(one("a", 4, "2"), state.Soon)
		time.Sleep(10*time.Second + time.Millisecond)
		if err := errors.Join(os.Remove(dir), os.Rename(was.dir, dir)); err != nil {
			t.Fatal(err)
		}
		f.wantAgain(t)
		same(t, "merged", f.Records(),
			with(one("a", 5, "1"), one("while degraded", 1, "1"), one("afterwards", 1, "1")))
		f.wantMetric(t, "failures_total", 12)
	})
}

// What is written to files that nobody would find is lost. So it is seen within a second when they are removed or
// replaced; and at once by who writes.
func TestFileRemoved(t *testing.T) {
	for name, remove := range map[string]func(f *fixture) error{
		"directory":           func(f *fixture) error { return os.RemoveAll(f.dir) },
		"directory, and more": func(f *fixture) error { return os.RemoveAll(filepath.Dir(f.dir)) },
		"moved":               func(f *fixture) error { return os.Rename(f.dir, f.dir+".old") },
		"a file instead": func(f *fixture) error {
			time.AfterFunc(500*time.Millisecond, func() { os.Remove(f.dir) })
			return errors.Join(os.RemoveAll(f.dir), os.WriteFile(f.dir, nil, 0o600))
		},
		"log":  func(f *fixture) error { return os.Remove(f.path()) },
		"lock": func(f *fixture) error { return os.Remove(filepath.Join(f.dir, "lock")) },
		"replaced": func(f *fixture) error {
			return errors.Join(os.Remove(f.path()), os.WriteFile(f.path(), state.Header(1), 0o600))
		},
	} {
		for _, puts := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, %v", name, puts), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f, end := started(t, in(t))
					<-f.Put(one("a", 1, "1"), state.Synced)
					<-f.Put(one("b", 1, "1"), state.Synced)
					<-f.Put(gone("b", 1), state.Synced)
					synctest.Wait()
					if err := remove(f); err != nil {
						t.Fatal(err)
					}
					if puts {
						<-f.Put(one("c", 1, "1"), state.Synced)
					} else {
						tick()
					}
					if f.Degraded() == "" {
						t.Fatal("it was not seen")
					}
					f.wantAgain(t)
					end()
					if len(f.found) > 0 {
						t.Errorf("found: %v", f.found)
					}
				})
			})
		}
	}
}

// Another's log in the place of ours is read: what ranks higher stands, and in a tie what we know.
func TestFileReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other, end := started(t, in(t))
		other.Put(with(one("a", 2, `"restored"`), one("b", 1, `"restored"`)), state.Soon)
		end()
		f, _ := started(t, in(t))
		<-f.Put(with(one("a", 1, "1"), one("b", 1, "1")), state.Synced)
		synctest.Wait()
		if err := os.Rename(other.path(), f.path()); err != nil {
			t.Fatal(err)
		}
		tick()
		f.wantDegraded(t, "has been replaced")
		f.wantAgain(t)
		if len(f.found) != 1 {
			t.Fatalf("found %d times", len(f.found))
		}
		same(t, "found", f.found[0], one("a", 2, `"restored"`))
	})
}

// After an fsync that failed nobody knows what is on disk, so all is written anew; until then nothing is appended.
func TestFileFsyncFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, in(t))
		var fails error
		f.OnSync(func(file *os.File) error { return errors.Join(fails, file.Sync()) })
		end := f.run(t)
		<-f.Put(one("a", 1, "1"), state.Synced)
		synctest.Wait()
		was, err := os.Stat(f.path())
		if err != nil {
			t.Fatal(err)
		}
		fails = errors.New("the disk is on fire")
		<-f.Put(one("b", 1, "1"), state.Synced)
		f.wantDegraded(t, "the disk is on fire")
		size := f.size(t)
		f.Put(one("c", 1, "1"), state.Synced)
		for range 3 {
			tick()
		}
		f.wantDegraded(t, "the disk is on fire")
		if f.size(t) != size {
			t.Error("it was appended to")
		}
		if len(f.named(t, "state.new")) > 0 {
			t.Error("a new log that couldn't be written takes room")
		}
		f.wantMetric(t, "failures_total", 4)
		fails = nil
		f.wantAgain(t)
		if is, err := os.Stat(f.path()); err != nil || os.SameFile(was, is) {
			t.Errorf("it is the same log, %v", err)
		}
		end()
		f.wantKept(t, f.Records())
	})
}

// Who has waited too long degrades us, once, and nobody waits any more, until what was put has been written.
func TestFileOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, in(t))
		gate := make(chan struct{}, 1)
		f.OnSync(func(file *os.File) error {
			<-gate
			return file.Sync()
		})
		f.run(t)
		gate <- struct{}{}
		synctest.Wait()
		first := f.Put(one("a", 1, "1"), state.Synced)
		synctest.Wait() // it hangs
		second := f.Put(one("b", 1, "1"), state.Written)
		if done(first) || done(second) {
			t.Fatal("it doesn't hang")
		}
		f.Overdue()
		f.Overdue()
		f.wantDegraded(t, "takes too long")
		if !done(first) || !done(second) || !done(f.Put(one("c", 1, "1"), state.Written)) {
			t.Error("somebody waits in vain")
		}
		gate <- struct{}{} // the fsync goes through, but b isn't in the log yet
		synctest.Wait()
		f.wantDegraded(t, "takes too long")
		f.wantLogged(t, 1, "")
		close(gate)
		synctest.Wait()
		f.wantDegraded(t)
		f.wantLogged(t, 2, "")
		f.wantLogged(t, 1, "level=INFO", "state is kept again")
		f.wantKept(t, f.Records())
	})
}

// Overdue while all is written anew: what was put meanwhile is on disk before we have recovered.
func TestFileOverdueWhileWrittenAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, in(t))
		gate := make(chan struct{})
		f.OnSync(func(file *os.File) error {
			<-gate
			return file.Sync()
		})
		f.run(t)
		synctest.Wait() // the first log hangs
		put := f.Put(one("a", 1, "1"), state.Synced)
		f.Overdue()
		if !done(put) {
			t.Error("somebody waits in vain")
		}
		gate <- struct{}{}
		synctest.Wait()
		f.wantDegraded(t, "takes too long")
		f.wantKept(t, nil)
		gate <- struct{}{}
		synctest.Wait()
		f.wantDegraded(t)
		f.wantKept(t, one("a", 1, "1"))
		close(gate)
	})
}

// The end of a process that is degraded tries once more.
func TestFileEndsDegraded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, end := started(t, in(t))
		first.Put(one("a", 1, "1"), state.Soon)
		f, endOurs := started(t, first.dir)
		synctest.Wait()
		f.Put(one("b", 1, "1"), state.Soon)
		f.wantDegraded(t, "locked")
		end()
		endOurs()
		f.wantKept(t, with(one("a", 1, "1"), one("b", 1, "1")))
	})
}

// A set-aside that can't be done is done as soon as it can, and what was put since doesn't go with it.
func TestFileSetAsideLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, in(t))
		var fails error
		f.OnSync(func(file *os.File) error { return errors.Join(fails, file.Sync()) })
		f.run(t)
		<-f.Put(one("old", 1, "1"), state.Synced)
		synctest.Wait()
		fails = errors.New("no")
		f.SetAside("another chain's")
		f.Put(one("new", 1, "1"), state.Soon)
		tick()
		tick()
		fails = nil
		f.wantAgain(t)
		if got := f.named(t, "state.other-"); len(got) != 1 {
			t.Errorf("set aside: %q", got)
		}
		if strings.Contains(string(state.Encode(f.Records())), "old") {
			t.Error("it hasn't forgotten")
		}
	})
}
