package internal_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// forTests are the packages that only tests and the demonstration use.
var forTests = []string{"apptest", "bubble", "crashtest", "enginetest", "geth"}

// knowJSON are the packages that know JSON-RPC and the Engine API's JSON: they write and read them, speak to nodes, or
// are doors.
var knowJSON = []string{"enginejson", "jsonrpc", "node", "proxy", "wire"}

// levels reads the levels of packages from docs/architecture.md, the highest first.
func levels(t *testing.T) (levels [][]string) {
	t.Helper()
	doc, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(doc), "```\napp\n")
	block, _, found := strings.Cut("app\n"+block, "```")
	if !found {
		t.Fatal("docs/architecture.md has no block of levels that begins with app")
	}
	for line := range strings.Lines(block) {
		levels = append(levels, strings.Fields(strings.TrimPrefix(line, "→")))
	}
	return levels
}

// imports returns which packages of ours each package of ours in a directory imports, without its tests.
func imports(t *testing.T, directory string) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	err := filepath.WalkDir(directory, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		importer := filepath.ToSlash(filepath.Dir(path))
		all[importer] = append(all[importer], []string{}...)
		for _, i := range f.Imports {
			if name, ours := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), "executionbackup/internal/"); ours {
				all[importer] = append(all[importer], name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Imports go down the levels that docs/architecture.md has, and every package has its level there.
func TestLevels(t *testing.T) {
	level := make(map[string]int)
	for i, packages := range levels(t) {
		for _, p := range packages {
			level[p] = i
		}
	}
	all := imports(t, ".")
	for p := range level {
		if _, there := all[p]; !there {
			t.Errorf("docs/architecture.md has the package %s, and there is none", p)
		}
	}
	for importer, imported := range all {
		if slices.Contains(forTests, importer) {
			continue
		}
		from, known := level[importer]
		if !known {
			t.Errorf("docs/architecture.md gives the package %s no level", importer)
			continue
		}
		for _, name := range imported {
			if slices.Contains(forTests, name) {
				t.Errorf("%s imports %s, which is for tests", importer, name)
			} else if level[name] <= from {
				t.Errorf("%s imports %s, which isn't below it", importer, name)
			}
		}
	}
}

// Who decides knows no JSON: it is known to those that read and write it, speak to nodes, or are doors.
func TestWhoKnowsJSON(t *testing.T) {
	for importer, imported := range imports(t, ".") {
		if slices.Contains(forTests, importer) || slices.Contains(knowJSON, importer) {
			continue
		}
		for _, name := range imported {
			if name == "jsonrpc" || name == "enginejson" {
				t.Errorf("%s imports %s", importer, name)
			}
		}
	}
}

// The daemon has nothing in it that is for tests.
func TestNothingForTestsInTheDaemon(t *testing.T) {
	for importer, imported := range imports(t, "../cmd/executionbackup") {
		for _, name := range imported {
			if slices.Contains(forTests, name) {
				t.Errorf("%s imports %s", importer, name)
			}
		}
	}
}
