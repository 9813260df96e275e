package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"executionbackup/internal/auth"
	"executionbackup/internal/config"
)

// remote is an ExecutionBackup that runs somewhere, seen through its REST API.
type remote struct {
	url     *url.URL
	token   auth.AdminToken // zero = none
	timeout time.Duration
}

// urlFlag says where an ExecutionBackup runs. Its default follows the environment, so that the health check of a
// container finds the port which that container was given.
func (p *program) urlFlag() cli.Flag {
	return &cli.StringFlag{
		Name:        "url",
		Usage:       "where ExecutionBackup runs",
		Value:       "http://127.0.0.1:" + cmp.Or(p.getenv("PORT"), "7000"),
		DefaultText: "http://127.0.0.1:7000, or the port in " + config.EnvPrefix + "PORT",
	}
}

// getenv returns the value of an environment variable of ours.
func (p *program) getenv(name string) (value string) {
	for _, variable := range p.environ {
		if v, ok := strings.CutPrefix(variable, config.EnvPrefix+name+"="); ok {
			value = v
		}
	}
	return value
}

// newRemote takes the value of --url.
func newRemote(address string, timeout time.Duration) (*remote, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("--url: write it like http://127.0.0.1:7000")
	}
	return &remote{url: u, timeout: timeout}, nil
}

// readToken takes the value of --admin-token-file. An empty path is no token.
func (r *remote) readToken(path string) error {
	if path == "" {
		return nil
	}
	content, err := config.ReadFile(path)
	if err != nil {
		return fmt.Errorf("--admin-token-file: %w", err)
	}
	if r.token, err = auth.ParseAdminToken(string(content)); err != nil {
		return fmt.Errorf("--admin-token-file: %s: %w", path, err)
	}
	return nil
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 4 << 20

// call posts body as JSON, or gets where body is nil, and decodes the answer into a value.
func (r *remote) call(ctx context.Context, path string, body, into any) error {
	method, content := http.MethodGet, []byte(nil)
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return err
		}
		method = http.MethodPost
	}
	answer, err := r.do(ctx, method, path, content)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s doesn't answer as ExecutionBackup does: %w", r.url.Host, err)
	}
	return nil
}

// do makes a request and returns what comes with status 200. Everything else is an error.
func (r *remote) do(ctx context.Context, method, path string, content []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	path, query, _ := strings.Cut(path, "?")
	url := r.url.JoinPath(path)
	url.RawQuery = query
	req, err := http.NewRequestWithContext(ctx, method, url.String(), bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if !r.token.IsZero() {
		req.Header.Set("Authorization", r.token.Bearer())
	}
	client := http.Client{CheckRedirect: noRedirect}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: does ExecutionBackup run at %s (--url)?", withoutURL(err), r.url.Host)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", r.url.Host, err)
	}
	if resp.StatusCode == http.StatusUnauthorized {
		return nil, fmt.Errorf(
			"%s answers HTTP 401: %s: --admin-token-file must have the token that it was started with",
			r.url.Host, reasonIn(answer))
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers HTTP %d: %s", r.url.Host, resp.StatusCode, reasonIn(answer))
	}
	return answer, nil
}

// noRedirect keeps tokens from whoever a server would send us to.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// withoutURL returns what a request failed of, without its URL, which may have a password in it.
func withoutURL(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}

// reasonIn returns the error in an answer: the REST API's, else the text itself.
func reasonIn(answer []byte) string {
	var failed struct{ Error string }
	if json.Unmarshal(answer, &failed) == nil && failed.Error != "" {
		return failed.Error
	}
	const enough = 200 // it may be the page of something else
	text := strings.TrimSpace(string(answer))
	return text[:min(len(text), enough)]
}
