package state

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// atOnce is how long something may take that doesn't wait for anybody; the machine may be busy.
const atOnce = 20 * time.Millisecond

// pair starts two instances that know the same five records.
func pair(t *testing.T, url string, start func(t testing.TB, url, run string) *instance) (a, b *instance) {
	t.Helper()
	a, b = start(t, url, "a"), start(t, url, "b")
	for n := range uint64(5) {
		a.put(fmt.Sprint("k", n), n, "v")
	}
	b.has(patience, "k4", 4, "v")
	return a, b
}

// allStand waits until the five records stand in the store.
func (i *instance) allStand(within time.Duration) {
	i.t.Helper()
	end := time.Now().Add(within)
	for n := range uint64(5) {
		i.stands(time.Until(end), fmt.Sprint("k", n), n, "v")
	}
}

// TestHung stops the server's process: no caller waits, and everything arrives when it goes on.
func TestHung(t *testing.T) {
	s := startServer(t)
	a, b := pair(t, s.url(), startInstance)
	s.signal(syscall.SIGSTOP)
	defer s.signal(syscall.SIGCONT)

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, is := b.Fetch(ctx, "k1"); is || time.Since(begin) > 30*time.Millisecond+atOnce {
		t.Errorf("Fetch took %v, within 30ms", time.Since(begin))
	}
	begin = time.Now()
	done := a.Put(Records{"hung": {1, []byte("v")}})
	if took := time.Since(begin); took > atOnce {
		t.Errorf("Put took %v", took)
	}
	select {
	case <-done:
	case <-time.After(time.Second):
		t.Error("who waits for a hung server still waits after a second")
	}
	a.degradedWithin(time.Until(begin.Add(time.Second)), "no answer")
	b.degradedWithin(time.Until(begin.Add(time.Second)), "no answer") // it had nothing to write
	begin = time.Now()
	for n := range uint64(1000) {
		<-a.Put(Records{fmt.Sprint("later", n): {n, []byte("v")}})
	}
	a.Fetch(context.Background(), "k1")
	if took := time.Since(begin); took > time.Second {
		t.Errorf("1000 calls while degraded took %v", took)
	}
	begin = time.Now()
	a.Note([]byte("n"))
	a.Overdue()
	if took := time.Since(begin); took > atOnce {
		t.Errorf("Note and Overdue took %v", took)
	}

	s.signal(syscall.SIGCONT)
	a.inOrderWithin(3 * time.Second)
	b.has(patience, "hung", 1, "v")
	b.has(patience, "later999", 999, "v")
	b.inOrderWithin(patience)
	if n := a.logs.count("degraded"); n != 1 {
		t.Errorf("logged %d times that it is degraded, want once:\n%s", n, a.logs)
	}

	s.signal(syscall.SIGSTOP)
	begin = time.Now()
	a.Put(Records{"at the end": {1, []byte("v")}})
	a.stop()
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("the end took %v", took)
	}
}

// TestOverdue is degraded until a write has gone through.
func TestOverdue(t *testing.T) {
	s := startServer(t)
	a := startInstance(t, s.url(), "a")
	s.signal(syscall.SIGSTOP)
	done := a.Put(Records{"k": {1, []byte("v")}})
	a.Overdue()
	if a.Degraded() == "" {
		t.Error("not degraded")
	}
	select {
	case <-done:
	default:
		t.Error("it still keeps its caller waiting")
	}
	s.signal(syscall.SIGCONT)
	a.inOrderWithin(1200 * time.Millisecond)
	a.stands(0, "k", 1, "v")
}

