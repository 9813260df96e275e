package evidence

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/fifo"
)

// Event is a call and what came of it, handed over to a Log. What it refers to must not change any more.
type Event struct {
	Case
	Calls []Call
	// Late says that it is a reply which came after the answer: it doesn't end what it follows.
	Late bool
}

// Log writes evidence into a directory. Add only takes a place in a queue: the files are written by Run. Safe for
// concurrent use; a nil Log keeps nothing.
type Log struct {
	dir     string
	program string
	log     *slog.Logger
	limits  limits
	metrics *metrics

	failing bool // whether the last write failed; of Run alone

	mu        sync.Mutex
	queue     []job
	queued    int64                        // bytes of the calls in it
	overflows bool                         // the last event had no room
	wake      chan struct{}                // has room for one
	files     []*file                      // oldest first, those that are still to be written too
	blocks    fifo.Map[common.Hash, *file] // by the blocks that they are about
	wrong     map[common.Hash]*file        // by the hash that a payload claimed wrongly: about no block
}

// file is one case: about a block, followed by calls on it and on its descendants.
type file struct {
	Entry
	objectors map[string]bool // so far
	open      bool            // somebody objects still
	records   int
}

// job is a file to write: a new one, or with a record that is to be added.
type job struct {
	file  *file
	event *Event  // of a new one
	add   *Record // nil where the file has enough of them
	bytes int64
}

// limits bound what a Log keeps.
type limits struct {
	files   int
	bytes   int64 // of all files
	queue   int
	queued  int64 // bytes of calls; one that is larger goes alone
	blocks  int   // how many blocks are known to descend from objected ones
	records int   // how many a file has
}

var defaultLimits = limits{files: 256, bytes: 1 << 30, queue: 256, queued: 256 << 20, blocks: 8192, records: 16384}

// Open finds what is in a directory, and makes it if it isn't there. A directory that can't be written is a warning in
// the log, and is tried again with each case.
//
// program is the version that the files name.
func Open(dir, program string, r prometheus.Registerer, log *slog.Logger) *Log {
	return openWith(dir, program, defaultLimits, r, log)
}

func openWith(dir, program string, limits limits, r prometheus.Registerer, log *slog.Logger) *Log {
	l := &Log{
		dir: dir, program: program, log: log, limits: limits, wake: make(chan struct{}, 1),
		wrong: make(map[common.Hash]*file),
	}
	l.metrics = newMetrics(r, l)
	if err := writable(dir); err != nil {
		log.Warn("disputes are not recorded: the evidence directory can't be written", "error", err)
	}
	l.find()
	return l
}

// writable makes a directory and shows that files can be made in it.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	probe, err := os.CreateTemp(dir, tempPattern)
	if err != nil {
		return err
	}
	probe.Close()
	return os.Remove(probe.Name())
}

