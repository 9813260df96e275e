//go:build unix

package state_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/state"
)

// child is this test again, in a process of its own that does what the environment says.
func child(name, does, dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "-test.run=^"+name+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), "STATE_CHILD="+does, "STATE_DIR="+dir)
	return cmd
}

// childs is what a child is to do, and where; "" in the parent.
func childs() (does, dir string) { return os.Getenv("STATE_CHILD"), os.Getenv("STATE_DIR") }

// A second process takes over from one that is killed, within about a second, with all that this one had written.
func TestFileTakesOver(t *testing.T) {
	if does, dir := childs(); does != "" {
		f, _ := started(t, dir)
		<-f.Put(with(one("theirs", 1, "1"), one("both", 2, `"theirs"`)), state.Written)
		fmt.Println("has written")
		select {}
	}
	dir := in(t)
	other := apptest.StartProcess(t, child("TestFileTakesOver", "hold", dir))
	other.Log.Wait(t, "has written")
	f, end := started(t, dir)
	f.wantDegraded(t, fmt.Sprintf("locked by process %d", other.Cmd.Process.Pid))
	<-f.Put(with(one("ours", 1, "1"), one("both", 1, `"ours"`)), state.Synced)
	other.Kill()
	took := apptest.Until(t, "the directory was taken over", func() bool { return f.Degraded() == "" })
	t.Logf("taken over after %v", took)
	want := with(one("theirs", 1, "1"), one("both", 2, `"theirs"`), one("ours", 1, "1"))
	same(t, "merged", f.Records(), want)
	f.wantKept(t, want)
	end()
	if len(f.found) != 1 {
		t.Fatalf("found %d times", len(f.found))
	}
	same(t, "found", f.found[0], with(want, gone("ours", 0)))
}

// Whatever was reported as done is there after kill -9, at whatever moment, and each Put whole or not at all.
func TestFileKilled(t *testing.T) {
	if does, dir := childs(); does != "" {
		writeUntilKilled(t, dir)
	}
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	dir := in(t)
	random := rand.New(rand.NewPCG(1, 1))
	torn, anew, reports := 0, 0, 0
	for round := range rounds {
		done, said := killedAfter(t, dir, random.IntN(60), round%4 == 0)
		reports += said
		f := open(t, dir)
		f.Crash()
		f.wantDegraded(t)
		f.wantLogged(t, 0, "level=ERROR")
		torn += len(f.log.Lines("cut off"))
		anew += len(f.named(t, "state.new"))
		stands := f.Records()
		for want, reported := range done {
			if got := number(stands[want]); got < reported {
				t.Errorf("%s: %d was reported, and %d is there", want, reported, got)
			}
			if number(stands[want]) != number(stands[want+" too"]) {
				t.Errorf("%s: half of a Put is there", want)
			}
		}
		if t.Failed() {
			break
		}
	}
	t.Logf("%d reports, %d torn records, %d logs that were being written anew", reports, torn, anew)
}