// TestLosses flushes the server, kills it, and deletes single keys; what stands here is written anew.
func TestLosses(t *testing.T) {
	s := startServer(t)
	a, b := pair(t, s.url(), startInstance)
	for _, c := range []struct {
		name   string
		lose   func()
		within time.Duration
	}{
		{"FLUSHALL", func() { s.do("FLUSHALL") }, 3 * time.Second},
		{"killed and restarted empty", func() { s.kill(); s.start() }, 3500 * time.Millisecond},
		{"its marker and a record lost", func() { s.do("DEL", testSpace+"m:a", testSpace+"r:k3") }, 3 * time.Second},
		{"a record and its place in the index lost", func() {
			s.do("DEL", testSpace+"r:k3")
			s.do("ZREM", testSpace+indexName, "r:k3")
		}, 3 * time.Second},
		{"the index lost", func() { s.do("DEL", testSpace+indexName) }, 3 * time.Second},
	} {
		c.lose()
		begin := time.Now()
		a.allStand(c.within)
		t.Logf("%s: written anew after %v", c.name, time.Since(begin).Round(time.Millisecond))
		soon(t, patience, isTrue("all in the index", func() bool {
			return s.do("ZCARD", testSpace+indexName).(int64) == 7 // with two markers
		}))
		a.inOrderWithin(2 * time.Second)
		b.inOrderWithin(2 * time.Second)
		a.put(c.name, 1, "new")
		b.has(2500*time.Millisecond, c.name, 1, "new")
		if n := s.do("ZREM", testSpace+indexName, "r:"+c.name).(int64); n != 1 {
			t.Errorf("%s: the new record isn't in the index", c.name)
		}
		<-a.Put(Records{c.name: {}})
		<-b.Put(Records{c.name: {}})
		s.do("DEL", testSpace+"r:"+c.name)
	}
	a.looked(3 * time.Second)
	if n := a.metric("losses_total"); n < 4 {
		t.Errorf("%v losses counted, want one for each that our marker shows", n)
	}
	if n := a.logs.count("restarted or failed over") + a.logs.count("be reached"); n == 0 {
		t.Errorf("no word of the restart:\n%s", a.logs)
	}
}

// TestClockBehind reads what was written after a loss by a server whose clock is behind: a master that took over, say.
func TestClockBehind(t *testing.T) {
	s := startServer(t)
	a := startInstance(t, s.url(), "a")
	a.put("k", 1, "v")
	a.looked(3 * time.Second)
	s.do("FLUSHALL")
	s.do("SET", testSpace+"r:of another", a.seal(testSpace, "r:of another", Record{1, []byte("v")}))
	s.do("ZADD", testSpace+indexName, 5, "r:of another")
	a.has(3*time.Second, "of another", 1, "v")
	a.stands(time.Second, "k", 1, "v")
}

// TestLostByOneKnownToTheOther kills the server while one instance is gone for good: the survivor brings back what it
// only read.
func TestLostByOneKnownToTheOther(t *testing.T) {
	s := startServer(t)
	a, b := pair(t, s.url(), startInstance)
	a.stop()
	s.kill()
	s.start()
	b.allStand(patience)
	c := startInstance(t, s.url(), "c")
	c.has(patience, "k3", 3, "v")
}

// TestGone has no server at all at first, and one with persistence that goes and returns.
func TestGone(t *testing.T) {
	s := startServer(t, "--appendonly", "yes", "--appendfsync", "always")
	s.kill()
	a := newInstance(t, s.url(), "a", nil).run()
	a.degradedWithin(time.Second, "reached")
	a.Enter("1", "0xgenesis")
	<-a.Put(Records{"k": {1, []byte("v")}})
	s.start()
	a.stands(3*time.Second, "k", 1, "v")
	a.stop()

	s.kill()
	s.start()
	b := startInstance(t, s.url(), "b")
	b.has(0, "k", 1, "v")
}

// TestFull can't write until there is room again, but reads.
func TestFull(t *testing.T) {
	s := startServer(t)
	a, b := pair(t, s.url(), startInstance)
	s.do("CONFIG", "SET", "maxmemory", "1mb")
	a.degradedWithin(3*time.Second, "full")
	attempts := s.stat("cmdstat_evalsha:calls")
	for n := range uint64(100) {
		<-a.Put(Records{"while full": {n, []byte("v")}})
		s.do("PING")
	}
	if n := s.stat("cmdstat_evalsha:calls") - attempts; n > 30 {
		t.Errorf("100 changes were tried %d times while it is known to be full", n)
	}
	c := newInstance(t, s.url(), "c", nil).run()
	c.Enter("1", "0xgenesis")
	c.has(time.Second, "k4", 4, "v")
	s.do("DEL", testSpace+"r:k0")
	if _, pending := gauges(t, a); pending != 1 {
		t.Errorf("%v changes pending, want 1", pending)
	}
	s.do("CONFIG", "SET", "maxmemory", "0")
	a.inOrderWithin(2 * time.Second)
	b.has(3*time.Second, "while full", 99, "v")
	a.allStand(3 * time.Second)
	if degraded, pending := gauges(t, a); degraded != 0 || pending != 0 {
		t.Errorf("degraded %v, pending %v", degraded, pending)
	}
}

