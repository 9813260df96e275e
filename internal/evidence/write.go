package evidence

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// A file appears whole or not at all: it is written under another name, synced, and renamed. So is one that grows: its
// compressed bytes are copied, and the new record is a gzip member of its own behind them.

// tempPattern is the name of a file in the making. One that a crash left behind is removed at the next start.
const tempPattern = "*.json.gz.tmp"

// create writes a new file and returns its size.
func create(dir, name string, c *Case, calls []Call) (size int64, err error) {
	return replace(dir, name, func(w io.Writer) error { return Write(w, c, calls) })
}

// Write writes what a file begins with.
func Write(w io.Writer, c *Case, calls []Call) error {
	// A member of its own: whoever lists the files reads only this.
	if err := member(w, func(w io.Writer) error { return encode(w, c) }); err != nil {
		return err
	}
	return member(w, func(w io.Writer) error {
		for _, call := range calls {
			if err := writeCall(w, call); err != nil {
				return err
			}
		}
		return nil
	})
}

// extend adds a record to a file and returns its new size.
func extend(dir, name string, r *Record) (size int64, err error) {
	old, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return 0, err
	}
	defer old.Close()
	return replace(dir, name, func(w io.Writer) error {
		if _, err := io.Copy(w, old); err != nil {
			return err
		}
		return member(w, func(w io.Writer) error { return encode(w, line{Record: r}) })
	})
}

// replace makes a file what write writes.
func replace(dir, name string, write func(io.Writer) error) (size int64, err error) {
	temp, err := os.CreateTemp(dir, tempPattern)
	if err != nil {
		return 0, err
	}
	defer os.Remove(temp.Name()) // fails after the rename
	err = write(temp)
	if err == nil {
		size, err = temp.Seek(0, io.SeekCurrent)
	}
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return 0, err
	}
	if err := os.Rename(temp.Name(), filepath.Join(dir, name)); err != nil {
		return 0, err
	}
	return size, syncDir(dir)
}

// syncDir makes a rename last. Windows has no such thing.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// line is what follows the case in a file: a call, or a record.
type line struct {
	Method string          `json:"method,omitempty"`
	Call   json.RawMessage `json:"call,omitempty"`
	Bytes  []byte          `json:"bytes,omitempty"` // a call that is no JSON
	Record *Record         `json:"record,omitempty"`
}

func member(w io.Writer, write func(io.Writer) error) error {
	z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is good
	if err := write(z); err != nil {
		return err
	}
	return z.Close()
}

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// writeCall writes a call without a copy of it. What is no JSON goes as base64.
func writeCall(w io.Writer, c Call) error {
	if !json.Valid(c.Body) {
		return encode(w, line{Method: c.Method, Bytes: c.Body})
	}
	method, err := json.Marshal(c.Method)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, `{"method":%s,"call":`, method)
	for _, b := range [][]byte{c.Body, []byte("}\n")} {
		if err == nil {
			_, err = w.Write(b)
		}
	}
	return err
}

// maxRaw bounds a node's answer in a file, in bytes: far above a payload status.
const maxRaw = 64 << 10

// Raw makes an answer fit for a file: what is long or no JSON becomes a string, cut where it is too long.
func Raw(answer []byte) json.RawMessage {
	if answer = bytes.TrimSpace(answer); len(answer) == 0 {
		return nil
	}
	if len(answer) <= maxRaw && json.Valid(answer) {
		return answer
	}
	quoted, _ := json.Marshal(string(answer[:min(len(answer), maxRaw)])) // a string always can be
	return quoted
}
