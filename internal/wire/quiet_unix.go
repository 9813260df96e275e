//go:build unix

package wire

import "syscall"

// quiet reports whether nothing has come on a kept connection: neither its end, nor an answer that nobody asked for.
func (c *connection) quiet() bool {
	var seen error
	err := c.raw.Read(func(fd uintptr) bool {
		var next [1]byte
		_, _, seen = syscall.Recvfrom(int(fd), next[:], syscall.MSG_PEEK)
		return true
	})
	return err == nil && seen == syscall.EAGAIN
}
