package quorum

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"executionbackup/internal/engine"
)

// documented is a row of a truth table: what up to three nodes say, and what the consensus client hears.
var documented = regexp.MustCompile(
	`(?m)^\| (VALID|INVALID) \| (\w+) \| (\w+|–) \| \**([A-Z]+)\**(?:: a dispute)? \|$`)

// Every row of the documented truth tables is what Decide decides.
func TestDocumentedTruthTables(t *testing.T) {
	statuses := map[string]engine.Status{"VALID": valid, "INVALID": invalid, "SYNCING": syncing}
	for path, rows := range map[string]int{"../../docs/how-it-decides.md": 13, "../../README.md": 9} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := documented.FindAllStringSubmatch(string(text), -1)
		if len(found) != rows {
			t.Errorf("%s: got %d rows, want %d", path, len(found), rows)
		}
		for _, row := range found {
			var votes []Ballot
			for _, said := range row[1:4] {
				switch status, known := statuses[said]; {
				case known:
					votes = append(votes, ballots(status)...)
				case said == "dead":
					votes = append(votes, Ballot{Configured: true})
				case said != "–":
					t.Errorf("%s: %s in %s", path, said, row[0])
				}
			}
			got := rules(t, "0.6").Decide(votes)
			if got.Status.String() != row[4] {
				t.Errorf("%s: %s: got %s", path, row[0], got.Status)
			}
			if halted := strings.Contains(row[0], "**"); halted != (got.Status == syncing && got.Dispute &&
				votes[0].Vote == valid) {
				t.Errorf("%s: %s: dispute is %t", path, row[0], got.Dispute)
			}
		}
	}
}

// documentedRule is a row of the table of rules: its name, and what the consensus client hears.
var documentedRule = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (VALID|INVALID|SYNCING) \\|")

// Every rule is documented, with what the consensus client hears by it.
func TestDocumentedRules(t *testing.T) {
	text, err := os.ReadFile("../../docs/how-it-decides.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := documentedRule.FindAllStringSubmatch(string(text), -1)
	if len(rows) != len(RuleNames()) {
		t.Fatalf("got %d rows, want %d", len(rows), len(RuleNames()))
	}
	for i, row := range rows {
		r, want := Condemned+Rule(i), "SYNCING"
		switch {
		case r == Condemned:
			want = "INVALID"
		case r.goesOn():
			want = "VALID"
		}
		if row[1] != r.String() || row[2] != want {
			t.Errorf("row %d: got %s, %s; want %s, %s", i+1, row[1], row[2], r, want)
		}
	}
}
