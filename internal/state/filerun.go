package state

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// disk is what Run has open.
type disk struct {
	lock *held // nil: we don't have the directory
	open *held // the log; nil: it must be written anew before it is appended to
	size int64 // of the log
	most int64 // how large it may become before it is written anew
}

// held is a file that is open, and the path that it must still be found under.
type held struct {
	*os.File
	info os.FileInfo
}

// newHeld notes which file it is that was opened.
func newHeld(file *os.File) (*held, error) {
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &held{file, info}, nil
}

// there returns an error if nobody would find the file: what is written to it would be lost. h may be nil.
func (h *held) there() error {
	if h == nil {
		return nil
	}
	info, err := os.Lstat(h.Name())
	if err == nil && !os.SameFile(info, h.info) {
		err = fmt.Errorf("%s has been replaced", h.Name())
	}
	return err
}

// close closes the file. h may be nil. What may fail has been seen by fsync.
func (h *held) close() {
	if h != nil {
		h.Close()
	}
}

const (
	tryEvery = time.Second
	minGrown = 1 << 20 // bytes: a smaller log isn't worth writing anew
)

// Run writes until ctx ends; then what is left, and gives the directory up. While it hasn't begun, Puts are queued. It
// is to be called once.
func (f *File) Run(ctx context.Context) {
	tick := time.NewTicker(tryEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		f.turn(false)
		select {
		case <-ctx.Done():
		case <-f.wake:
		case <-tick.C:
		}
	}
	f.mu.Lock()
	f.ended = true
	f.mu.Unlock()
	f.turn(true)
	f.open.close()
	f.lock.close()
}

// turn writes what there is to write. The last one leaves nothing that isn't on disk.
func (f *File) turn(last bool) {
	if err := f.write(last); err != nil {
		f.fail(err)
	} else {
		f.recovered()
	}
}

// fail gives the log up, which may lack something, and whose last line may be torn.
func (f *File) fail(err error) {
	f.open.close()
	f.open = nil
	f.metrics.failures.Inc()
	f.degrade(err.Error())
}

// write brings to disk what has changed: at the end of the log, or as a new one.
func (f *File) write(last bool) error {
	if err := cmp.Or(f.lock.there(), f.open.there()); err != nil {
		f.lock.close()
		f.lock = nil
		return err
	}
	if f.lock == nil {
		found, err := f.hold()
		if err != nil {
			return err
		}
		if len(found) > 0 && f.found != nil {
			f.found(found)
		}
	}
	f.mu.Lock()
	queue, change, whole := f.queue, f.last, f.whole
	sync := last || slices.ContainsFunc(f.waiters, func(w waiter) bool { return w.want == Synced })
	f.queue = nil
	f.mu.Unlock()
	var batch []byte
	for _, changes := range queue {
		batch = append(batch, encode(changes)...)
	}
	if whole || f.open == nil || f.size+int64(len(batch)) > f.most {
		return f.rewrite()
	}
	return f.append(batch, change, sync)
}

// append writes the lines up to a change at the end of the log.
func (f *File) append(batch []byte, change uint64, sync bool) error {
	began := time.Now()
	if len(batch) > 0 {
		if _, err := f.open.Write(batch); err != nil {
			return err
		}
		f.grown(f.size + int64(len(batch)))
	}
	f.reach(Written, change)
	if !sync {
		return nil
	}
	if err := f.fsync(f.open.File); err != nil {
		return err
	}
	f.metrics.writes.Observe(time.Since(began).Seconds())
	f.reach(Synced, change)
	return nil
}

// rewrite writes a log of what stands, and puts it in the place of the old one, which stays what it is until then.
func (f *File) rewrite() error {
	began := time.Now()
	f.open.close() // Windows renames no file onto one that is open
	f.open = nil
	f.mu.Lock()
	all, change, aside := f.standing(), f.last, f.aside
	f.queue, f.whole = nil, false
	f.mu.Unlock()
	if aside != "" {
		if err := f.setAside("other", aside); err != nil {
			return err
		}
		f.mu.Lock()
		f.aside = ""
		f.mu.Unlock()
	}
	size, err := f.replace(all)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(f.path(), os.O_WRONLY|os.O_APPEND|carefully, 0)
	if err != nil {
		return err
	}
	if f.open, err = newHeld(file); err != nil {
		return err
	}
	f.grown(size)
	f.most = min(max(minGrown, 4*size), maxLog)
	f.metrics.writes.Observe(time.Since(began).Seconds())
	f.reach(Synced, change)
	return nil
}

// replace makes the log one of these records, on disk, and returns its size.
func (f *File) replace(all Records) (size int64, err error) {
	next := f.path() + ".new"
	os.Remove(next) // what a crash left behind
	defer os.Remove(next)
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	size, err = writeLog(file, all)
	if err == nil {
		err = f.fsync(file)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return 0, err
	}
	if err := os.Rename(next, f.path()); err != nil {
		return 0, err
	}
	return size, syncDir(f.dir)
}

func (f *File) path() string { return filepath.Join(f.dir, "state") }

// grown notes the size of the log.
func (f *File) grown(size int64) {
	f.size = size
	f.metrics.bytes.Set(float64(size))
}
