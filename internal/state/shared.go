package state

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// SharedOptions say where the shared store is, and what is told to whom.
type SharedOptions struct {
	// URL says where Redis or Valkey is, as ParseURL reads it.
	URL string
	// User of an ACL; "" is the default user.
	User string
	// PasswordFile holds the password, white space around it ignored; it is read anew for each connection. "": none.
	PasswordFile string
	// CAFile has the certificates that the server's is checked with; "": the system's.
	CAFile string
	// Prefix tells pairs of instances apart on one server; "" is DefaultPrefix.
	Prefix string
	// Key is that of the HMAC over everything that is written; equal in the instances of a pair, and nobody else's.
	Key []byte
	// Run is this process's own id, which no other one has, nor had.
	Run string

	// Read gets what another instance wrote since the last look (at first, and after the store has lost something,
	// all that stands there and isn't held here), checked. What it got is held here, and kept alive in the store,
	// until a Put with a nil Value. Called by Run, as Peers is: both may call Put, and should be quick.
	Read func(Records)
	// Peers gets, at each look, what the other instances that are alive said in Note, by their run ids.
	Peers func(map[string][]byte)

	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// DefaultPrefix is the prefix of keys where none is given.
const DefaultPrefix = "executionbackup"

// maxValue bounds a value in bytes. A greater one isn't ours.
const maxValue = 1 << 20

// Shared keeps records in a Redis or Valkey which several instances share. Whatever happens to that server, no caller
// ever waits for it longer than it wants to, and what stands here is written anew when it is back. All methods may be
// called at the same time; what they are given may not be changed afterwards.
type Shared struct {
	o       SharedOptions
	client  client
	times   sharedTimes
	metrics sharedMetrics
	wake    chan struct{}
	view    view // of Run's goroutine alone

	mu       sync.Mutex
	space    string              // what all our keys begin with; "" while the chain isn't known
	held     Records             // what stands here: all that was Put or read
	changed  map[string]struct{} // keys of held that were Put, and that the store hasn't confirmed
	waiting  []wait
	note     []byte
	noted    bool      // the note is new
	degraded string    // why; "" where all is well
	slow     bool      // an answer was slow in this round
	refused  time.Time // when a value was refused last
	peers    int       // other instances that are alive
	clock    serverClock
}

// wait is a Put whose caller may be waiting.
type wait struct {
	done chan struct{}
	keys []string
}

// sharedTimes are the times of the shared store; tests shorten them.
type sharedTimes struct {
	pulse  time.Duration // how often the server must answer something
	looks  int           // so many pulses from look to look
	marker time.Duration // how long the marker of an instance that is gone stands
	ttl    time.Duration // of every key
	answer time.Duration // until an answer is given up
	slow   time.Duration // until it is called slow
}

func ordinaryTimes() sharedTimes {
	return sharedTimes{
		pulse: 500 * time.Millisecond, looks: 4, marker: 7 * time.Second, ttl: 28 * time.Hour,
		answer: time.Second, slow: 100 * time.Millisecond,
	}
}

// OpenShared prepares a shared store; nothing is connected before Run. An error names what is wrong in the options.
func OpenShared(o SharedOptions) (*Shared, error) {
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if !goodPrefix.MatchString(o.Prefix) {
		return nil, fmt.Errorf("prefix of the shared state %q: only letters, digits, '.', '_' and '-'", o.Prefix)
	}
	if o.Read == nil {
		o.Read = func(Records) {}
	}
	if o.Peers == nil {
		o.Peers = func(map[string][]byte) {}
	}
	s := &Shared{
		o: o, times: ordinaryTimes(), wake: make(chan struct{}, 1),
		held: make(Records), changed: make(map[string]struct{}),
	}
	client, err := newClient(o, s.times.answer)
	if err != nil {
		return nil, err
	}
	s.client = client
	s.metrics = newSharedMetrics(o.Metrics, s)
	return s, nil
}

// Enter says which chain is ours. Before that nothing is read, and what is Put waits. Another chain later leaves what
// belongs to the one before it.
func (s *Shared) Enter(chainID, genesis string) {
	space := "{" + s.o.Prefix + ":" + chainID + ":" + genesis + "}:"
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.space == space {
		return
	}
	if s.space != "" {
		clear(s.held)
		clear(s.changed)
		s.settle()
	}
	s.space = space
	s.rouse()
}

// Put writes what changed, as soon as it can be, without waiting for it. A record stands if its rank is greater than
// what stands under its key; in a tie what came first does. A nil Value says that we hold it no longer: it stays in the
// store until it expires. The channel is closed when the store has these records, and at once while it is degraded or
// the chain isn't known.
func (s *Shared) Put(changes Records) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := wait{done: make(chan struct{})}
	for key, r := range changes {
		mine, held := s.held[key]
		switch {
		case r.Value == nil:
			delete(s.held, key)
			delete(s.changed, key)
			continue
		case len(r.Value) > maxValue:
			s.o.Log.Error("a record is too large to be shared", "key", key, "bytes", len(r.Value))
			continue
		case !held || r.Rank > mine.Rank:
			s.held[key] = r
			s.changed[key] = struct{}{}
		}
		w.keys = append(w.keys, key)
	}
	s.waiting = append(s.waiting, w)
	s.settle()
	s.rouse()
	return w.done
}

// settle closes the channels of whoever needn't wait any longer. Called under the lock.
func (s *Shared) settle() {
	var still []wait
	for _, w := range s.waiting {
		if s.space != "" && s.degraded == "" && s.anyChanged(w.keys) {
			still = append(still, w)
		} else {
			close(w.done)
		}
	}
	s.waiting = still
}

func (s *Shared) anyChanged(keys []string) bool {
	for _, key := range keys {
		if _, is := s.changed[key]; is {
			return true
		}
	}
	return false
}

// Fetch reads one key now, within the context's deadline. While the store is degraded it has nothing. What it returns
// isn't held: Read gets it as well.
func (s *Shared) Fetch(ctx context.Context, key string) (Record, bool) {
	s.mu.Lock()
	space, degraded := s.space, s.degraded
	s.mu.Unlock()
	if space == "" || degraded != "" {
		return Record{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, s.times.answer)
	defer cancel()
	values, err := s.get(ctx, space, []string{recordName(key)})
	if err != nil || values[0] == nil {
		return Record{}, false
	}
	r, err := s.open(space, recordName(key), values[0])
	if err != nil {
		s.refuse(recordName(key), err)
	}
	return r, err == nil
}

// Note says what the other instances are told of us from now on.
func (s *Shared) Note(note []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !bytes.Equal(note, s.note) {
		s.note, s.noted = note, true
		s.rouse()
	}
}

// Overdue says that a caller has waited too long for a Put: the store is degraded until a write has gone through again.
func (s *Shared) Overdue() { s.degrade("a change wasn't written in time") }

// rouse makes Run look at what there is to do.
func (s *Shared) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
