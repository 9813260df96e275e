package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"executionbackup/internal/auth"
	"executionbackup/internal/config"
)

// remote is an ExecutionBackup that runs somewhere, seen through its REST API.
type remote struct {
	url       *url.URL
	tokenFile string          // of the admin token; empty = there is none
	token     auth.AdminToken // what comes with each request; zero = nothing
	timeout   time.Duration
	certFile  string      // of the certificate that whoever gets the token must have; empty: of a trusted one
	tls       *tls.Config // whom to trust; nil: whom the system trusts
}

// remoteFlags are those of a command that asks a running ExecutionBackup. Of the settings help has those that say where
// it runs, and more of them.
func (p *program) remoteFlags(more ...string) []cli.Flag {
	shown := append(more, "config", "listen-addr", "port", "admin-addr", "ca-file")
	return append(p.someSettings(shown...), &cli.StringFlag{
		Name:        "url",
		Usage:       "where ExecutionBackup runs",
		DefaultText: "where its settings say, as a rule http://127.0.0.1:7000",
	})
}

// remote returns the ExecutionBackup that a command is about: the one at --url, else the one with our settings.
func (p *program) remote(cmd *cli.Command, timeout time.Duration) (*remote, error) {
	return p.remoteAt(cmd, timeout, adminAddr)
}

// remoteAt is remote for one of the two ports, where --url doesn't say which.
func (p *program) remoteAt(cmd *cli.Command, timeout time.Duration, at func(*config.Config) string) (*remote, error) {
	c, err := p.look()
	if err != nil {
		return nil, err
	}
	address := cmd.String("url")
	if address != "" {
		return newRemote(address, c, timeout)
	}
	if address, err = addressOf(c, at(c)); err != nil {
		return nil, err
	}
	r, err := newRemote(address, c, timeout)
	if err == nil && c.TLSCertFile != "" {
		r.certFile, r.tls = c.TLSCertFile, &tls.Config{InsecureSkipVerify: true} // until a token goes there
	}
	return r, err
}

// callsAddr is where the consensus client calls.
func callsAddr(c *config.Config) string { return net.JoinHostPort(c.ListenAddr, strconv.Itoa(c.Port)) }

// adminAddr is where the page, metrics and the REST API are.
func adminAddr(c *config.Config) string { return cmp.Or(c.AdminAddr, callsAddr(c)) }

// addressOf returns the URL under which an ExecutionBackup that listens there is reached from its own machine.
func addressOf(c *config.Config, address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	if port == "0" {
		return "", usageError("port 0 is any free port: say with --url where ExecutionBackup runs")
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1" // :: is IPv4, too
	}
	scheme := "http://"
	if c.TLSCertFile != "" {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port), nil
}

// newRemote takes a URL, and settings that say whom to trust there, and where the admin token is.
func newRemote(address string, c *config.Config, timeout time.Duration) (*remote, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, usageError("--url: write it like http://127.0.0.1:7000")
	}
	r := &remote{url: u, tokenFile: c.AdminTokenFile, timeout: timeout}
	if c.CAFile != "" && u.Scheme == "https" {
		cas, err := config.ReadCAs(c.CAFile, nil)
		if err != nil {
			return nil, config.Invalid{Err: fmt.Errorf("--ca-file: %w", err)}
		}
		r.tls = &tls.Config{RootCAs: cas}
	}
	return r, nil
}

// pin trusts the certificate of our settings, and no other: it seldom has the name of an address of this machine in it.
func (r *remote) pin() error {
	content, err := config.ReadFile(r.certFile)
	if err != nil {
		return config.Invalid{Err: fmt.Errorf("--tls-cert-file: %w", err)}
	}
	own, rest := pem.Decode(content)
	for own != nil && own.Type != "CERTIFICATE" { // the key may be in the same file
		own, rest = pem.Decode(rest)
	}
	if own == nil {
		return config.Invalid{Err: fmt.Errorf("--tls-cert-file: %s: there is no certificate in it", r.certFile)}
	}
	r.tls = &tls.Config{
		InsecureSkipVerify: true, // the names in it; VerifyConnection looks at all of it
		VerifyConnection: func(s tls.ConnectionState) error {
			if !bytes.Equal(s.PeerCertificates[0].Raw, own.Bytes) {
				return errors.New("its certificate is not that of --tls-cert-file")
			}
			return nil
		},
	}
	return nil
}

// readToken has what follows come with the admin token, where there is one.
func (r *remote) readToken() error {
	if r.tokenFile == "" {
		return nil
	}
	if r.certFile != "" {
		if err := r.pin(); err != nil {
			return err
		}
	}
	token, err := auth.ReadAdminToken(r.tokenFile, config.ReadFile)
	if err != nil {
		return config.Invalid{Err: fmt.Errorf("--admin-token-file: %w", err)}
	}
	r.token = token
	return nil
}

// maxAnswer bounds what is read of an answer, in bytes: a file of evidence has two calls, compressed.
const maxAnswer = 256 << 20

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
	client := http.Client{CheckRedirect: noRedirect, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: r.tls, DisableKeepAlives: true,
	}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", withoutURL(err), r.hint(err))
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

// hint says what may be the matter where there was no answer.
func (r *remote) hint(err error) string {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "name with --ca-file who vouches for " + r.url.Host
	}
	return fmt.Sprintf("does ExecutionBackup run at %s? If elsewhere: --url, or its own --config", r.url.Host)
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
