package state

import (
	"bytes"
	"os"
)

// For the tests of File.
var (
	Encode    = encode
	Header    = header
	RoomOf    = roomOf
	WriteLog  = writeLog
	FrameSize = frameSize
)

const (
	FormatVersion = formatVersion
	MaxText       = maxText
	MaxLog        = maxLog
	MaxRoom       = maxRoom
)

// OnSync has a func of the test's called in place of fsync. It is to be called before Run.
func (f *File) OnSync(fsync func(*os.File) error) { f.fsync = fsync }

// Crash ends a File that doesn't run as kill -9 would.
func (f *File) Crash() {
	f.open.close()
	f.lock.close()
}

// Line is a line with that text.
func Line(text []byte) []byte { return append(append(frame(text), text...), '\n') }

// ReadLog reads a log that is in memory.
func ReadLog(log []byte) (all Records, torn int64, err error) { return ReadLogOf(log, 0) }

// ReadLogOf reads a log that should have so many bytes more than it has.
func ReadLogOf(log []byte, more int64) (all Records, torn int64, err error) {
	return readLog(bytes.NewReader(log), int64(len(log))+more)
}
