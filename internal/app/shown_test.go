package app_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/admin"
	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/history"
)

// GET /disputes has each dispute once, with the call in which it began and how long it went on, in whichever method
// that was; and votes are counted as won and lost.
func TestDisputesShown(t *testing.T) {
	for _, method := range bothMethods {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			m, nodes, chain, undo := dispute(t, method)
			undo()
			nodes[2].Script(enginetest.Rule{Method: "engine_", Status: "SYNCING"})
			for _, p := range chain[2:] {
				m.hears(t, "SYNCING", "engine_newPayload", p)
				m.hears(t, "SYNCING", "engine_forkchoiceUpdated", p)
			}
			var voters []admin.Node
			apptest.Until(t, "the objector has lost each", func() bool {
				m.Get(t, "/nodes", &voters)
				return voters[2].VotesLost == 5
			})
			if n := voters[0]; n.VotesLost != 0 || n.VotesWon != voters[2].VotesWon {
				t.Errorf("n1 has won %d and lost %d, and n3 won %d", n.VotesWon, n.VotesLost, voters[2].VotesWon)
			}
			var disputes []history.Dispute
			m.Get(t, "/disputes", &disputes)
			if len(disputes) != 1 || disputes[0].Block.Hex() != chain[1].Hash() || disputes[0].Calls != 5 ||
				!disputes[0].Last.After(disputes[0].Time) || disputes[0].Number != chain[1].Number ||
				disputes[0].Verdict != "SYNCING" || !strings.HasPrefix(disputes[0].Method, method) {
				t.Fatalf("got %+v", disputes)
			}
			for i, want := range []history.Vote{
				{Node: "n1", Status: "VALID", Vote: "VALID"},
				{Node: "n2", Status: "VALID", Vote: "VALID"},
				{Node: "n3", Status: "INVALID", Vote: "INVALID", Reason: "bad"},
			} {
				got := disputes[0].Votes[i]
				if got.Took = 0; got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
			}
		})
	}
}

// The log line of a dispute says how the objection ends, unless most nodes agree with it.
func TestHowObjectionsEnd(t *testing.T) {
	t.Parallel()
	m, nodes, chain, _ := dispute(t, "engine_newPayload")
	m.Log.Wait(t, "dispute: nodes disagree", `ends="an objection ends when its node says VALID to the block or to `+
		`a new payload on top of it, or by: executionbackup nodes clear-objections n3; where it is wrong`)
	m.must(t, "/clear_objections", "n3")
	for _, n := range nodes[1:] {
		n.Script(enginetest.Rule{
			Method: "engine_newPayload", BlockHash: chain[2].Hash(), Status: "INVALID", Delay: 400 * time.Millisecond,
		}) // after n1 has said VALID: two INVALIDs alone are no dispute
	}
	m.hears(t, "INVALID", "engine_newPayload", chain[2])
	m.Log.Wait(t, "dispute: nodes disagree", chain[2].Hash())
	if lines := m.Log.Lines("dispute: nodes disagree", chain[2].Hash(), "clear-objections"); len(lines) > 0 {
		t.Errorf("two of three object, and the log says %s", lines)
	}
}

// Votes are won where the CL heard them, and lost where it heard the contrary; who says that it is syncing says nothing
// against it.
func TestVotesCounted(t *testing.T) {
	t.Parallel()
	m := start(t, apptest.Fakes(speakers(t, "VALID VALID ACCEPTED", "")...), nil)
	for _, p := range enginetest.Chain(4, 3, nil) {
		m.newPayload(t, p)
	}
	tally := func(name string) (won, lost uint64) {
		var nodes []admin.Node
		m.Get(t, "/nodes", &nodes)
		for _, n := range nodes {
			if n.Name == name {
				won, lost = n.VotesWon, n.VotesLost
			}
		}
		return won, lost
	}
	apptest.Until(t, "all are counted", func() bool {
		won, lost := tally("n1")
		return won == 3 && lost == 0
	})
	if won, lost := tally("n3"); won != 0 || lost != 0 {
		t.Errorf("ACCEPTED has won %d and lost %d", won, lost)
	}
	var nodes []admin.Node
	m.Get(t, "/nodes", &nodes)
	if times := nodes[0].NewPayload; len(times.Recent) != 3 || times.Median <= 0 || times.P99 < times.Median {
		t.Errorf("times of newPayload: got %+v", times)
	}
}

