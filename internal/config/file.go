package config

import (
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"sync"
)

// maxFile bounds every file that settings name, in bytes.
const maxFile = 1 << 20

// ReadFile is os.ReadFile for files of up to 1 MiB: what a setting names may be anything, and /dev/zero has no end.
func ReadFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: larger than 1 MiB", path)
	}
	return data, nil
}

// Files reads files and remembers what was in them, so that one can see whether they would be read otherwise now. The
// zero value has read nothing. Safe for concurrent use.
type Files struct {
	Read func(string) ([]byte, error) // nil = ReadFile

	mu   sync.Mutex
	seen map[string]content // by path: what was read
	last map[string]content // and what the last look found
}

// content tells what a file has apart from what it had; zero where it can't be read.
type content [sha256.Size]byte

// ReadFile reads a file.
func (f *Files) ReadFile(path string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen = make(map[string]content)
	}
	data, err := f.read(path)
	f.seen[path] = contentOf(data, err)
	return data, err
}

func (f *Files) read(path string) ([]byte, error) {
	if f.Read == nil {
		return ReadFile(path)
	}
	return f.Read(path)
}

func contentOf(data []byte, err error) content {
	if err != nil {
		return content{}
	}
	return sha256.Sum256(data)
}

// Forget is for whoever reads all of them anew: what isn't read again doesn't matter any more.
func (f *Files) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen, f.last = nil, nil
}

// Changed looks at the files again, and reports whether they have other content than what was read. That has to be so
// at two looks, since at one a file may be half written. It says so once for each content.
func (f *Files) Changed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := make(map[string]content, len(f.seen))
	for path := range f.seen {
		now[path] = contentOf(f.read(path))
	}
	settled := maps.Equal(now, f.last)
	f.last = now
	if !settled || maps.Equal(now, f.seen) {
		return false
	}
	f.seen = now
	return true
}
