package main

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// stateful is a daemon with a state directory, before three nodes.
type stateful struct {
	*process
	nodes []*enginetest.Node
	args  []string
	head  enginetest.Payload // on which disputes are begun
}

// newStateful starts one, whose nodes prove themselves.
func newStateful(t *testing.T, dir string) *stateful {
	t.Helper()
	s := &stateful{head: enginetest.Chain(4, 1, nil)[0]}
	var specs []string
	for range 3 {
		n := enginetest.New(t, enginetest.Client{})
		s.nodes, specs = append(s.nodes, n), append(specs, spec(n, ""))
	}
	s.args = []string{"-n", strings.Join(specs, ","), "--jwt-secret", secretFile(t), "--state-dir", dir,
		"--evidence-dir", "", "--open-admin",
		"--grace", "5s", "--late-grace", "5s"} // the payloads are old, and each node's word counts
	s.process = startProcess(t, s.args...)
	s.hears(t, "VALID", s.head)
	return s
}

// restart is kill -9, and a start.
func (s *stateful) restart(t *testing.T) {
	t.Helper()
	s.Kill()
	s.process = startProcess(t, s.args...)
}

// hears makes a newPayload, and returns how long that took.
func (s *stateful) hears(t *testing.T, want string, p enginetest.Payload) (took time.Duration) {
	t.Helper()
	begun := time.Now()
	got, err := s.NewPayload(t.Context(), p)
	if err != nil || got.Status != want {
		t.Fatalf("newPayload %d: got %+v, %v, want %s", p.Number, got, err, want)
	}
	return time.Since(begun)
}

// dispute has the third node object to a new block, and then forget it. It returns a child of the block.
func (s *stateful) dispute(t *testing.T, name string) (child enginetest.Payload) {
	t.Helper()
	block := s.head.Child(func(p *enginetest.Payload) { p.ExtraData = []byte(name) })
	child = block.Child(nil)
	s.nodes[2].Script(enginetest.Rule{BlockHash: child.Hash(), Status: "SYNCING"})
	s.nodes[2].Script(enginetest.Rule{
		BlockHash: block.Hash(), Status: "INVALID", ValidationError: strings.Repeat("x", 1000), Times: 1,
	})
	s.hears(t, "SYNCING", block)
	return child
}

// degraded waits until state is kept or isn't, as the metric says.
func (s *stateful) degraded(t *testing.T, want float64) {
	t.Helper()
	apptest.Until(t, fmt.Sprintf("degraded is %v", want), func() bool {
		return s.Metric(t, "executionbackup_state_degraded") == want
	})
}

// tmpfs is a small file system of the test's own.
func tmpfs(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// On a full disk we answer on, say that state isn't kept, and write all of it down when there is room again.
func TestDiskFull(t *testing.T) {
	dir := tmpfs(t)
	s := newStateful(t, filepath.Join(dir, "state"))
	children := []enginetest.Payload{s.dispute(t, "before")}
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk isn't full")
	}
	for i := range 10 { // some fit into what the log has already
		children = append(children, s.dispute(t, fmt.Sprint(i)))
	}
	s.degraded(t, 1)
	s.log.Wait(t, "level=ERROR", "state isn't kept", "no space left")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	s.degraded(t, 0)
	s.restart(t)
	for _, child := range children {
		s.hears(t, "SYNCING", child)
	}
	s.hears(t, "VALID", s.head.Child(nil))
}

// A directory that can't be written is read all the same; what comes is written down when it can be.
func TestReadOnlyDirectory(t *testing.T) {
	dir := tmpfs(t)
	remount := func(flags uintptr) {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|flags, "size=64k"); err != nil {
			t.Fatal(err)
		}
	}
	s := newStateful(t, filepath.Join(dir, "state"))
	before := s.dispute(t, "before")
	s.Kill()
	remount(syscall.MS_RDONLY)
	s.process = startProcess(t, s.args...)
	s.log.Wait(t, "level=ERROR", "state isn't kept", "read-only")
	s.hears(t, "SYNCING", before)
	s.hears(t, "VALID", s.head.Child(nil)) // so that the third node follows again
	since := s.dispute(t, "since")
	remount(0)
	s.degraded(t, 0)
	s.restart(t)
	s.hears(t, "SYNCING", before)
	s.hears(t, "SYNCING", since)
}

