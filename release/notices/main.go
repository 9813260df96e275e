// Command notices prints the notices that go with the binary: the licence of every module that is linked into it on any
// platform that we release for. `make notices` writes them to THIRD_PARTY_NOTICES; a test says when that is out of
// date.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	text, err := notices()
	if err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
	os.Stdout.Write(text)
}

const head = `ExecutionBackup is under the MIT licence (file LICENSE). The binary also contains the modules below, ` +
	`under their own
licences.

go-ethereum (github.com/ethereum/go-ethereum) is used under the GNU Lesser General Public License, version 3, which is
below together with the GNU General Public License that it refers to. The module is unmodified; its source is
at https://github.com/ethereum/go-ethereum. The binary is statically linked. To link it with another version of ` +
	`go-ethereum,
take ExecutionBackup's source of the same version, which is public and under the MIT licence, and run

    go mod edit -replace github.com/ethereum/go-ethereum=/path/to/your/go-ethereum
    make build

You may modify it for your own use and debug such modifications.
`

// platforms are those that have dependencies of their own.
var platforms = []string{"linux", "darwin", "windows"}

// text is a licence, with the modules that have it.
type text struct {
	content []byte
	of      []string
}

// notices puts the head, the modules and their licences together, each text once.
func notices() ([]byte, error) {
	dirs, err := linked()
	if err != nil {
		return nil, err
	}
	var texts []*text
	for _, d := range dirs {
		files, err := filepath.Glob(filepath.Join(d.path, "*"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if !licence.MatchString(filepath.Base(file)) {
				continue
			}
			content, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			texts = add(texts, bytes.TrimSpace(bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))),
				d.name+": "+filepath.Base(file))
		}
	}
	var b bytes.Buffer
	b.WriteString(head)
	for _, t := range texts {
		fmt.Fprintf(&b, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(t.of, "\n"), t.content)
	}
	return b.Bytes(), nil
}

// licence is how files are named that have to go along.
var licence = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)(\.|$)`)

func add(texts []*text, content []byte, of string) []*text {
	i := slices.IndexFunc(texts, func(t *text) bool { return bytes.Equal(t.content, content) })
	if i < 0 {
		return append(texts, &text{content, []string{of}})
	}
	texts[i].of = append(texts[i].of, of)
	return texts
}

// dir is a folder whose licences cover a package that is linked, under the name that it has in the notices.
type dir struct{ name, path string }

// linked returns the folders of Go itself and of every module that the binary has, from the package's folder up to the
// module's: some packages have a licence of their own.
func linked() ([]dir, error) {
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	var dirs []dir
	for _, platform := range platforms {
		list := exec.Command("go", "list", "-deps", "-f",
			"{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}\t{{.Dir}}\t{{$.Dir}}{{end}}{{end}}",
			"executionbackup/cmd/executionbackup")
		list.Env = append(os.Environ(), "GOOS="+platform, "CGO_ENABLED=0")
		list.Stderr = os.Stderr
		out, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		for line := range strings.Lines(string(out)) {
			parts := strings.Split(strings.TrimSpace(line), "\t")
			if len(parts) != 3 {
				continue // a package of ours or of Go's
			}
			module, root, folder := parts[0], parts[1], parts[2]
			for ; strings.HasPrefix(folder, root); folder = filepath.Dir(folder) {
				dirs = append(dirs, dir{
					module + strings.TrimPrefix(filepath.ToSlash(folder), filepath.ToSlash(root)), folder,
				})
			}
		}
	}
	slices.SortFunc(dirs, func(a, b dir) int { return strings.Compare(a.name, b.name) })
	dirs = slices.Compact(dirs)
	return append([]dir{{"Go's standard library", strings.TrimSpace(string(goroot))}}, dirs...), nil
}
