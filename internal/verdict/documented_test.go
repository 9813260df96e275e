package verdict_test

import (
	"flag"
	"os"
	"strings"
	"testing"
)

// update has the tables written anew that tests compute.
var update = flag.Bool("update", false, "write the tables of docs/how-it-decides.md that tests compute")

const howItDecides = "../../docs/how-it-decides.md"

// documented compares a table with what docs/how-it-decides.md has between the comments that name it, or writes it
// there.
func documented(t *testing.T, name, table string) {
	t.Helper()
	text, err := os.ReadFile(howItDecides)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+": computed by a test -->\n", "<!-- end of "+name+" -->"
	before, rest, found := strings.Cut(string(text), begin)
	is, after, ended := strings.Cut(rest, end)
	switch {
	case !found || !ended:
		t.Fatalf("%s has no table %q", howItDecides, name)
	case is == table:
	case *update:
		if err := os.WriteFile(howItDecides, []byte(before+begin+table+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s has another table %q than this (go test ./internal/verdict -update writes it):\n%s", howItDecides,
			name, table)
	}
}

// row writes a row of a table.
func row(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

// head writes the first two rows of a table.
func head(cells ...string) string { return row(cells...) + strings.Repeat("|---", len(cells)) + "|\n" }
