package state

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"
)

// TestTheOtherIsTold puts at one instance what the other one has a moment later.
func TestTheOtherIsTold(t *testing.T) {
	s := startServer(t)
	a := startInstance(t, s.url(), "a")
	a.put("before", 1, "was there")
	b := startInstance(t, s.url(), "b")
	b.has(0, "before", 1, "was there")
	s.subscribed(2)

	a.put("objection", 7, "from a")
	b.has(time.Second, "objection", 7, "from a")
	b.put("objection", 8, "from b")
	a.has(time.Second, "objection", 8, "from b")
	a.put("big", 1<<64-1, "")
	b.has(time.Second, "big", 1<<64-1, "")
	b.put("big", 1<<64-2, "less, by what a float doesn't see")
	a.stands(0, "big", 1<<64-1, "")

	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.reads) != 1 {
		t.Errorf("a was told of %v, want only what b wrote", a.reads)
	}
}

// subscribed waits until so many instances listen.
func (s *server) subscribed(n int64) {
	s.t.Helper()
	channel := testSpace + channelName
	soon(s.t, patience, isTrue("all listen", func() bool {
		return s.admin.PubSubNumSub(context.Background(), channel).Val()[channel] == n
	}))
}

// TestLostNotices has one instance that may not listen, and one whose connection is cut.
func TestLostNotices(t *testing.T) {
	s := startServer(t)
	s.do("ACL", "SETUSER", "deaf", "on", ">deaf", "allkeys", "allcommands", "resetchannels")
	a := startInstance(t, s.url(), "a")
	deaf := newInstance(t, s.url(), "deaf", func(o *SharedOptions) {
		o.User, o.PasswordFile = "deaf", secretFile(t, "deaf\n")
	}).run()
	deaf.enter()
	s.subscribed(1)
	for n := range uint64(3) {
		a.put("k", n, "v")
		deaf.has(2500*time.Millisecond, "k", n, "v")
	}

	b := startInstance(t, s.url(), "b")
	s.subscribed(2)
	if n := s.do("CLIENT", "KILL", "TYPE", "pubsub").(int64); n != 2 {
		t.Fatalf("%d connections cut, want 2", n)
	}
	a.put("k", 10, "v")
	b.has(2500*time.Millisecond, "k", 10, "v")
	s.subscribed(2)
	a.put("k", 11, "v")
	b.has(time.Second, "k", 11, "v")
}

// TestNothingBeforeEnter holds back what is Put while the chain isn't known, and leaves one chain for another.
func TestNothingBeforeEnter(t *testing.T) {
	s := startServer(t)
	a := newInstance(t, s.url(), "a", nil)
	done := a.Put(Records{"early": {1, []byte("v")}})
	<-done
	a.run()
	if _, is := a.Fetch(context.Background(), "early"); is {
		t.Error("fetched before the chain is known")
	}
	if n := s.admin.DBSize(context.Background()).Val(); n != 0 {
		t.Errorf("%d keys written before the chain is known", n)
	}
	a.enter()
	a.stands(time.Second, "early", 1, "v")

	b := startInstance(t, s.url(), "b")
	a.Enter("2", "0xother")
	a.looked(time.Second)
	a.put("late", 1, "w")
	b.looked(3 * time.Second)
	if _, is := a.Fetch(context.Background(), "early"); is {
		t.Error("one chain's record in another's")
	}
	if _, is := b.Fetch(context.Background(), "late"); is {
		t.Error("the other chain's record in ours")
	}
	a.stop()
	<-a.Put(Records{"after the end": {1, []byte("v")}})
}

// TestForgotten lets go of a record, which stays in the store until it expires.
func TestForgotten(t *testing.T) {
	s := startServer(t)
	a := startInstance(t, s.url(), "a")
	a.put("k", 5, "v")
	<-a.Put(Records{"k": {}})
	if n := len(a.held); n != 0 {
		t.Errorf("%d records held", n)
	}
	a.stands(0, "k", 5, "v")
	s.do("DEL", testSpace+"r:k")
	a.looked(3 * time.Second)
	if n := s.do("EXISTS", testSpace+"r:k").(int64); n != 0 {
		t.Error("it was renewed after it was forgotten")
	}
	a.put("k", 3, "again, with a lower rank")
	a.stands(0, "k", 3, "again, with a lower rank")
}

// TestPeers tells the notes of those that are alive.
func TestPeers(t *testing.T) {
	s := startServer(t)
	a, b := startQuick(t, s.url(), "a"), startQuick(t, s.url(), "b")
	hears := func(want string) func() error {
		return func() error {
			a.mu.Lock()
			defer a.mu.Unlock()
			if got := fmt.Sprintf("%s", a.notes); got != want {
				return fmt.Errorf("a hears %s, want %s", got, want)
			}
			return nil
		}
	}
	b.Note([]byte("one"))
	soon(t, patience, hears("map[b:one]"))
	b.Note([]byte("two\nlines"))
	soon(t, patience, hears("map[b:two\nlines]"))
	b.stop()
	soon(t, patience, hears("map[]"))

	// A marker that never expires, and one that somebody kept and writes again, aren't alive.
	marker := a.seal(testSpace, "m:c", Record{5, []byte("\nc")})
	s.do("SET", testSpace+"m:c", marker)
	s.do("ZADD", testSpace+indexName, "+inf", "m:c")
	soon(t, patience, hears("map[c:c]"))
	soon(t, patience, hears("map[]"))
	s.do("SET", testSpace+"m:c", marker)
	a.looked(3 * time.Second)
	if err := hears("map[]")(); err != nil {
		t.Error(err)
	}
}

// TestNoteAtOnce sends a new note without waiting for the next look.
func TestNoteAtOnce(t *testing.T) {
	s := startServer(t)
	a := startInstance(t, s.url(), "a")
	for n := range 3 {
		a.Note(fmt.Append(nil, n))
		soon(t, 400*time.Millisecond, func() error {
			v, err := s.admin.Get(context.Background(), testSpace+"m:a").Bytes()
			if err != nil {
				return err
			}
			r, err := a.open(testSpace, "m:a", v)
			if err != nil || !bytes.HasSuffix(r.Value, fmt.Append([]byte("\n"), n)) {
				return fmt.Errorf("the marker has %q, %v", r.Value, err)
			}
			return nil
		})
	}
}
