package state

import (
	"os"

	"golang.org/x/sys/windows"
)

// carefully has no meaning here.
const carefully = 0

// errLocked says that another process has the lock.
var errLocked error = windows.ERROR_LOCK_VIOLATION

// lock locks a file until it is closed: a byte far behind its end, as others may not read what is locked.
func lock(file *os.File) error {
	const how = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	behind := windows.Overlapped{OffsetHigh: 1}
	return os.NewSyscallError("LockFileEx", windows.LockFileEx(windows.Handle(file.Fd()), how, 0, 1, 0, &behind))
}

// syncDir has nothing to do: a rename lasts.
func syncDir(string) error { return nil }
