//go:build e2e

package live

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The instruments themselves: what they read, and what they make of it.

func TestBitlist(t *testing.T) {
	for text, want := range map[string]uint64{"0x04": 0, "0x05": 1, "0x07": 3, "0x0101": 1, "0x8001": 0x80} {
		if got, err := bitlist(text); err != nil || got != want {
			t.Errorf("%s: got %b, %v, want %b", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0x", "0xzz", "0x00", "0x0102030405060708090a"} {
		if got, err := bitlist(text); err == nil {
			t.Errorf("%q: got %b, want an error", text, got)
		}
	}
}

func TestComplaints(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	from := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	prysms := from.Add(time.Second).Local().Format("2006-01-02 15:04:05.00")
	text := `{"time":"2026-01-02T03:04:05Z","level":"info","msg":"all is well"}
panic: no JSON
{"time":"2026-01-02T03:04:06Z","level":"WARN","msg":"node is dead","node":"g1","reason":"refused"}
{"time":"2026-01-02T03:04:07Z","level":"error","msg":"no payload","error":"EOF"}
{"time":"2026-01-02T03:04:08Z","level":"error","msg":"too late"}
{"time":"` + prysms + `","level":"info","msg":"Chain reorg occurred"}
`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	lines, err := complaints("eb", file, from, from.Add(3*time.Second))
	if err != nil || len(lines) != 3 {
		t.Fatalf("got %v, %v, want three lines", lines, err)
	}
	for i, want := range []string{
		"eb warn: node is dead: g1: refused", "eb error: no payload: EOF", "eb info: Chain reorg occurred",
	} {
		if got := lines[i].String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestFirstValid(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	said := func(after time.Duration, status string) record {
		r := record{Time: at.Add(after)}
		r.Votes = append(r.Votes, ballot{Node: "g1", Status: status, Took: 500_000})
		return r
	}
	records := []record{
		said(-time.Second, "VALID"), said(time.Second, "SYNCING"),
		said(3*time.Second, "VALID"), said(4*time.Second, "VALID"),
	}
	if got, want := firstValid(comeback{"g1", at}, records), (returned{"g1", 3.5, false}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	records = []record{said(3*time.Second, "VALID"), said(7*time.Second, "SYNCING"), said(11*time.Second, "VALID")}
	got, want := firstValid(comeback{"g1", at.Add(4 * time.Second)}, records), (returned{"g1", 7.5, false})
	if got != want {
		t.Errorf("got %v, want %v: in time enough", got, want)
	}
	missed := append(records[:1:1], said(9*time.Second, ""), records[2])
	got, want = firstValid(comeback{"g1", at.Add(3600 * time.Millisecond)}, missed), (returned{"g1", 7.9, true})
	if got != want {
		t.Errorf("got %v, want %v: late", got, want)
	}
	if got, want := firstValid(comeback{"g2", at}, records), (returned{"g2", never, true}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestReport(t *testing.T) {
	b := newReport()
	with := &result{
		Name:   "kill -9",
		Phases: []phase{{Name: "before", From: 1, To: 3}, {Name: "during", From: 3, To: 5}},
		P50:    5, P99: 80, Back: []returned{{Node: "g1", Seconds: 2.5}},
		AnsweredP50: 0.4321, AnsweredP99: 1.2, Overdue: 3, Beyond: 6.7,
	}
	direct := &result{
		Name: "kill -9", Direct: true,
		Phases:   []phase{{Name: "before", From: 1, To: 3}, {Name: "during", From: 3, To: 5}},
		Failures: []string{"it stands still"},
	}
	for slot := 1; slot < 5; slot++ {
		with.add(slot, &beaconBlock{Transactions: 4, Blobs: 1})
		if slot < 3 {
			direct.add(slot, &beaconBlock{})
		} else {
			direct.add(slot, nil)
		}
	}
	refused := &result{Name: "network cut", NotTested: true}
	b.Results = append(b.Results, with, direct, refused)
	got := b.markdown()
	for _, want := range []string{
		"## Claims that did not hold\n\nNone.",
		"NOT TESTED, because this machine refuses what they need: network cut.",
		"| verdict p50 / p99, ms | answered in the slot p50 / p99, s | overdue | back, s |",
		"| kill -9 | 4 | 0 / 0 / 0 | 0 of 0 | 4 | 4 | 0 | 0 | 5 / 80 | 0.43 / 1.20 | 3 | g1 2.5 |",
		"- at most 7 ms from when all other voters had said something to the verdict",
		"| kill -9 | 0 of 4 | goes on | 2 of 4 | stands still |",
		"| network cut | **NOT TESTED** |",
		"- **it stands still**",
		"- during: slots 3 to 4, 2 missed",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the report lacks %q:\n%s", want, got)
		}
	}
}
