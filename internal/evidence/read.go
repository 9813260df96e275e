package evidence

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// File is what is in a file.
type File struct {
	Case    Case     `json:"case"`
	Calls   []Call   `json:"calls"` // the payload first, where it was kept, and the call that the case is about last
	Records []Record `json:"records"`
}

// Replies returns what the nodes said to the call that the case is about: in time, or later.
func (f *File) Replies() []Reply {
	replies := slices.Clone(f.Case.Replies)
	for _, late := range f.Records {
		if late.Verdict != "" || late.Block != f.Case.Block || late.Method != f.Case.Method ||
			!late.Time.Equal(f.Case.Time) {
			continue
		}
		for _, r := range late.Replies {
			if i := slices.IndexFunc(replies, func(old Reply) bool { return old.Node == r.Node }); i >= 0 {
				r.About = replies[i].About
				replies[i] = r
			}
		}
	}
	return replies
}

// maxFile bounds what a file may unfold to, in bytes: two calls as large as any that is taken, and all that follows.
const maxFile = 1 << 30

// ReadFile reads a file of evidence. Its errors have the path.
func ReadFile(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	file, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return file, nil
}

// Read reads what a file has. It may come from anywhere: nothing in it is trusted.
func Read(r io.Reader) (*File, error) {
	return read(r, maxFile)
}

func read(r io.Reader, limit int64) (*File, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("not a file of evidence: %w", err)
	}
	limited := &io.LimitedReader{R: z, N: limit}
	d := json.NewDecoder(limited)
	f := new(File)
	if f.Case, err = readCase(d); err != nil {
		return nil, err
	}
	for {
		var next line
		switch err := d.Decode(&next); {
		case err == io.EOF && limited.N > 0:
			return f, nil
		case limited.N == 0:
			return nil, errors.New("it is too large")
		case err != nil:
			return nil, fmt.Errorf("damaged: %w", err)
		case next.Record != nil:
			f.Records = append(f.Records, *next.Record)
		case next.Call != nil:
			f.Calls = append(f.Calls, Call{next.Method, next.Call})
		case len(next.Bytes) > 0: // an empty call can't be replayed, nor written
			f.Calls = append(f.Calls, Call{next.Method, next.Bytes})
		}
	}
}

// readCase reads the beginning of a file.
func readCase(d *json.Decoder) (c Case, err error) {
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("not a file of evidence: %w", err)
	}
	switch {
	case c.Version > formatVersion:
		return c, fmt.Errorf("it is from a newer ExecutionBackup (%s)", c.Program)
	case c.Version < 1 || c.Kind == "":
		return c, errors.New("not a file of evidence")
	}
	return c, nil
}

// readHead reads the case of a file, and no more of it.
func readHead(path string) (Case, error) {
	f, err := os.Open(path)
	if err != nil {
		return Case{}, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return Case{}, err
	}
	z.Multistream(false)
	return readCase(json.NewDecoder(io.LimitReader(z, maxHead)))
}

// maxHead bounds the case of a file, in bytes: a hundred nodes with the longest answers.
const maxHead = 16 << 20
