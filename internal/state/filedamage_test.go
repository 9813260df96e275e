package state_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"executionbackup/internal/state"
)

// damage is a log of some pages, and what must be found in parts of it.
type damage struct {
	*fixture
	log   []byte
	ends  []int           // where its lines end, the header's first
	after []state.Records // what stands after each of them
}

// newDamage has a log written, a Put a line, by a File that runs.
func newDamage(t *testing.T) *damage {
	d := &damage{after: []state.Records{nil, {}}} // the first one has found nothing that stands
	var end func()
	d.fixture, end = started(t, in(t))
	<-d.Put(gone("nothing", 0), state.Written)
	stands := state.Records{}
	for n := range 100 {
		changes := one(fmt.Sprint(n%40), uint64(n), fmt.Sprintf(`{"n":%d,"text":%q}`, n, strings.Repeat("x", n*37%350)))
		switch n % 5 {
		case 1: // two at once
			changes["last"] = state.Record{Rank: uint64(n), Value: fmt.Append(nil, n)}
		case 2:
			changes[fmt.Sprint(n%40-2)] = state.Record{}
		}
		<-d.Put(changes, state.Written)
		stands = with(stands, changes)
		d.after = append(d.after, stands)
	}
	var err error
	if d.log, err = os.ReadFile(d.path()); err != nil {
		t.Fatal(err)
	}
	for at, c := range d.log {
		if c == '\n' {
			d.ends = append(d.ends, at+1)
		}
	}
	end()
	d.after = d.after[1:]
	if len(d.ends) != len(d.after) || len(d.log) < 4*4096 {
		t.Fatalf("%d lines, %d states of it, %d bytes", len(d.ends), len(d.after), len(d.log))
	}
	return d
}

// opened is what is made of a log, whatever was there before.
func (d *damage) opened(t *testing.T, log []byte) *fixture {
	t.Helper()
	for _, name := range d.named(t, "state") {
		os.Remove(d.dir + "/" + name)
	}
	if err := os.WriteFile(d.path(), log, 0o600); err != nil {
		t.Fatal(err)
	}
	f := open(t, d.dir)
	f.Crash()
	f.wantDegraded(t)
	return f
}

// A log that was cut off, as by a crash in the middle of a write, has every record that is whole, and what was cut off
// is said. One without its header is set aside.
func TestCutLog(t *testing.T) {
	d := newDamage(t)
	cuts := []int{0, 1, d.ends[0] - 1, d.ends[0], d.ends[0] + 1}
	for at := 512; at < len(d.log); at += 512 {
		cuts = append(cuts, at)
	}
	for at := d.ends[len(d.ends)-2]; at <= len(d.log); at++ {
		cuts = append(cuts, at)
	}
	for _, cut := range cuts {
		f := d.opened(t, d.log[:cut])
		if cut < d.ends[0] {
			same(t, "opened", f.Records(), nil)
			f.wantSetAside(t, "broken", d.log[:cut])
			continue
		}
		whole := 0
		for whole+1 < len(d.ends) && d.ends[whole+1] <= cut {
			whole++
		}
		same(t, fmt.Sprintf("cut at %d", cut), f.Records(), d.after[whole])
		said := 0
		if torn := cut - d.ends[whole]; torn > 0 {
			f.wantLogged(t, 1, "level=WARN", "cut off", f.path(), fmt.Sprintf("bytes=%d\n", torn))
			said = 1
		}
		f.wantLogged(t, said, "")
		if t.Failed() {
			t.Fatalf("cut at %d", cut)
		}
	}
	// What is torn is gone after the next start, and what is put then isn't lost behind it.
	d.opened(t, d.log[:len(d.log)-5])
	_, end := started(t, d.dir)
	end()
	f, end := started(t, d.dir)
	<-f.Put(one("new", 1, "1"), state.Written)
	end()
	f.wantKept(t, with(d.after[len(d.after)-2], one("new", 1, "1")))
	if f.log.String() != "" {
		t.Errorf("it said something: %s", f.log)
	}
}

// A log in which something is zero, or other than it was, is set aside as it is, and we start without. None of it
// counts.
func TestDamagedLog(t *testing.T) {
	d := newDamage(t)
	check := func(what string, log []byte) {
		t.Helper()
		f := d.opened(t, log)
		same(t, what, f.Records(), nil)
		f.wantSetAside(t, "broken", log)
		if t.Failed() {
			t.Fatal(what)
		}
	}
	zero := func(from, to int) {
		log := bytes.Clone(d.log)
		clear(log[from:min(to, len(log))])
		check(fmt.Sprintf("zeroed from %d to %d", from, to), log)
	}
	for at := 0; at < len(d.log); at += 512 {
		zero(at, at+512)
	}
	for at := 0; at < len(d.log); at += 2048 {
		zero(at, at+2048)
	}
	for at := d.ends[len(d.ends)-2] - 1; at < len(d.log); at++ {
		zero(at, len(d.log)) // it has its size, but not its data: so some file systems leave it after a power cut
	}
	for n := 1; n < 30; n += 7 {
		check("zeros behind it", append(bytes.Clone(d.log), make([]byte, n)...))
	}
	check("a sector is missing", append(bytes.Clone(d.log[:1024]), d.log[1536:]...))
	check("a sector is there twice", append(bytes.Clone(d.log[:1024]), d.log[512:]...))
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		log := bytes.Clone(d.log)
		at := random.IntN(len(log))
		if random.IntN(2) == 0 {
			at = d.ends[random.IntN(len(d.ends))] - random.IntN(2) // a newline, or the length behind it
		}
		bit := byte(1) << random.IntN(8)
		log[at%len(log)] ^= bit
		check(fmt.Sprintf("bit %d at %d", bit, at%len(log)), log)
	}
}

// Each bit of a log counts.
func TestEachBit(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile("testdata/state-1")
	if err != nil {
		t.Fatal(err)
	}
	for at := range whole {
		for bit := range 8 {
			log := bytes.Clone(whole)
			log[at] ^= 1 << bit
			if all, torn, err := state.ReadLog(log); err == nil {
				t.Errorf("bit %d at %d: %d records, %d bytes torn", bit, at, len(all), torn)
			}
		}
	}
}

// Of each kind that was set aside the newest three are kept.
func TestKeptAside(t *testing.T) {
	f := open(t, in(t))
	f.Crash()
	for n := range 5 {
		for _, log := range [][]byte{fmt.Appendf(nil, "broken %d", n), append(state.Header(2), fmt.Append(nil, n)...)} {
			if err := os.WriteFile(f.path(), log, 0o600); err != nil {
				t.Fatal(err)
			}
			open(t, f.dir).Crash()
		}
	}
	for kind, want := range map[string]string{"broken": "broken ", "newer": string(state.Header(2))} {
		names := f.named(t, "state."+kind+"-")
		if len(names) != 3 {
			t.Errorf("kept: %q", names)
		}
		for n, name := range names {
			if got, _ := os.ReadFile(f.dir + "/" + name); string(got) != fmt.Sprint(want, n+2) {
				t.Errorf("%s has %q, want %q", name, got, fmt.Sprint(want, n+2))
			}
		}
	}
}
