package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// hold takes the directory, and then reads the log. It returns what the log brought.
func (f *File) hold() (found Records, err error) {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, err
	}
	file, err := lockDir(f.dir)
	if err != nil {
		return nil, err
	}
	lock, err := newHeld(file)
	if err != nil {
		return nil, err
	}
	syncDir(filepath.Dir(f.dir)) // we may have made it; what isn't ours to sync has been there before
	logged, err := f.load()
	if err != nil {
		lock.close()
		return nil, err
	}
	f.lock = lock
	return f.merge(logged), nil
}

// lockDir locks a directory. Of one that can't be written, as a file system becomes on which errors were found, the
// log can still be read.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|carefully, 0o600)
	if err != nil {
		var readOnly error
		if file, readOnly = os.OpenFile(path, os.O_RDONLY|carefully, 0); readOnly != nil {
			return nil, err
		}
	}
	err = lock(file)
	if errors.Is(err, errLocked) {
		err = fmt.Errorf("%s is locked by %s", path, holder(file))
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	if file.Truncate(0) == nil { // what it says is for messages only
		fmt.Fprintln(file, os.Getpid())
	}
	return file, nil
}

// holder says who has locked a file.
func holder(file *os.File) string {
	said := make([]byte, 20)
	n, _ := file.ReadAt(said, 0)
	if pid, err := strconv.Atoi(strings.TrimSpace(string(said[:n]))); err == nil {
		return fmt.Sprintf("process %d", pid)
	}
	return "another process"
}

// load reads the log. One that can't be used is set aside.
func (f *File) load() (Records, error) {
	file, err := os.OpenFile(f.path(), os.O_RDONLY|carefully, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all, torn, err := readFile(file)
	file.Close() // Windows renames no file that is open
	if why := (*unusable)(nil); errors.As(err, &why) {
		return nil, f.setAside(why.kind, why.reason)
	}
	if torn > 0 {
		f.log.Warn("state ends in the middle of a record, which was cut off", "file", f.path(), "bytes", torn)
	}
	return all, err
}

func readFile(file *os.File) (all Records, torn int64, err error) {
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, &unusable{"broken", "it is no file"}
	}
	all, torn, err = readLog(file, info.Size())
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("read %s: it has become shorter", file.Name())
	}
	return all, torn, err
}

// keepAside is how many logs of a kind are kept.
const keepAside = 3

// setAside renames the log, which isn't to be used: broken, newer, or of another chain. The newest few of a kind stay.
func (f *File) setAside(kind, reason string) error {
	prefix := "state." + kind + "-"
	to := filepath.Join(f.dir, prefix+time.Now().UTC().Format("20060102T150405.000000Z"))
	err := os.Rename(f.path(), to)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("set aside what can't be used (%s): %w", reason, err)
	}
	f.log.Error("state on disk was set aside: we go on without it", "file", to, "reason", reason)
	entries, _ := os.ReadDir(f.dir) // sorted, and so by time
	var all []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			all = append(all, e.Name())
		}
	}
	for len(all) > keepAside {
		os.RemoveAll(filepath.Join(f.dir, all[0]))
		all = all[1:]
	}
	return nil
}
