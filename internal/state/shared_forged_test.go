package state

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestForged has a stranger write what isn't ours over what is: nobody reads it, it is counted and said once, and who
// holds the true record puts it back.
func TestForged(t *testing.T) {
	s := startServer(t)
	a, b := pair(t, s.url(), startQuick)
	key, name := testSpace+"r:k3", "r:k3"
	for n := range 1000 { // so that it isn't k3's turn to be renewed by chance
		a.Put(Records{fmt.Sprint("more", n): {1, []byte("v")}})
	}
	soon(t, patience, isTrue("b has all", func() bool { return b.metric("records") == 1005 }))
	other := newInstance(t, s.url(), "o", func(o *SharedOptions) { o.Key = []byte("another") })
	sealed := func(r Record) string { return string(a.seal(testSpace, name, r)) }
	raised := sealed(Record{3, []byte("v")})
	raised = "99999999999999999999"[:rankLength] + raised[rankLength:]
	changed := sealed(Record{3, []byte("v")})
	changed = changed[:len(changed)-1] + "w"
	stranger := func(name string, command ...any) { // does something, and says that it changed
		t.Helper()
		_, err := s.admin.TxPipelined(context.Background(), func(p redis.Pipeliner) error {
			p.Do(context.Background(), command...)
			p.Do(context.Background(), "ZADD", testSpace+indexName, time.Now().UnixMicro(), name)
			p.Do(context.Background(), "PUBLISH", testSpace+channelName, "stranger")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	refused := func() float64 { return a.metric("refused_total") + b.metric("refused_total") }
	for _, c := range []struct{ what, value string }{
		{"another secret", string(other.seal(testSpace, name, Record{9, []byte("forged")}))},
		{"a raised rank", raised},
		{"a changed value", changed},
		{"another key's value", string(a.seal(testSpace, "r:k4", Record{9, []byte("forged")}))},
		{"a value of another chain", string(a.seal("{test:2:0xgenesis}:", name, Record{9, []byte("forged")}))},
		{"a marker", string(a.seal(testSpace, "m:k3", Record{9, []byte("forged")}))},
		{"garbage", "\xff\xfe rubbish"},
		{"nothing", ""},
		{"something too large", strings.Repeat("9", maxSealed+1)},
		{"digits", strings.Repeat("9", 1000)},
	} {
		before := refused()
		stranger(name, "SET", key, c.value)
		soon(t, time.Second, isTrue("counted: "+c.what, func() bool { return refused() > before }))
		a.stands(5*time.Second, "k3", 3, "v")
		for range 2 { // a look that has begun, and one that sees the true record again
			a.looked(patience)
			b.looked(patience)
		}
	}
	s.do("DEL", key)
	stranger(name, "RPUSH", key, "a list")
	a.stands(5*time.Second, "k3", 3, "v")
	sent := s.stat("total_net_output_bytes")
	stranger(name, "SETRANGE", key, 64<<20, "huge")
	a.stands(5*time.Second, "k3", 3, "v")
	if sent = s.stat("total_net_output_bytes") - sent; sent > 32<<20 {
		t.Errorf("a huge value was read: %d bytes", sent)
	}

	stranger(name, "SET", key, sealed(Record{2, []byte("an old one of ours")}))
	a.stands(time.Second, "k3", 3, "v")
	if b.Degraded() != "" {
		t.Errorf("degraded by forged values: %s", b.Degraded())
	}

	a.put("k3", 4, "true") // a forged one is no obstacle to a new one
	s.do("SET", key, raised)
	<-a.Put(Records{"k3": {5, []byte("truer")}})
	a.stands(time.Second, "k3", 5, "truer")
	b.has(time.Second, "k3", 5, "truer")

	for _, name := range []string{"r:new", "m:x"} { // nobody holds these
		before := b.metric("refused_total")
		stranger(name, "SET", testSpace+name, raised)
		soon(t, patience, isTrue("counted: "+name, func() bool { return b.metric("refused_total") > before }))
	}
	b.looked(patience)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.notes) != 1 {
		t.Errorf("a forged marker is alive: %q", b.notes)
	}
	for key, r := range b.reads {
		if strings.Contains(string(r.Value), "forged") || key == "new" {
			t.Errorf("read %s: %d %q", key, r.Rank, r.Value)
		}
	}
	if n := b.logs.count("somebody else writes there"); n != 1 {
		t.Errorf("said %d times, want once:\n%s", n, b.logs)
	}
	if b.Degraded() != "" {
		t.Errorf("degraded by forged values: %s", b.Degraded())
	}
}

// TestStrangers share a server and don't see each other; only those with another secret in the same place alarm.
func TestStrangers(t *testing.T) {
	s := startServer(t)
	a := startQuick(t, s.url(), "a")
	prefix := newInstance(t, s.url(), "p", func(o *SharedOptions) { o.Prefix = "test2" }).quick().run()
	chain := newInstance(t, s.url(), "c", nil).quick().run()
	secret := newInstance(t, s.url(), "s", func(o *SharedOptions) { o.Key = []byte("another") }).quick().run()
	prefix.Enter("1", "0xgenesis")
	chain.Enter("2", "0xgenesis")
	secret.Enter("1", "0xgenesis")
	all := []*instance{a, prefix, chain, secret}
	for _, i := range all {
		i.looked(patience)
		i.put("of "+i.o.Run, 1, "v")
		i.put("k", uint64(i.o.Run[0]), i.o.Run) // under the same key
	}
	// They write over each other's records, but no more often than it is their turn to look: five times a second.
	begin, writes := time.Now(), s.writes()
	for time.Since(begin) < time.Second {
		a.looked(3 * time.Second)
	}
	if n := s.writes() - writes; n > 20 {
		t.Errorf("%v writes while nothing happened", n)
	}
	for _, i := range all {
		i.looked(3 * time.Second)
		i.mu.Lock()
		if len(i.reads) != 0 || len(i.notes) != 0 {
			t.Errorf("%s reads %v, hears %v", i.o.Run, i.reads, i.notes)
		}
		i.mu.Unlock()
		alarmed := i.logs.count("somebody else writes there") == 1
		if want := i == a || i == secret; alarmed != want {
			t.Errorf("%s alarmed: %v, want %v", i.o.Run, alarmed, want)
		}
	}
}

// writes returns how many notices of changes there were.
func (s *server) writes() int { return s.stat("cmdstat_publish:calls") }

// TestTheGreatestStands puts random ranks at two instances in random order: both end with the greatest, whatever
// happens to the server in between.
func TestTheGreatestStands(t *testing.T) {
	s := startServer(t)
	a, b := startInstance(t, s.url(), "a"), startInstance(t, s.url(), "b")
	random := rand.New(rand.NewPCG(1, 2))
	greatest := make(Records)
	for range 2000 {
		key := fmt.Sprint(random.IntN(40))
		rank := random.Uint64() >> (random.IntN(2) * random.IntN(64)) // some beyond what a float can tell apart
		if g := greatest[key].Rank; g > 0 && random.IntN(2) == 0 {
			rank = g - 1 + uint64(random.IntN(3))
		}
		i := []*instance{a, b}[random.IntN(2)]
		r := Record{rank, fmt.Appendf(nil, "%d", rank)}
		done := i.Put(Records{key: r})
		if random.IntN(50) == 0 {
			<-done
		}
		if random.IntN(500) == 0 {
			s.do("FLUSHALL")
		}
		if g, is := greatest[key]; !is || rank > g.Rank {
			greatest[key] = r
		}
	}
	for _, i := range []*instance{a, b} {
		soon(t, patience, func() error {
			i.Shared.mu.Lock()
			defer i.Shared.mu.Unlock()
			if got, want := fmt.Sprint(i.held), fmt.Sprint(greatest); got != want {
				return fmt.Errorf("%s holds\n%s, want\n%s", i.o.Run, got, want)
			}
			return nil
		})
	}
	for key, r := range greatest {
		a.stands(patience, key, r.Rank, string(r.Value))
	}
}

// TestTie lets what came first stand at both.
func TestTie(t *testing.T) {
	s := startServer(t)
	a := startInstance(t, s.url(), "a")
	b := newInstance(t, s.url(), "b", nil).run()
	a.put("k", 1, "first")
	<-b.Put(Records{"k": {1, []byte("second")}})
	b.enter()
	b.has(time.Second, "k", 1, "first")
	a.stands(0, "k", 1, "first")
	a.put("k", 1, "third")
	a.looked(3 * time.Second)
	a.stands(0, "k", 1, "first")
}

// TestTTL renews what is held, and forgets the rest.
func TestTTL(t *testing.T) {
	s := startServer(t)
	short := func(run string) *instance {
		i := newInstance(t, s.url(), run, nil)
		i.times.ttl, i.times.pulse = 1600*time.Millisecond, 50*time.Millisecond
		i.run().enter()
		return i
	}
	a, b := short("a"), short("b")
	for n := range 200 {
		a.Put(Records{fmt.Sprint("k", n): {1, []byte("v")}})
	}
	b.has(patience, "k199", 1, "v")
	soon(t, patience, isTrue("all read", func() bool { return b.metric("records") == 200 }))
	a.stop()
	gone := make(Records)
	for n := range 100 {
		gone[fmt.Sprint("k", n)] = Record{}
	}
	b.Put(maps.Clone(gone))
	soon(t, patience, isTrue("half are gone, in the index as well", func() bool {
		keys := s.do("KEYS", testSpace+"r:*").([]any)
		return len(keys) == 100 && s.do("ZCARD", testSpace+indexName).(int64) == 101
	}))
	for _, key := range s.do("KEYS", "*").([]any) {
		if ttl := s.admin.PTTL(context.Background(), key.(string)).Val(); ttl <= 0 && s.do("EXISTS", key).(int64) == 1 {
			t.Errorf("%v lives for ever", key)
		}
	}
	for begin, writes := time.Now(), s.writes(); time.Since(begin) < 2*b.times.ttl; {
		b.looked(patience)
		if n := s.writes() - writes; n != 0 {
			t.Fatalf("%d writes where records should only have been renewed", n)
		}
	}
	if n := b.metric("losses_total"); n != 0 {
		t.Errorf("%v losses", n)
	}
}

func TestOrdinaryTTL(t *testing.T) {
	s := startServer(t)
	a := startInstance(t, s.url(), "a")
	a.put("k", 1, "v")
	for name, most := range map[string]time.Duration{
		"r:k": 28 * time.Hour, indexName: 28 * time.Hour, "m:a": 7 * time.Second,
	} {
		if ttl := s.admin.PTTL(context.Background(), testSpace+name).Val(); ttl > most || ttl < most/2 {
			t.Errorf("TTL of %s: %v, want %v", name, ttl, most)
		}
	}
}

// TestTooLarge refuses a value that nobody would read.
func TestTooLarge(t *testing.T) {
	s := startServer(t)
	a, b := startInstance(t, s.url(), "a"), startInstance(t, s.url(), "b")
	most := strings.Repeat("x", maxValue)
	a.put("most", 1, most)
	b.has(5*time.Second, "most", 1, most)
	<-a.Put(Records{"more": {1, []byte(most + "x")}})
	if n := a.logs.count("too large"); n != 1 || len(a.held) != 1 {
		t.Errorf("said %d times, %d held", n, len(a.held))
	}
}