// GET /proposals has what every node offered, and what became of it.
func TestProposalsShown(t *testing.T) {
	t.Parallel()
	nodes := append(builders(t, 3), enginetest.New(t, enginetest.Client{PayloadID: ownID(3)}))
	m := startLed(t, apptest.Fakes(nodes...), untilAll)
	head := enginetest.Chain(4, 1, nil)[0]
	id := m.build(t, head).PayloadID
	offer(nodes[0], head, "0x5", nil)
	offer(nodes[1], head, "0xffff", func(p *enginetest.Payload) { p.Timestamp++ })
	offer(nodes[2], head, "0x8", nil)
	fails(nodes[3], "engine_getPayload", -38001, "Unknown payload")
	m.call(t, "engine_getPayloadV4", id)
	var proposals []history.Proposal
	m.Get(t, "/proposals", &proposals)
	if len(proposals) != 1 || proposals[0].Node != "n3" || proposals[0].Value != "8" || proposals[0].Gain != "3" ||
		proposals[0].Number != 2 {
		t.Fatalf("got %+v", proposals)
	}
	for i, want := range []struct {
		value history.Wei
		taken bool
		fate  string
	}{
		{"5", false, "not the best"}, {"65535", false, "out: its timestamp is"},
		{"8", true, "taken"}, {"", false, "Unknown payload (-38001)"},
	} {
		got := proposals[0].Offers[i]
		if got.Value != want.value || got.Taken != want.taken ||
			!strings.HasPrefix(got.Fate, want.fate) || got.Took <= 0 {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// What a node says of itself is bounded before it is kept.
func TestLongNamesAreCut(t *testing.T) {
	t.Parallel()
	n := enginetest.New(t, enginetest.Client{Name: strings.Repeat("long", 1000)})
	fails(n, "engine_newPayload", -32000, strings.Repeat("ü", 5000))
	m := start(t, apptest.Fakes(n), nil)
	if _, err := m.NewPayload(t.Context(), enginetest.Chain(4, 1, nil)[0]); err == nil {
		t.Fatal("no error")
	}
	for _, path := range []string{"/nodes", "/blocks"} {
		if got := m.REST(t, "GET", path, ""); len(got.Body) > 4000 || !json.Valid([]byte(got.Body)) {
			t.Errorf("%s has %d bytes", path, len(got.Body))
		}
	}
}

// The page is at GET /, the CL's calls stay at POST /, and its headers let it load nothing from elsewhere.
func TestPage(t *testing.T) {
	t.Parallel()
	m := start(t, apptest.Fakes(three(t)...), nil)
	page := m.REST(t, "GET", "/", "")
	if page.Status != http.StatusOK || page.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("got HTTP %d, %s", page.Status, page.Header.Get("Content-Type"))
	}
	for path, kind := range map[string]string{
		"/": "text/html", "/dashboard/style.css": "text/css", "/dashboard/main.js": "text/javascript",
	} {
		got := m.REST(t, "GET", path, "")
		policy := got.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy,
			"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;") ||
			strings.Contains(policy, "unsafe") {
			t.Errorf("%s: got policy %q", path, policy)
		}
		if !strings.HasPrefix(got.Header.Get("Content-Type"), kind) ||
			got.Header.Get("X-Content-Type-Options") != "nosniff" ||
			got.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: got %v", path, got.Header)
		}
		again := m.REST(t, "GET", path, "", "If-None-Match", got.Header.Get("ETag"))
		if again.Status != http.StatusNotModified {
			t.Errorf("%s again: got HTTP %d, want 304", path, again.Status)
		}
		if strings.Contains(got.Body, "https://") || strings.Contains(got.Body, " style=") ||
			strings.Contains(got.Body, "<script>") {
			t.Errorf("%s has something inline or from elsewhere", path)
		}
	}
	m.hears(t, "VALID", "engine_newPayload", enginetest.Chain(4, 1, nil)[0])
	if got := m.REST(t, "GET", "/dashboard/", ""); got.Status != http.StatusNotFound {
		t.Errorf("/dashboard/: got HTTP %d, want 404", got.Status)
	}
}

// An open dashboard doesn't hold up draining.
func TestDrainWithDashboard(t *testing.T) {
	t.Parallel()
	m := start(t, apptest.Fakes(three(t)...), nil)
	response, err := m.HTTP.Get(m.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	begun := time.Now()
	m.Stop()
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("draining took %v", took)
	}
	if lines := m.Log.Lines("cut off"); len(lines) > 0 {
		t.Errorf("logged: %s", lines)
	}
}
