package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// decided runs decide with --json and returns what it says.
func decided(t *testing.T, environ []string, line string) (d decision) {
	t.Helper()
	status, stdout, stderr := execute(t, environ, append([]string{"decide", "--json"}, strings.Fields(line)...)...)
	if status != 0 || stderr != "" {
		t.Fatalf("%s: status %d, %s", line, status, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// Each row of the documented truth table is what decide says.
func TestDecideDocumentedTable(t *testing.T) {
	text, err := os.ReadFile("../../docs/how-it-decides.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (VALID|INVALID) \| (\w+) \| (\w+|–) \| (\**)([A-Z]+)\** \|$`).
		FindAllStringSubmatch(string(text), -1)
	if len(rows) < 13 {
		t.Fatalf("got %d rows", len(rows))
	}
	for _, row := range rows {
		line := strings.ReplaceAll(strings.Join(row[1:4], " "), "–", "")
		if d := decided(t, nil, line); d.Verdict != row[5] || row[4] != "" && !d.Dispute {
			t.Errorf("%s: got %+v", line, d)
		}
	}
}

func TestDecide(t *testing.T) {
	config := file(t, "on_dispute: majority\nnodes: http://a:1\n") // of whose secret nothing is asked
	for _, test := range []struct {
		line          string
		environ       string
		verdict, rule string
		why           string // begins it
	}{
		{"VALID VALID INVALID", "", "SYNCING", "halt", "any objection halts"},
		{"valid Valid invalid", "", "SYNCING", "halt", "any objection halts"},
		{"VALID VALID INVALID --on-dispute majority", "", "VALID", "majority", "VALID has reached"},
		{"--on-dispute=majority VALID INVALID", "", "SYNCING", "majority_missed", "VALID hasn't"},
		{"VALID VALID INVALID", "EXECUTIONBACKUP_ON_DISPUTE=majority", "VALID", "majority", "VALID has"},
		{"VALID VALID INVALID --config " + config, "", "VALID", "majority", "VALID has"},
		{"VALID VALID INVALID --on-dispute halt --config " + config, "", "SYNCING", "halt", "any objection"},
		{"INVALID INVALID VALID", "", "INVALID", "invalid", "enough nodes call the block INVALID"},
		{"INVALID INVALID VALID --fcu-majority 0.7", "", "SYNCING", "halt", "any objection halts"},
		{"INVALID INVALID VALID -f0.7", "", "SYNCING", "halt", "any objection halts"},
		{"INVALID_BLOCK_HASH INVALID", "", "INVALID", "", "enough nodes"},
		{"VALID SYNCING --min-valid 2", "", "SYNCING", "", "fewer nodes than --min-valid"},
		{"ACCEPTED ACCEPTED", "", "ACCEPTED", "", "all say ACCEPTED"},
		{"SYNCING", "", "SYNCING", "", "a single node's answer"},
		{"INVALID", "", "INVALID", "", "a single node's answer"},
		{"none dead", "", "SYNCING", "", "no node gives a status"},
		{"dead", "", "SYNCING", "", "no node gives a status"},
		{"INVALID dead", "", "SYNCING", "halt", "any objection halts"},
		{"INVALID INVALID late late", "", "SYNCING", "halt", "any objection halts"},
		{"INVALID INVALID dead dead", "", "INVALID", "", "enough nodes"},
		{"a:geth=INVALID b:geth=INVALID c:besu=VALID", "", "INVALID", "invalid", "enough nodes"},
		{"a:geth=INVALID b:Geth=INVALID c:besu=VALID --vote-by client", "", "SYNCING", "halt", "any objection"},
		{"a:geth=VALID b:besu=VALID c:reth=INVALID --on-dispute live", "", "VALID", "live", "several implementations"},
		{"a:geth=VALID b:geth=VALID c:reth=INVALID --on-dispute live", "", "SYNCING", "live_no_quorum", "VALID hasn't"},
	} {
		d := decided(t, []string{test.environ}, test.line)
		if d.Verdict != test.verdict || d.Rule != test.rule || !strings.HasPrefix(d.Why, test.why) {
			t.Errorf("%s %s: got %+v", test.environ, test.line, d)
		}
	}
}

func TestDecideForPeople(t *testing.T) {
	status, stdout, stderr := execute(t, nil, strings.Fields("decide besu=VALID VALID geth=INVALID late")...)
	const want = "NODE  SAYS     VOTE\nbesu  VALID    VALID\nn2    VALID    VALID\ngeth  INVALID  INVALID\n" +
		"n4    LATE     -\n\nSYNCING, a dispute: any objection halts\n" +
		"votes: 3 (2 VALID, 1 INVALID, 0 SYNCING), one for each node; asked: 3; heard: 4\n" +
		"settings: fcu-invalid-threshold 0.6, min-valid 1, on-dispute halt\n"
	if status != 0 || stdout != want || stderr != "" {
		t.Errorf("status %d\n got %s\nwant %s%s", status, stdout, want, stderr)
	}
	_, stdout, _ = execute(t, nil, strings.Fields("decide a:geth=VALID --vote-by=client")...)
	if !strings.Contains(stdout, "NODE  CLIENT  SAYS") || !strings.Contains(stdout, "one for each client") {
		t.Errorf("got %s", stdout)
	}
}

func TestDecideErrors(t *testing.T) {
	for line, want := range map[string]struct {
		status int
		text   string
	}{
		"decide": {2, "decide: write at least one WORD"},
		"decide VALD": {2, `decide: "VALD" is none of VALID, INVALID, SYNCING, ACCEPTED, none, late and dead: ` +
			`did you mean VALID?`},
		"decide a=b=VALID":               {2, `decide: "B=VALID" is none of`},
		"decide VALID --on-dispute stop": {78, `--on-dispute: "stop" is none of`},
	} {
		status, stdout, stderr := execute(t, nil, strings.Fields(line)...)
		if status != want.status || !strings.HasPrefix(stderr, "executionbackup: "+want.text) || stdout != "" {
			t.Errorf("%s: status %d, %s%s", line, status, stderr, stdout)
		}
	}
}
