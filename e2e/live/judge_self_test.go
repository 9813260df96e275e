//go:build e2e

package live

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"executionbackup/internal/apptest"
)

// at is a record as GET /blocks has it.
func at(t *testing.T, text string) (r record) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSumUp(t *testing.T) {
	records := []record{
		at(t, `{"verdict": "VALID", "asked": 400000, "took": 8000, "votes": [
			{"node": "g1", "status": "VALID", "vote": "VALID", "took": 8000},
			{"node": "g2", "status": "VALID", "vote": "VALID", "took": 5000},
			{"node": "r1", "status": "VALID", "vote": "VALID", "took": 4000},
			{"node": "e1", "status": "VALID", "vote": "", "took": 7999}]}`),
		at(t, `{"verdict": "SYNCING", "dispute": true, "asked": -100000, "took": 20000, "votes": [
			{"node": "g2", "status": "VALID", "vote": "VALID", "took": 19000}]}`),
		at(t, `{"verdict": "VALID", "took": 9000, "votes": [
			{"node": "g2", "status": "VALID", "vote": "VALID", "took": 40000}]}`),
		at(t, `{"verdict": "", "asked": 99000000, "took": 99000000, "votes": []}`),
		at(t, `{"verdict": "VALID", "asked": 0, "took": 1000, "votes": [
			{"node": "g2", "status": "VALID", "vote": "VALID", "took": 1000}]}`),
	}
	r := &result{Back: []returned{{Node: "g1"}}}
	r.sumUp(records)
	if r.Verdicts["VALID"] != 3 || r.Verdicts["SYNCING"] != 1 || len(r.Verdicts) != 2 || r.Disputes != 1 {
		t.Errorf("got %v and %d disputes, want 3 VALID, 1 SYNCING, 1 dispute", r.Verdicts, r.Disputes)
	}
	if r.P50 != 9 || r.P99 != 20 {
		t.Errorf("took %v and %v ms, want 9 and 20", r.P50, r.P99)
	}
	if r.AnsweredP50 != 0.001 || r.AnsweredP99 != 0.408 || r.Unclocked != 1 {
		t.Errorf("answered at %v and %v s, %d without a time; want 0.001 and 0.408, and 1",
			r.AnsweredP50, r.AnsweredP99, r.Unclocked)
	}
	if r.Beyond != 3 {
		t.Errorf("%v ms after the others, want 3: g2 had said something at 5, the verdict came at 8", r.Beyond)
	}
}

// TestTally has a counter that begins anew with each process, and an answer that comes after a later one.
func TestTally(t *testing.T) {
	var c tally
	if c.total() != 0 {
		t.Errorf("got %v of nothing", c.total())
	}
	for _, read := range []struct {
		life        int
		value, want float64
	}{{1, 0, 0}, {1, 2, 2}, {1, 2, 2}, {2, 0, 2}, {2, 2, 4}, {3, 1, 5}, {2, 1, 5}} {
		if c.note(read.life, read.value); c.total() != read.want {
			t.Errorf("%v of process %d: %v in all, want %v", read.value, read.life, c.total(), read.want)
		}
	}
}

// TestReadOverdue has a process that ends, and another in its place, while its counter is read.
func TestReadOverdue(t *testing.T) {
	m := &multiplexer{starts: 1}
	var value, ended int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.starts += ended
		fmt.Fprintf(w, "%s %d\n", overdueMetric, value)
	}))
	t.Cleanup(server.Close)
	m.Client = apptest.NewClient(t, server.URL, nil)
	for _, read := range []struct{ value, ended int }{{3, 0}, {9, 1}, {1, 0}} {
		value, ended = read.value, read.ended
		if err := m.readOverdue(); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.overdue.lives; !maps.Equal(got, map[int]float64{1: 3, 2: 1}) {
		t.Errorf("got %v, want 3 of process 1, and 1 of process 2", got)
	}
}

// TestJudge breaks each claim by a little, and then not.
func TestJudge(t *testing.T) {
	whole, quick := scenario{}, scenario{quick: true}
	missed := []miss{{Slot: 7, Why: []string{"a log line"}}}
	for _, test := range []struct {
		name string
		scenario
		base, got result
		want      string // the claim; "" is none
	}{
		{name: "all is well", scenario: quick, got: result{P99: 60, Beyond: 50}},
		{name: "a miss", scenario: whole, got: result{Missed: missed}, want: "1 slots were missed, and 0 may be"},
		{name: "as many as the baseline", scenario: whole, base: result{Missed: missed}, got: result{Missed: missed}},
		{
			name: "spotless", scenario: scenario{spotless: true}, base: result{Missed: missed},
			got: result{Missed: missed}, want: "1 slots were missed, and 0 may be",
		},
		{name: "rightly", scenario: scenario{halts: true}, got: result{Missed: missed}},
		{name: "the baseline itself", scenario: baseline, got: result{Missed: missed}},
		{
			name: "nobody knows why", scenario: scenario{halts: true}, got: result{Missed: []miss{{Slot: 7}}},
			want: "slot 7 was missed, and no log says why",
		},
		{
			name: "never back", scenario: whole, got: result{Back: []returned{{Node: "g1", Seconds: never}}},
			want: "g1 didn't vote VALID after it came back",
		},
		{
			name: "late", scenario: whole, got: result{Back: []returned{{Node: "g1", Seconds: 6, Late: true}}},
			want: "g1 voted VALID only 6.0 s after it came back, and was asked between",
		},
		{
			name: "overdue", scenario: whole, got: result{Overdue: 1},
			want: "1 verdicts came after --attest-by, though their quorum was there before",
		},
		{
			name: "no clock", scenario: whole, got: result{Unclocked: 2},
			want: "of 2 verdicts nobody knows when in the slot they came",
		},
		{
			name: "slow beside a quick baseline", scenario: quick, base: result{P99: 8}, got: result{P99: 61},
			want: "p99 of newPayload is 61 ms, and 60 may be: three times the baseline's",
		},
		{
			name: "slow beside a slow baseline", scenario: quick, base: result{P99: 30}, got: result{P99: 91},
			want: "p99 of newPayload is 91 ms, and 90 may be: three times the baseline's",
		},
		{name: "three times", scenario: quick, base: result{P99: 30}, got: result{P99: 90}},
		{
			name: "a grace", scenario: quick, base: result{P99: 127}, got: result{P99: 177, Beyond: 167},
			want: "a verdict came 167 ms after all nodes that weren't killed had answered, and 50 may be",
		},
		{name: "hangs", scenario: whole, got: result{P99: 500, Beyond: 490}},
	} {
		var want []string
		if test.want != "" {
			want = []string{test.want}
		}
		if got := test.got.judge(test.scenario, &test.base); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", test.name, got, want)
		}
	}
}

// TestQuick holds the claim to the scenarios that it is made for.
func TestQuick(t *testing.T) {
	var got []string
	for _, s := range scenarios() {
		if s.quick {
			got = append(got, s.name)
		}
		if s.spotless != (s.name == "SIGTERM in mid-call" || s.name == "rolling upgrade") {
			t.Errorf("%s: spotless is %v", s.name, s.spotless)
		}
	}
	want := []string{"kill -9", "kill -9 in mid-proposal", "kill -9 of another", "kill -9 of both geths"}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