// TestEvicted has the server throw records away. The index and the markers outlive them.
func TestEvicted(t *testing.T) {
	s := startServer(t, "--maxmemory-policy", "volatile-ttl", "--maxmemory-samples", "64")
	a := newInstance(t, s.url(), "a", nil)
	a.times.marker = time.Hour
	a.run().enter()
	records := make(Records)
	for n := range 400 {
		records[fmt.Sprint("k", n)] = Record{1, make([]byte, 1000)}
	}
	<-a.Put(records)
	for key := range records {
		s.do("EXPIRE", testSpace+"r:"+key, 60)
	}
	s.do("CONFIG", "SET", "maxmemory", s.stat("used_memory")-50_000)
	soon(t, patience, isTrue("something is evicted", func() bool { return s.stat("evicted_keys") > 20 }))
	a.degradedWithin(3*time.Second, "evicts")
	s.do("CONFIG", "SET", "maxmemory", "0")
	soon(t, 3*time.Second, isTrue("all stand", func() bool {
		return s.admin.DBSize(context.Background()).Val() == 402
	}))
	a.inOrderWithin(3 * time.Second)
}

// TestEvictedAtRandom may throw anything away.
func TestEvictedAtRandom(t *testing.T) {
	s := startServer(t, "--maxmemory-policy", "allkeys-random")
	a, _ := pair(t, s.url(), startInstance)
	s.do("CONFIG", "SET", "maxmemory", s.stat("used_memory")-1000)
	soon(t, patience, isTrue("something is evicted", func() bool { return s.stat("evicted_keys") > 0 }))
	a.degradedWithin(3*time.Second, "")
	s.do("CONFIG", "SET", "maxmemory", "0")
	a.allStand(3 * time.Second)
	a.inOrderWithin(3 * time.Second)
}

// TestReadOnly is led to a replica, until its address leads to another master.
func TestReadOnly(t *testing.T) {
	s, other := startServer(t), startServer(t)
	door := newDoor(t, s.address())
	a, _ := pair(t, door.url(), startInstance)
	s.do("REPLICAOF", "127.0.0.1", "1")
	a.degradedWithin(3*time.Second, "read-only")
	<-a.Put(Records{"k": {9, []byte("v")}})
	door.to.Store(other.address())
	a.inOrderWithin(4 * time.Second)
	a.allStand(time.Second)
	a.stands(time.Second, "k", 9, "v")
}

// door is an address that leads to one server or another, as a name or a balancer does. Connections stay where they
// are.
type door struct {
	net.Listener
	to   atomic.Value
	late atomic.Int64 // what goes through comes so many nanoseconds late
}

// lateWriter is a connection behind a door.
type lateWriter struct {
	net.Conn
	door *door
}

func (w lateWriter) Write(p []byte) (int, error) {
	<-time.After(time.Duration(w.door.late.Load()))
	return w.Conn.Write(p)
}

func (d *door) url() string { return "redis://" + d.Addr().String() }

func newDoor(t *testing.T, to string) *door {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{Listener: l}
	d.to.Store(to)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", d.to.Load().(string))
			if err != nil {
				in.Close()
				continue
			}
			for from, to := range map[net.Conn]net.Conn{in: out, out: in} {
				all.Go(func() {
					io.Copy(lateWriter{to, d}, from)
					to.Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return d
}

// TestSlow is degraded for as long as answers take more than 100 ms.
func TestSlow(t *testing.T) {
	s := startServer(t)
	a := startInstance(t, s.url(), "a")
	awake := make(chan struct{})
	go func() {
		defer close(awake)
		s.admin.Do(context.Background(), "DEBUG", "SLEEP", "0.9") // longer than a pulse
	}()
	a.degradedWithin(2*time.Second, "no answer within 100ms")
	<-awake
	a.inOrderWithin(2 * time.Second)

	door := newDoor(t, s.address())
	b := startQuick(t, door.url(), "b")
	door.late.Store(int64(70 * time.Millisecond)) // there and back
	b.degradedWithin(time.Second, "no answer within 100ms")
	beat := func() uint64 {
		v, _ := s.admin.Get(context.Background(), testSpace+"m:b").Bytes()
		r, _ := b.open(testSpace, "m:b", v)
		return r.Rank
	}
	<-b.Put(Records{"k": {1, []byte("v")}})
	a.has(5*time.Second, "k", 1, "v") // slow, but not lost
	before := beat()
	soon(t, patience, isTrue("five looks more", func() bool { return beat() >= before+5 }))
	if n := b.logs.count("degraded"); n != 1 || b.Degraded() == "" {
		t.Errorf("said %d times that it is degraded, now %q", n, b.Degraded())
	}
	door.late.Store(0)
	b.inOrderWithin(2 * time.Second)
}

// gauges returns what the metrics say.
func gauges(t *testing.T, i *instance) (degraded, pending float64) {
	t.Helper()
	return i.metric("degraded"), i.metric("pending")
}