// Wants reports whether Add would keep an event of this kind about a block. It is cheap: it is asked at every call.
func (l *Log) Wants(kind Kind, block, parent common.Hash) bool {
	if l == nil || kind != Follows {
		return l != nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.followed(block, parent)
	return f != nil && f.open
}

func (l *Log) followed(block, parent common.Hash) *file {
	if f, known := l.blocks.Get(block); known {
		return f
	}
	f, _ := l.blocks.Get(parent)
	return f
}

// Add keeps an event: as a case of its own, or as a record in the file of the objected block that it follows. It never
// waits: where too much is queued, the event is dropped, counted and logged.
func (l *Log) Add(e *Event) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	j, wanted := l.sort(e)
	if !wanted {
		return
	}
	if len(l.queue) > 0 && (len(l.queue) >= l.limits.queue || j.bytes > 0 && l.queued+j.bytes > l.limits.queued) {
		l.metrics.events.WithLabelValues("dropped").Inc()
		if !l.overflows {
			l.log.Error("evidence dropped: too much waits to be written", "kind", string(e.Kind), "block_hash", e.Block)
		}
		l.overflows = true
		return
	}
	l.overflows = false
	l.take(j, e)
	select {
	case l.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// sort finds where an event belongs. l.mu is held.
func (l *Log) sort(e *Event) (j job, wanted bool) {
	f := l.followed(e.Block, e.Parent)
	if e.wrong() {
		f = l.wrong[e.Block]
	}
	if f != nil && (f.Block == e.Block || e.Kind == Follows || !news(f.objectors, e.objectors())) {
		if f.records >= l.limits.records {
			return job{file: f}, true
		}
		return job{file: f, add: short(&e.Record, f.Block == e.Block)}, f.open || e.Kind != Follows
	}
	if e.Kind == Follows {
		return job{}, false
	}
	e.Version, e.Program = formatVersion, l.program
	j = job{file: &file{Entry: entryOf(e)}, event: e}
	for _, c := range e.Calls {
		j.bytes += int64(len(c.Body))
	}
	return j, true
}

// news reports whether somebody objects who didn't before.
func news(before, now map[string]bool) bool {
	for name := range now {
		if !before[name] {
			return true
		}
	}
	return false
}

// take puts a job into the queue and notes what follows from it. l.mu is held.
func (l *Log) take(j job, e *Event) {
	f, objectors := j.file, e.objectors()
	if j.event != nil || j.add != nil {
		l.queue = append(l.queue, j)
		l.queued += j.bytes
	}
	if j.event != nil {
		l.files = append(l.files, f)
		f.objectors = make(map[string]bool)
	} else {
		f.records++
	}
	if j.event != nil || !e.Late {
		f.open = len(objectors) > 0 || e.Kind != Follows
	}
	for name := range objectors {
		f.objectors[name] = true
	}
	switch {
	case e.wrong():
		l.wrong[e.Block] = f
	case f.open:
		l.know(e.Block, f)
	}
}

// know notes that calls on a block, and on its children, belong into a file. l.mu is held.
func (l *Log) know(block common.Hash, f *file) {
	l.blocks.Put(block, f)
	l.blocks.Trim(l.limits.blocks)
}

// maxReason is how much of a reason a short record has, in bytes.
const maxReason = 256

// short returns what is kept of a record in another's file; about says that it is about the same block.
func short(r *Record, about bool) *Record {
	s := *r
	s.Replies = slices.Clone(r.Replies)
	for i := range s.Replies {
		reply := &s.Replies[i]
		reply.About = nil
		if !about {
			reply.Answer = nil
			reply.Reason = reply.Reason[:min(len(reply.Reason), maxReason)]
		}
	}
	return &s
}

// Run writes what is added, until ctx ends and nothing is left to write. Nothing may be added after that.
func (l *Log) Run(ctx context.Context) {
	for {
		for l.writeNext() {
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
			for l.writeNext() {
			}
			return
		}
	}
}

// writeNext writes the first in the queue and reports whether there was one.
func (l *Log) writeNext() bool {
	l.mu.Lock()
	if len(l.queue) == 0 {
		l.mu.Unlock()
		return false
	}
	j := l.queue[0]
	l.queue = slices.Delete(l.queue, 0, 1)
	l.queued -= j.bytes
	l.mu.Unlock()

	size, err := l.write(j)
	if err != nil {
		l.metrics.events.WithLabelValues("failed").Inc()
		if !l.failing { // once, not at every call of a long dispute
			l.log.Warn("evidence not written", "file", j.file.File, "error", err)
		}
		l.failing = true
		if j.event != nil || errors.Is(err, fs.ErrNotExist) {
			l.forget(j.file) // so that the next call on the block begins anew
		}
		return true
	}
	l.metrics.events.WithLabelValues("written").Inc()
	if l.failing {
		l.log.Info("evidence is written again")
	}
	l.failing = false
	if j.event != nil {
		l.log.Info("evidence written", "kind", string(j.event.Kind), "block_hash", j.event.Block, "file", j.file.File)
	}
	l.written(j.file, size)
	l.prune(j.file)
	return true
}

func (l *Log) write(j job) (size int64, err error) {
	if j.event == nil {
		return extend(l.dir, j.file.File, j.add)
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return 0, err
	}
	return create(l.dir, j.file.File, &j.event.Case, j.event.Calls)
}
