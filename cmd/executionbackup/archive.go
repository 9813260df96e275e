package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/urfave/cli/v3"

	"executionbackup/internal/evidence"
)

// archive is where evidence is: in a directory, or with a running ExecutionBackup.
type archive struct {
	dir    string
	remote *remote // nil: in the directory
}

// archive returns the one that a command is about.
func (p *program) archive(cmd *cli.Command) (*archive, error) {
	if cmd.String("url") != "" {
		r, err := p.remote(cmd, restTimeout)
		return &archive{remote: r}, err
	}
	c, err := p.look()
	if err != nil {
		return nil, err
	}
	return &archive{dir: c.EvidenceDir}, nil
}

// list returns what is there, the last one at the end.
func (a *archive) list(ctx context.Context) (entries []evidence.Entry, err error) {
	if a.remote != nil {
		return entries, a.remote.call(ctx, "/evidence", nil, &entries)
	}
	if a.dir == "" {
		return nil, errors.New("evidence: none is kept (--evidence-dir is empty)")
	}
	entries, err = evidence.List(a.dir)
	if err != nil {
		return nil, fmt.Errorf("evidence (--evidence-dir): %w: where ExecutionBackup runs as another user, or with "+
			"other settings, ask it with --url", err)
	}
	if entries == nil {
		entries = []evidence.Entry{} // as in the REST API
	}
	return entries, nil
}

// find reads the evidence that a word means: a path, a name in the list, a block's number, or last.
func (a *archive) find(ctx context.Context, word string) (*evidence.File, error) {
	number, err := strconv.ParseUint(word, 10, 64)
	if word != "last" && err != nil {
		return a.read(ctx, word)
	}
	entries, err := a.list(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range slices.Backward(entries) {
		if word == "last" || e.Number == number {
			return a.read(ctx, e.File)
		}
	}
	if word == "last" {
		return nil, errors.New("evidence: there is none")
	}
	return nil, fmt.Errorf("evidence: there is none about block %d", number)
}

// read reads the file with a name, or at a path.
func (a *archive) read(ctx context.Context, name string) (f *evidence.File, err error) {
	if a.remote != nil {
		return a.fetch(ctx, name)
	}
	f, err = evidence.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && filepath.Base(name) == name {
		f, err = evidence.ReadFile(filepath.Join(a.dir, name))
	}
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return f, nil
}

// fetch asks for a file, which takes the admin token.
func (a *archive) fetch(ctx context.Context, name string) (*evidence.File, error) {
	if err := a.remote.readToken(); err != nil {
		return nil, err
	}
	content, err := a.remote.do(ctx, http.MethodGet, "/evidence/"+url.PathEscape(name), nil)
	if err != nil {
		return nil, err
	}
	f, err := evidence.Read(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("evidence: %s: %w", name, err)
	}
	return f, nil
}
