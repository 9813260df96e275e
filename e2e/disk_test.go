//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"executionbackup/internal/apptest"
)

// disk is a small file system for state and evidence, or where mounting needs rights that we haven't, a limit to what a
// file may have: a write beyond it fails, too.
type disk struct {
	t      *testing.T
	dir    string
	filler string // what fills it; "" where it isn't mounted
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	d := &disk{t: t, dir: t.TempDir()}
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Logf("mount: %v: files are limited instead", err)
		return d
	}
	d.filler = filepath.Join(d.dir, "filler")
	t.Cleanup(func() { syscall.Unmount(d.dir, syscall.MNT_DETACH) })
	return d
}

// fill leaves no room for what a process writes.
func (d *disk) fill(p *apptest.Process) {
	d.t.Helper()
	if d.filler == "" {
		d.limit(p, 0)
	} else if os.WriteFile(d.filler, make([]byte, 1<<20), 0o600) == nil {
		d.t.Fatal("the disk isn't full")
	}
}

// free makes room again.
func (d *disk) free(p *apptest.Process) {
	d.t.Helper()
	if d.filler == "" {
		d.limit(p, unix.RLIM_INFINITY)
	} else if err := os.Remove(d.filler); err != nil {
		d.t.Fatal(err)
	}
}

func (d *disk) limit(p *apptest.Process, bytes uint64) {
	d.t.Helper()
	limit := unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(p.Cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		d.t.Fatal(err)
	}
}

// The disk with our state and evidence is full, in mid-run: no slot is lost, also not by kill -9 and a start on it.
// What was decided meanwhile is written down when there is room, and outlives the next kill -9.
func TestDiskFullInMidRun(t *testing.T) {
	t.Parallel()
	genesis, d := genesisNow(), newDisk(t)
	clients := startClients(t, genesis, 3)
	h := newHouse(t, genesis, specs(t, clients, nil),
		"state_dir: "+filepath.Join(d.dir, "state"), "evidence_dir: "+filepath.Join(d.dir, "evidence"))
	degraded := func(want float64) {
		t.Helper()
		apptest.Until(t, "state is kept, or isn't", func() bool {
			return h.Metric(t, "executionbackup_state_degraded") == want
		})
	}
	restart := func() {
		t.Helper()
		h.process.Kill()
		h.start()
	}
	degraded(0)
	d.fill(h.process)
	for range 5 { // some fits into what the log has already
		if h.slots(1); h.Metric(t, "executionbackup_state_degraded") == 1 {
			break
		}
	}
	degraded(1)
	if got := h.ChangeNodes(t, "/drain_nodes", "n3"); got.Status != 200 {
		t.Errorf("drain: %+v", got)
	}
	h.process.Log.Wait(t, "level=ERROR", "state isn't kept")
	if d.filler != "" { // a limit is gone with the process
		restart()
		h.slots(2)
		degraded(1)
		if got := h.ChangeNodes(t, "/drain_nodes", "n3"); got.Status != 200 {
			t.Errorf("drain: %+v", got)
		}
	}
	d.free(h.process)
	degraded(0)
	restart()
	h.slots(2)
	h.wantAll()
	if !h.Node(t, "n3").Drained {
		t.Error("what was drained on a full disk isn't any more")
	}
}
