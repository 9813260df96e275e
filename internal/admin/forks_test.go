package admin

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/auth"
	"executionbackup/internal/config"
	"executionbackup/internal/forks"
	"executionbackup/internal/node"
)

var evening = time.Unix(1796323751, 0) // 2026-12-03 18:49:11 UTC

// forkAt is a fork that begins so long after the evening.
func forkAt(in time.Duration) forks.Entry {
	return forks.Entry{
		State: forks.Known, Activation: uint64(evening.Add(in).Unix()), ChainID: "1", ForkID: "0x0000000a",
		BlobSchedule: "none", Precompiles: "ID 0x04", SystemContracts: "ROOTS 0x02",
	}
}

// reportOf is what nodes of a pool say of the next fork: one for each.
func reportOf(t *testing.T, next forks.Entry, says ...forks.Entry) *node.ForkReport {
	t.Helper()
	secret, err := auth.ParseSecret(strings.Repeat("ab", 32))
	if err != nil {
		t.Fatal(err)
	}
	api, _ := newAPI(t, config.NodeDefaults{Secret: secret, Timeout: time.Second})
	known := api.Fleet.Pool.Nodes()
	r := &node.ForkReport{At: evening, Next: next}
	for i, e := range says {
		r.Nodes = append(r.Nodes, node.NodeForks{
			Node: known[i], Client: "geth/v1.17.10",
			Config: forks.Config{Current: forkAt(-time.Hour), Next: e, Last: forks.Entry{}},
		})
	}
	return r
}

func TestForksOf(t *testing.T) {
	r := reportOf(t, forkAt(5*time.Hour), forkAt(5*time.Hour), forks.Entry{State: forks.None})
	r.Nodes[0].Read, r.Nodes[0].Trouble = evening, "last: no object"
	r.Nodes[1].Differences = []forks.Difference{{Node: "z", Field: "next", Own: "no next fork", Others: "one"}}
	r.Nodes[1].Missed = true
	got, err := json.MarshalIndent(ForksOf(r, evening.Add(time.Hour)), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	const current = `{
    "state": "known",
    "activation_time": 1796320151,
    "chain_id": "1",
    "fork_id": "0x0000000a",
    "blob_schedule": "none",
    "precompiles": "ID 0x04",
    "system_contracts": "ROOTS 0x02"
   }`
	const text = `{
 "next": {
  "activation_time": 1796341751,
  "in": 14400,
  "fork_id": "0x0000000a"
 },
 "nodes": [
  {
   "node": "a:1",
   "url": "http://a:1",
   "client": "geth/v1.17.10",
   "read": "2026-12-03T18:49:11Z",
   "current": ` + current + `,
   "next": {
    "state": "known",
    "activation_time": 1796341751,
    "chain_id": "1",
    "fork_id": "0x0000000a",
    "blob_schedule": "none",
    "precompiles": "ID 0x04",
    "system_contracts": "ROOTS 0x02"
   },
   "last": {
    "state": "unknown"
   },
   "ready": true,
   "trouble": "last: no object",
   "missed": false,
   "differences": []
  },
  {
   "node": "z:1",
   "url": "http://z:1",
   "client": "geth/v1.17.10",
   "current": ` + current + `,
   "next": {
    "state": "none"
   },
   "last": {
    "state": "unknown"
   },
   "ready": false,
   "says": "it knows of no next fork",
   "missed": true,
   "differences": [
    {
     "field": "next",
     "own": "no next fork",
     "others": "one"
    }
   ]
  }
 ]
}`
	if string(got) != text {
		t.Errorf("got %s\nwant %s", got, text)
	}
	var back Forks
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	want := ForksOf(r, evening.Add(time.Hour))
	if !reflect.DeepEqual(back.Nodes[1], want.Nodes[1]) || *back.Next != *want.Next {
		t.Errorf("read again: got %+v, want %+v", back, want)
	}
}

// What a node says of the next fork, and what is said of all.
func TestCountdown(t *testing.T) {
	later, other, never := forkAt(6*time.Hour), forkAt(5*time.Hour), forkAt(0)
	other.SystemContracts = "ROOTS 0x03"
	never.Activation = math.MaxUint64
	const head = "next fork in 5 hours, 2026-12-03 23:49:11 UTC (fork id 0x0000000a), "
	for _, test := range []struct {
		name  string
		next  forks.Entry
		said  []forks.Entry
		line  string
		ready string // of the last node: y, n or -
		says  string
	}{
		{"none", forks.Entry{}, []forks.Entry{{State: forks.None}, {State: forks.None}}, "", "-", ""},
		{"all know it", forkAt(5 * time.Hour), []forks.Entry{forkAt(5 * time.Hour), forkAt(5 * time.Hour)},
			head + "2 of 2 nodes know it", "y", ""},
		{"one alone", forkAt(5 * time.Hour), []forks.Entry{forkAt(5 * time.Hour)},
			head + "1 of 1 node knows it", "y", ""},
		{"one can't say", forkAt(5 * time.Hour), []forks.Entry{forkAt(5 * time.Hour), {}},
			head + "1 of 2 nodes knows it, z:1 can't say", "-", ""},
		{"one knows none", forkAt(5 * time.Hour), []forks.Entry{forkAt(5 * time.Hour), {State: forks.None}},
			head + "1 of 2 nodes knows it", "n", "it knows of no next fork"},
		{"one has a later one", forkAt(5 * time.Hour), []forks.Entry{forkAt(5 * time.Hour), later},
			head + "1 of 2 nodes knows it", "n",
			"its next fork is another, at 2026-12-04 00:49:11 UTC (fork id 0x0000000a)"},
		{"one has it otherwise", forkAt(5 * time.Hour), []forks.Entry{forkAt(5 * time.Hour), other},
			head + "1 of 2 nodes knows it", "n", "it has another configuration for it"},
		{"never", forkAt(5 * time.Hour), []forks.Entry{forkAt(5 * time.Hour), never},
			head + "1 of 2 nodes knows it", "n",
			"its next fork is another, at second 18446744073709551615 since 1970 (fork id 0x0000000a)"},
	} {
		all := ForksOf(reportOf(t, test.next, test.said...), evening)
		if got := all.Countdown(); got != test.line {
			t.Errorf("%s: got %s\nwant %s", test.name, got, test.line)
		}
		last := all.Nodes[len(all.Nodes)-1]
		ready := "-"
		if last.Ready != nil {
			ready = map[bool]string{true: "y", false: "n"}[*last.Ready]
		}
		if ready != test.ready || last.Says != test.says {
			t.Errorf("%s: got %s %q, want %s %q", test.name, ready, last.Says, test.ready, test.says)
		}
	}
}

func TestLeft(t *testing.T) {
	for in, want := range map[time.Duration]string{
		-time.Hour: "less than 2 minutes", 119 * time.Second: "less than 2 minutes", 2 * time.Minute: "2 minutes",
		119 * time.Minute: "119 minutes", 2 * time.Hour: "2 hours", 47 * time.Hour: "47 hours",
		48 * time.Hour: "2 days", 171 * time.Hour: "7 days",
	} {
		if got := ForksOf(reportOf(t, forkAt(in)), evening).Next.Left(); got != want {
			t.Errorf("%v: got %s, want %s", in, got, want)
		}
	}
	far := forkAt(0)
	far.Activation = math.MaxUint64
	if got := ForksOf(reportOf(t, far), evening).Next; got.In != math.MaxUint64-uint64(evening.Unix()) {
		t.Errorf("never: got %+v", got)
	}
}
