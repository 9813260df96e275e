//go:build e2e

package live

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"executionbackup/internal/apptest"
)

// book is the report of a run of the tests.
type book struct {
	Begun    time.Time
	Took     string
	Short    bool
	Machine  string
	Versions map[string]string
	Results  []*result

	mu sync.Mutex
}

func newReport() *book {
	return &book{Begun: time.Now().UTC().Truncate(time.Second), Versions: map[string]string{}}
}

func (b *book) add(r *result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Results = append(b.Results, r)
	b.save()
}

// baseline is what came of the baseline, or nothing.
func (b *book) baseline() *result {
	if r := b.find(baseline.name, false); r != nil {
		return r
	}
	return &result{}
}

func (b *book) find(name string, direct bool) *result {
	for _, r := range b.Results {
		if r.Name == name && r.Direct == direct {
			return r
		}
	}
	return nil
}

// save writes the report as it is now, where one is wanted: a run that is broken off leaves what it found.
func (b *book) save() error {
	if *reportTo == "" {
		return nil
	}
	b.Short = testing.Short()
	b.Took = time.Since(b.Begun).Round(time.Second).String()
	b.describe()
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(*reportTo+".json", append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(*reportTo+".md", []byte(b.markdown()), 0o644)
}

// describe notes what was tested, and where.
func (b *book) describe() {
	if b.Machine != "" {
		return
	}
	b.Machine = fmt.Sprintf("%s/%s, %d cores, %s",
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), apptest.Output("uname", "-r"))
	b.Versions["ExecutionBackup"] = apptest.Commit()
	b.Versions["Go"] = runtime.Version()
	b.Versions["geth"] = pinned("geth", "ethereum/go-ethereum ")
	b.Versions["Prysm"] = pinned("prysm", "OffchainLabs/prysm/v7 ")
	b.Versions["Erigon"] = pinned("erigon", "erigontech/erigon ")
	b.Versions["ethereumjs"] = pinned("ethereumjs", `"@ethereumjs/client": `)
}

// pinned is the version that e2e/clients pins: what follows a word.
func pinned(client, after string) string {
	for _, file := range []string{"go.mod", "package.json"} {
		text, err := os.ReadFile("../clients/" + client + "/" + file)
		if err != nil {
			continue
		}
		if _, rest, found := strings.Cut(string(text), after); found {
			return strings.Trim(strings.Fields(rest)[0], `",`)
		}
	}
	return "unknown"
}

// failures lists all claims that don't hold.
func (b *book) failures() (all []string) {
	for _, r := range b.Results {
		if r.Direct {
			continue
		}
		for _, f := range r.Failures {
			all = append(all, r.Name+": "+f)
		}
	}
	return all
}

// untested lists the scenarios that the machine refused.
func (b *book) untested() (names []string) {
	for _, r := range b.Results {
		if r.NotTested && !slices.Contains(names, r.Name) {
			names = append(names, r.Name)
		}
	}
	return names
}
