package state

import (
	"bytes"
	"log/slog"
	"maps"
	"os"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// File keeps records in a directory, for one process at a time. What stands is in memory, where Put changes it at once.
// One goroutine, Run, brings it to disk, so that nobody waits for a disk who doesn't want to. In the directory are
//
//	state    an append-only log of changes; fileformat.go tells its format
//	lock     locked while we run; it has our process id
//
// A log that is damaged, of a newer format or of another chain is set aside under another name (fileopen.go).
//
// Where records can't be kept we are degraded: that is said once, all goes on in memory, nobody waits, and every second
// we try to write down the whole of what stands. So it is after any failure: half a line may have been written, and
// after an fsync that failed the kernel takes for clean what isn't on disk. Such a log is never appended to again.
//
// Safe for concurrent use.
type File struct {
	dir     string
	log     *slog.Logger
	found   func(Records)
	metrics *fileMetrics
	fsync   func(*os.File) error // (*os.File).Sync; tests let it fail, or hang
	wake    chan struct{}        // has room for one: there is something for Run to do

	mu       sync.Mutex
	records  map[string]kept
	room     int                // at most what the records take in a log, in bytes
	last     uint64             // number of the last change
	reached  [Synced + 1]uint64 // by Want: up to which change it has been reached
	queue    []Records          // changes to be appended
	whole    bool               // the log lacks more than the queue has: it is to be written anew
	waiters  []waiter
	read     bool   // the log has been read. Before, what was deleted is kept without a value: the log may have it
	aside    string // why the log is to be set aside; "" where it isn't
	degraded string // why records aren't kept; "" where they are
	ended    bool   // Run takes no more

	disk // of Run, and of Open before it
}

// kept is a record and the number of the change that it came with.
type kept struct {
	Record
	change uint64
}

// FileOptions are what a File needs besides its directory. The zero value is silent.
type FileOptions struct {
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// Found is told, in Run's goroutine, what could be read only after Open, as the directory couldn't be used then:
	// those records that stand against ours by their rank, a tie among them. They stand when it is called.
	Found func(Records)
}

// Open opens the records in a directory, which it creates. It never fails: where the directory can't be used, or
// another process holds it, we are degraded, and Run tries again every second. Whoever opens a File runs it.
func Open(dir string, o FileOptions) *File {
	f := &File{
		dir: dir, log: o.Log, found: o.Found,
		fsync:   (*os.File).Sync,
		wake:    make(chan struct{}, 1),
		records: make(map[string]kept),
		whole:   true,
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.metrics = newFileMetrics(o.Metrics, f)
	if _, err := f.hold(); err != nil {
		f.fail(err)
	}
	return f
}

// Records returns what stands: a map of its own, with values that are not to be changed.
func (f *File) Records() Records {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.standing()
}

// standing is Records while f.mu is held.
func (f *File) standing() Records {
	all := make(Records, len(f.records))
	for key, k := range f.records {
		if k.Value != nil {
			all[key] = k.Record
		}
	}
	return all
}

// Put changes records: each replaces what is there, whatever its rank, and one without a value deletes it. After a
// crash all of the changes are there or none. Keys are text; values are not to be changed afterwards.
//
// It returns at once, without a system call. Changes are written in the order of the calls; what changes nothing isn't
// written. done is closed when the changes are as far as is wanted, those that stood already too; it is nil where
// nobody waits. While we are degraded, and after Run has ended, it is closed already. What is far too large is refused,
// loudly.
func (f *File) Put(changes Records, want Want) (done <-chan struct{}) {
	f.mu.Lock()
	if size := roomOf(changes); size > maxText || f.room+size > maxRoom {
		f.mu.Unlock()
		f.metrics.failures.Inc()
		f.log.Error("records not kept: too large", "bytes", size, "dir", f.dir)
		return closed
	}
	defer f.mu.Unlock()
	change := f.apply(changes)
	if f.degraded != "" || f.ended {
		return closed
	}
	f.nudge()
	switch {
	case want == Soon:
		return nil
	case f.reached[want] >= change:
		return closed
	}
	w := waiter{change, want, make(chan struct{})}
	f.waiters = append(f.waiters, w)
	return w.done
}

// apply lets changes stand, and queues them. It returns the number of the last change that all of them hang on.
func (f *File) apply(changes Records) (change uint64) {
	news := make(Records, len(changes))
	for key, r := range changes {
		old, stands := f.records[key]
		switch {
		case stands && old.Rank == r.Rank && bytes.Equal(old.Value, r.Value) && (old.Value == nil) == (r.Value == nil):
			change = max(change, old.change)
		case !stands && r.Value == nil && f.read:
			change = f.last // perhaps the one that deleted it
		default:
			news[key] = r
		}
	}
	if len(news) == 0 {
		return change
	}
	f.last++
	for key, r := range news {
		f.set(key, r)
	}
	if !f.whole && !f.ended {
		f.queue = append(f.queue, news)
	}
	return f.last
}

// set lets a record stand, as part of the last change.
func (f *File) set(key string, r Record) {
	if old, stands := f.records[key]; stands {
		f.room -= roomOf(Records{key: old.Record})
	}
	if r.Value == nil && f.read {
		delete(f.records, key)
		return
	}
	f.records[key] = kept{r, f.last}
	f.room += roomOf(Records{key: r})
}

// merge takes in what a log had: the greater rank stands. In a tie the one that came first does: the log's, unless we
// have read ours before. It returns what stands of the log.
func (f *File) merge(logged Records) (found Records) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found = make(Records)
	f.last++ // it may not be on disk
	for key, r := range logged {
		ours, stands := f.records[key]
		if stands && (ours.Rank > r.Rank || ours.Rank == r.Rank && f.read) {
			continue
		}
		f.set(key, r)
		found[key] = r
	}
	f.read, f.whole, f.queue = true, true, nil
	for key, k := range maps.Clone(f.records) {
		f.set(key, k.Record) // now without those that were deleted
	}
	return found
}

// SetAside forgets all records, and keeps the log that they are in under another name: it is another chain's. A log
// that we haven't been able to read yet isn't meant.
func (f *File) SetAside(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.records)
	f.room, f.queue, f.whole = 0, nil, true
	f.last++
	if f.read {
		f.aside = reason
	}
	f.nudge()
}

// nudge gives Run a turn.
func (f *File) nudge() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}
