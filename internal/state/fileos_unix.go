//go:build unix

package state

import (
	"errors"
	"os"
	"syscall"
)

// carefully opens a file without following a symbolic link, and without waiting for the other end of a pipe.
const carefully = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// errLocked says that another process has the lock.
var errLocked error = syscall.EWOULDBLOCK

// lock locks a file until it is closed.
func lock(file *os.File) error {
	return os.NewSyscallError("flock", syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
}

// syncDir makes a rename last. Some network file systems know no such thing.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