// A second process on the directory answers as without, and takes over what the first one kept when that ends.
func TestTwoOnOneDirectory(t *testing.T) {
	s := newStateful(t, t.TempDir())
	second := startProcess(t, s.args...)
	second.log.Wait(t, "level=ERROR", "state isn't kept", fmt.Sprintf("locked by process %d", s.Cmd.Process.Pid))
	child := s.dispute(t, "of the first")
	s.degraded(t, 0)
	s.ChangeNodes(t, "/drain_nodes", s.nodes[0].URL)
	s.Kill()
	s.process = second
	s.degraded(t, 0)
	s.hears(t, "SYNCING", child)
	if !s.Nodes(t)[0].Drained {
		t.Error("a node isn't drained that was in the first")
	}
	s.ChangeNodes(t, "/undrain_nodes", s.nodes[0].URL)
	s.restart(t)
	s.hears(t, "SYNCING", child)
	if s.Nodes(t)[0].Drained {
		t.Error("a node that was undrained is drained again")
	}
}

// State of a newer version is set aside with an error, and there for when that version comes back.
func TestNewerState(t *testing.T) {
	dir := t.TempDir()
	s := newStateful(t, dir)
	child := s.dispute(t, "of the newer version")
	s.Kill()
	path := filepath.Join(dir, "state")
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	header, rest, _ := bytes.Cut(log, []byte("\n"))
	name := bytes.Replace(header[18:], []byte("1"), []byte("2"), 1)
	sum := crc32.Checksum(name, crc32.MakeTable(crc32.Castagnoli))
	newer := fmt.Appendf(nil, "%08d %08x %s\n%s", len(name), sum, name, rest)
	if err := os.WriteFile(path, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	s.process = startProcess(t, s.args...)
	s.log.Wait(t, "level=ERROR", "set aside", "we know 1")
	s.hears(t, "VALID", child)
	s.Kill()
	aside, err := filepath.Glob(filepath.Join(dir, "state.newer-*"))
	if err != nil || len(aside) != 1 {
		t.Fatalf("set aside are %q, %v", aside, err)
	}
	if kept, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(kept, newer) {
		t.Errorf("it isn't what it was: %v", err)
	}
	if err := os.WriteFile(path, log, 0o600); err != nil { // as this version wrote it
		t.Fatal(err)
	}
	s.process = startProcess(t, s.args...)
	s.hears(t, "SYNCING", child)
}

// findStrace returns the path of a strace. Without one the test is skipped, but never in CI. Where ptrace is refused it
// is skipped anywhere.
func findStrace(t *testing.T) string {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no strace found, and CI must have one: install Debian's package strace")
		}
		t.Skip("no strace found")
	}
	said, err := exec.Command(strace, "-qq", "-o", os.DevNull, "true").CombinedOutput()
	if err != nil && bytes.Contains(said, []byte("ptrace(")) {
		t.Skipf("ptrace is refused: %s", said)
	}
	if err != nil {
		t.Fatalf("strace: %v: %s", err, said)
	}
	return strace
}

// An answer that rests on an objection goes out when that is on disk, not sooner; others don't wait for the disk. What
// the operating system has then is all that a power cut needs to leave.
func TestAnswersWaitForTheDisk(t *testing.T) {
	strace, dir := findStrace(t), t.TempDir()
	s := newStateful(t, dir)
	s.Kill()
	const delay = 40 * time.Millisecond // twice, where another write is under way, is less than an answer waits
	cmd := exec.Command(strace, append([]string{"-D", "-f", "-qq", "--seccomp-bpf", "-o", os.DevNull,
		"-e", "trace=fsync", "-e", fmt.Sprintf("inject=fsync:delay_exit=%d", delay.Microseconds()), os.Args[0]},
		s.args...)...)
	cmd.Env = []string{runMain, "EXECUTIONBACKUP_PORT=0"}
	p := apptest.StartProcess(t, cmd)
	s.process = &process{daemon{apptest.NewClient(t, p.Log.URL(t), secret), p.Log}, p}
	p.WaitReady(t, s.Client)
	quick := delay
	for i := range 5 {
		block := s.head.Child(func(p *enginetest.Payload) { p.ExtraData = fmt.Appendf(nil, "%d", i) })
		quick = min(quick, s.hears(t, "VALID", block))
	}
	if quick >= delay {
		t.Errorf("a VALID takes at least %v", quick)
	}
	begun := time.Now()
	child := s.dispute(t, "on a slow disk")
	if took := time.Since(begun); took < delay {
		t.Errorf("an answer that rests on an objection went out after %v, and the disk takes %v", took, delay)
	}
	state, err := os.ReadFile(filepath.Join(dir, "state")) // of this moment
	if err != nil {
		t.Fatal(err)
	}
	left := t.TempDir()
	if err := os.WriteFile(filepath.Join(left, "state"), state, 0o600); err != nil {
		t.Fatal(err)
	}
	s.args[5] = left
	s.process = startProcess(t, s.args...)
	s.hears(t, "SYNCING", child)
}