// killedAfter has a child write, and kills it after so many reports that it has, or while it writes the log anew. It
// returns the last number that was reported as done for each want, and how many reports there were.
func killedAfter(t *testing.T, dir string, reports int, anew bool) (done map[string]int, said int) {
	cmd := child("TestFileKilled", "write", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for anew {
		if _, err := os.Lstat(filepath.Join(dir, "state.new")); err == nil {
			anew, reports = false, -1
			cmd.Process.Kill()
		}
	}
	done = make(map[string]int)
	for lines := bufio.NewScanner(out); lines.Scan(); said++ {
		want, number, _ := strings.Cut(lines.Text(), " ")
		if done[want], err = strconv.Atoi(number); err != nil {
			t.Errorf("it says %q", lines.Text())
		}
		if said == reports {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	return done, said
}

// number is that in a record of writeUntilKilled.
func number(r state.Record) int {
	text, _, _ := strings.Cut(strings.Trim(string(r.Value), `"`), " ")
	n, _ := strconv.Atoi(text)
	return n
}

// writeUntilKilled puts greater and greater numbers, and reports those that are done.
func writeUntilKilled(t *testing.T, dir string) {
	f, _ := started(t, dir)
	at := 0
	for _, r := range f.Records() {
		at = max(at, number(r))
	}
	for name, want := range map[string]state.Want{"written": state.Written, "synced": state.Synced} {
		go func() {
			for n := at + 1; ; n++ {
				r := state.Record{Rank: uint64(n), Value: fmt.Appendf(nil, `"%d %s"`, n, strings.Repeat("x", 3000))}
				<-f.Put(state.Records{name: r, name + " too": r}, want)
				if f.Degraded() != "" {
					fmt.Println(f.Degraded())
				}
				fmt.Printf("%s %d\n", name, n)
			}
		}()
	}
	select {}
}

// What was written before the disk was full stays, what is put then is written when there is room again. The limit of a
// process on its files' sizes makes the kernel write a part, and refuse the rest, as a full disk does.
func TestFileHasNoRoom(t *testing.T) {
	if does, _ := childs(); does == "" {
		p := apptest.StartProcess(t, child("TestFileHasNoRoom", "limit", ""))
		p.WantExit(t, 0)
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	noRoom(t, in(t), "file too large",
		func(f *fixture) { limit(t, uint64(f.size(t))+1000) }, func() { limit(t, 1<<40) })
}

func limit(t *testing.T, bytes uint64) {
	var l syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l)
	l.Cur = bytes
	if err = errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l)); err != nil {
		t.Fatal(err)
	}
}

// noRoom has records put while there is room, when there is little, and when there is again.
func noRoom(t *testing.T, dir, reason string, fill func(*fixture), free func()) {
	synctest.Test(t, func(t *testing.T) {
		f, end := started(t, dir)
		<-f.Put(one("before", 1, "1"), state.Synced)
		synctest.Wait()
		fill(f)
		size := f.size(t)
		<-f.Put(one("too large", 1, fmt.Sprintf("%q", strings.Repeat("x", 20_000))), state.Written)
		f.wantDegraded(t, reason)
		for range 3 {
			f.Put(one("during", 1, "1"), state.Soon)
			tick()
		}
		f.wantDegraded(t, reason)
		if len(f.named(t, "state.new")) > 0 {
			t.Error("a new log that couldn't be written takes room")
		}
		log, err := os.ReadFile(f.path())
		if err != nil {
			t.Fatal(err)
		}
		torn := int64(len(log)) - size
		if all, got, err := state.ReadLog(log); got != torn || got == 0 || err != nil {
			t.Errorf("%d bytes torn, want %d, %v", got, torn, err)
		} else {
			same(t, "after a crash", all, one("before", 1, "1"))
		}
		free()
		f.wantAgain(t)
		end()
		if got := len(f.Records()); got != 5 {
			t.Errorf("%d records", got)
		}
	})
}

// mount makes a small file system in memory, and returns its directory.
func mount(t *testing.T, options string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "executionbackup", dir).CombinedOutput()
	if err != nil {
		t.Skipf("needs the right to mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if err := exec.Command("umount", dir).Run(); err != nil {
			t.Errorf("umount %s: %v", dir, err)
		}
	})
	return dir
}

// The same on a real file system without room.
func TestFileOnAFullDisk(t *testing.T) {
	dir := mount(t, "size=64k")
	filler := filepath.Join(dir, "filler")
	noRoom(t, filepath.Join(dir, "state"), "no space left on device", func(*fixture) {
		file, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		for ; err == nil; _, err = file.Write(make([]byte, 4096)) {
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}, func() { os.Remove(filler) })
}

// Of a file system that has become read-only, as on an error of its disk, we still read what is there.
func TestFileReadOnly(t *testing.T) {
	dir := mount(t, "size=1m")
	remount := func(how string) {
		if out, err := exec.Command("mount", "-o", "remount,"+how, dir).CombinedOutput(); err != nil {
			t.Errorf("remount %s: %v: %s", how, err, out)
		}
	}
	for _, kind := range []string{"good", "torn", "broken"} {
		f, end := started(t, filepath.Join(dir, kind))
		<-f.Put(one("a", 1, "1"), state.Synced)
		end()
		log, err := os.ReadFile(f.path())
		if err != nil {
			t.Fatal(err)
		}
		want := one("a", 1, "1")
		switch kind {
		case "torn":
			log = append(log, "000"...)
		case "broken":
			log, want = append(log, 0), nil
		}
		if err := os.WriteFile(f.path(), log, 0o600); err != nil {
			t.Fatal(err)
		}
		remount("ro")
		f = open(t, f.dir)
		same(t, kind, f.Records(), want)
		f.Crash()
		synctest.Test(t, func(t *testing.T) {
			f, end := started(t, f.dir)
			synctest.Wait()
			f.wantDegraded(t, "read-only file system")
			<-f.Put(one("b", 1, "1"), state.Synced)
			time.Sleep(5*time.Second + time.Millisecond)
			remount("rw")
			f.wantAgain(t)
			end()
			f.wantKept(t, with(want, one("b", 1, "1"), one("while degraded", 1, "1"), one("afterwards", 1, "1")))
		})
	}
}

// A directory that isn't ours to write in. Root may write everywhere.
func TestFileNotPermitted(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root is permitted everything")
	}
	synctest.Test(t, func(t *testing.T) {
		f, _ := started(t, in(t))
		<-f.Put(one("a", 1, "1"), state.Synced)
		os.Chmod(f.dir, 0o500)
		defer os.Chmod(f.dir, 0o700)
		f.SetAside("so that the directory is written to")
		time.Sleep(time.Second + time.Millisecond)
		f.wantDegraded(t, "permission denied")
		os.Chmod(f.dir, 0o700)
		f.wantAgain(t)
	})
}
