package evidence

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// Entry is a file as a list shows it.
type Entry struct {
	File string `json:"file"` // its name, by which it is sorted: time, number and block hash
	Size int64  `json:"size"` // bytes; 0 where it is still to be written
	// Damaged says why the file can't be read; then there is no more of the case than its name has.
	Damaged string `json:"damaged,omitempty"`
	Case
}

// entryOf is the entry of a file to be written.
func entryOf(e *Event) Entry {
	return Entry{File: fileName(e.Time, e.Number, e.Block), Case: brief(e.Case)}
}

// brief is a case without the answers in full.
func brief(c Case) Case {
	c.Answer = nil
	c.Record = *short(&c.Record, false)
	return c
}

const nameTime = "20060102T150405.000Z"

// fileName names the file of a case.
func fileName(t time.Time, number uint64, block common.Hash) string {
	return fmt.Sprintf("%s-%d-%s.json.gz", t.UTC().Format(nameTime), number, block)
}

var nameParts = regexp.MustCompile(`^(\d{8}T\d{6}\.\d{3}Z)-\d+-(0x[0-9a-f]{64})\.json\.gz$`)

// parseName is the reverse of fileName. ok is false for what is no file of ours.
func parseName(name string) (t time.Time, block common.Hash, ok bool) {
	parts := nameParts.FindStringSubmatch(name)
	if parts == nil {
		return t, block, false
	}
	t, err := time.Parse(nameTime, parts[1])
	return t, common.HexToHash(parts[2]), err == nil
}

// List returns what is in a directory, oldest first. Files of other kinds are passed over.
func List(dir string) ([]Entry, error) {
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, f := range found {
		t, block, ok := parseName(f.Name())
		if !ok || !f.Type().IsRegular() {
			continue
		}
		e := Entry{File: f.Name()}
		if info, err := f.Info(); err == nil {
			e.Size = info.Size()
		}
		c, err := readHead(filepath.Join(dir, f.Name()))
		if err != nil {
			e.Damaged = err.Error()
			c = Case{Record: Record{Time: t, Block: block}}
		}
		e.Case = brief(c)
		entries = append(entries, e)
	}
	slices.SortStableFunc(entries, func(a, b Entry) int { return cmp.Compare(a.File, b.File) })
	return entries, nil
}

// find takes in what is in the directory, and removes what a crash left half written.
func (l *Log) find() {
	entries, err := List(l.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.log.Warn("evidence can't be listed", "error", err)
	}
	temps, _ := filepath.Glob(filepath.Join(escapeGlob(l.dir), tempPattern)) // the pattern is good
	for _, temp := range temps {
		os.Remove(temp)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		f := &file{Entry: e, objectors: e.objectors()}
		l.files = append(l.files, f)
		switch {
		case e.Damaged != "":
		case e.wrong():
			l.wrong[e.Block] = f
		default:
			l.know(e.Block, f)
		}
	}
}

// escapeGlob makes a path mean itself in a pattern.
func escapeGlob(path string) string {
	if filepath.Separator == '\\' {
		return path // there is no escape on Windows, and no such file name
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// Entries returns what is kept, oldest first.
func (l *Log) Entries() []Entry {
	entries := []Entry{}
	if l == nil {
		return entries
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.files {
		if f.Size > 0 {
			entries = append(entries, f.Entry)
		}
	}
	return entries
}

// ErrNotKept says that there is no such file.
var ErrNotKept = errors.New("no such evidence")

// OpenFile opens a file that Entries names. The reader sees it as it was then, whatever is added. No other file in the
// directory, or out of it, can be opened.
func (l *Log) OpenFile(name string) (*os.File, error) {
	if !slices.ContainsFunc(l.Entries(), func(e Entry) bool { return e.File == name }) {
		return nil, ErrNotKept
	}
	return os.Open(filepath.Join(l.dir, name))
}

// written notes the size of a file.
func (l *Log) written(f *file, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f.Size = size
}

// forget drops a file that is no more.
func (l *Log) forget(f *file) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(f)
}

// drop is forget where l.mu is held.
func (l *Log) drop(f *file) {
	l.files = slices.DeleteFunc(l.files, func(other *file) bool { return other == f })
	its := func(_ common.Hash, other *file) bool { return other == f }
	l.blocks.Delete(its)
	maps.DeleteFunc(l.wrong, its)
}

// prune removes the oldest files until the rest is within the limits. The last one stays, whatever its size, because
// nobody may have seen it yet, and so does the one that was just written to.
func (l *Log) prune(current *file) {
	for {
		l.mu.Lock()
		f := l.excess(current)
		if f != nil {
			l.drop(f)
		}
		l.mu.Unlock()
		if f == nil {
			return
		}
		if err := os.Remove(filepath.Join(l.dir, f.File)); err != nil {
			l.log.Warn("old evidence not removed", "file", f.File, "error", err)
			continue
		}
		l.log.Info("old evidence removed", "file", f.File)
	}
}

// excess returns a file that has to go if there are too many or they are too large, else nil: the oldest of shadow mode
// in which nobody objects, lest a node that is behind now and then push out disputes, else the oldest. l.mu is held.
func (l *Log) excess(current *file) *file {
	bytes := int64(0)
	for _, f := range l.files {
		bytes += f.Size
	}
	if len(l.files) <= l.limits.files && bytes <= l.limits.bytes {
		return nil
	}
	var oldest *file
	for _, f := range l.files[:len(l.files)-1] {
		switch {
		case f == current || f.Size == 0:
		case f.Kind == Shadow && len(f.objectors) == 0:
			return f
		case oldest == nil:
			oldest = f
		}
	}
	return oldest
}
