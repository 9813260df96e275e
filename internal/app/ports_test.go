//go:build unix

package app_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/rpc"

	"executionbackup/internal/app"
	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// startAdmin starts one whose page, metrics and REST API have a port of their own, with the client for that.
func startAdmin(t *testing.T, nodes []apptest.Node) (m *multiplexer, admin apptest.Client) {
	t.Helper()
	m = start(t, nodes, func(c *config.Config) { c.AdminAddr = "127.0.0.1:0" })
	return m, apptest.NewClient(t, "http://"+m.App.AdminAddr().String(), nil)
}

// With --admin-addr the consensus client's port has its calls and what load balancers ask for, and nothing else.
func TestAdminAddr(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m, admin := startAdmin(t, apptest.Fakes(nodes...))
	m.hears(t, "VALID", "engine_newPayload", enginetest.Chain(4, 1, nil)[0])
	m.Log.Wait(t, `msg="page, metrics and REST API"`, "address="+m.App.AdminAddr().String())
	for _, path := range []string{"/healthz", "/readyz", "/readyz?voters=3"} {
		for _, c := range []apptest.Client{m.Client, admin} {
			if got := c.REST(t, "GET", path, ""); got.Status != 200 {
				t.Errorf("GET %s at %s: %+v", path, c.URL, got)
			}
		}
	}
	for _, path := range []string{
		"/", "/metrics", "/metrics?format=prometheus", "/recheck", "/nodes", "/forks", "/blocks", "/disputes",
		"/proposals", "/evidence", "/dashboard/main.js", "/debug/pprof/goroutine",
	} {
		if got := admin.REST(t, "GET", path, ""); got.Status != 200 {
			t.Errorf("GET %s at --admin-addr: %+v", path, got)
		}
		got := m.REST(t, "GET", path, "")
		if got.Status != 404 || !strings.Contains(got.Body, "--admin-addr") {
			t.Errorf("GET %s at the consensus client's port: %+v", path, got)
		}
	}
	for _, path := range append(changes, "/engine/v1/payloads", "/events") {
		body := `{"nodes":["n3"]}`
		if got := m.REST(t, "POST", path, body, "Content-Type", "application/json"); got.Status != 404 {
			t.Errorf("POST %s at the consensus client's port: %+v", path, got)
		}
	}
	if got := admin.ChangeNodes(t, "/drain_nodes", "n3"); got.Status != 200 {
		t.Errorf("POST /drain_nodes at --admin-addr: %+v", got)
	}
	if got := admin.REST(t, "POST", "/", `{"jsonrpc":"2.0","id":1,"method":"eth_syncing"}`); got.Status != 405 {
		t.Errorf("a call at --admin-addr: %+v", got)
	}
}

// A port that is taken is an error that says which setting to change, and leaves the other port free.
func TestTakenPorts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free := "127.0.0.1:" + apptest.FreePort(t)
	n := enginetest.New(t, enginetest.Client{})
	for _, c := range []struct{ calls, admin, want string }{
		{free, taken.Addr().String(), "--admin-addr: listen on " + taken.Addr().String() + ": "},
		{free, free, "--admin-addr: listen on " + free + ": "},
		{taken.Addr().String(), free, "listen on " + taken.Addr().String() + ": bind: address already in use: " +
			"choose another address with --listen-addr and --port"},
	} {
		host, port, _ := net.SplitHostPort(c.calls)
		o := options(apptest.Fakes(n), func(settings *config.Config) { settings.AdminAddr = c.admin })
		o.Settings["listen-addr"], o.Settings["port"] = host, port
		_, err := app.New(app.Options{Config: apptest.Configuration(t, o), Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s and %s: %v", c.calls, c.admin, err)
		}
		l, err := net.Listen("tcp", free)
		if err != nil {
			t.Fatalf("it isn't free any more: %v", err)
		}
		l.Close()
	}
}

// While we end neither port is ready, and the page's goes last.
func TestDrainWithAdminAddr(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	m, admin := startAdmin(t, apptest.Fakes(nodes...))
	events, err := http.Get(admin.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	answered, release := m.held(t, enginetest.Chain(4, 1, nil)[0], nodes...)
	ended := m.stop(t)
	for _, c := range []apptest.Client{m.Client, admin} {
		if err := c.IsReady(t.Context()); err == nil || !strings.Contains(err.Error(), "HTTP 503: draining") {
			t.Errorf("/readyz at %s: %v", c.URL, err)
		}
	}
	release()
	if got := <-answered; got.Status != "VALID" {
		t.Errorf("got %+v", got)
	}
	if _, err := io.Copy(io.Discard, events.Body); err != nil {
		t.Errorf("the page's stream: %v", err)
	}
	if _, err := net.Dial("tcp", m.App.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the consensus client's port when the page's closes: %v", err)
	}
	<-ended
	if _, err := net.Dial("tcp", m.App.AdminAddr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after the end: %v", err)
	}
	if lines := m.Log.Lines("cut off"); len(lines) > 0 {
		t.Errorf("logged: %s", lines)
	}
}

// 0.0.0.0 is IPv4 and nothing else, :: is both.
func TestListenAddresses(t *testing.T) {
	t.Parallel()
	n := enginetest.New(t, enginetest.Client{})
	for _, c := range []struct {
		host, dial string
		want       bool
	}{
		{"0.0.0.0", "127.0.0.1", true},
		{"0.0.0.0", "::1", false},
		{"127.0.0.1", "127.0.0.1", true},
		{"localhost", "localhost", true},
		{"::", "127.0.0.1", true},
		{"::", "::1", ipv6()},
	} {
		for _, admin := range []string{"", net.JoinHostPort(c.host, "0")} {
			m := start(t, apptest.Fakes(n), func(settings *config.Config) {
				settings.ListenAddr, settings.AdminAddr = c.host, admin
			})
			for _, at := range []net.Addr{m.App.Addr(), m.App.AdminAddr()} {
				_, port, _ := net.SplitHostPort(at.String())
				conn, err := net.Dial("tcp", net.JoinHostPort(c.dial, port))
				if (err == nil) != c.want {
					t.Errorf("%s at %s: %v", c.host, c.dial, err)
				}
				if err == nil {
					conn.Close()
				}
			}
		}
	}
}

// ipv6 reports whether this machine has IPv6.
func ipv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// secured starts one that speaks TLS on two ports, with the clients for both.
func secured(t *testing.T, nodes []apptest.Node, files *enginetest.Certificate, version int) (
	m *multiplexer, admin apptest.Client,
) {
	t.Helper()
	m = run(t, nodes, func(c *config.Config) {
		c.AdminAddr, c.TLSCertFile, c.TLSKeyFile = "127.0.0.1:0", files.File, files.KeyFile
	})
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: files.Pool(t)}, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(version == 1)
	transport.Protocols.SetHTTP2(version == 2)
	t.Cleanup(transport.CloseIdleConnections)
	m.CL.HTTP = &http.Client{Transport: transport}
	m.CL.URL = "https://" + m.App.Addr().String()
	admin = apptest.NewClient(t, "https://"+m.App.AdminAddr().String(), nil)
	admin.CL.HTTP = m.CL.HTTP
	m.WaitReady(t)
	return m, admin
}

// Over TLS all is as without it, with either protocol, and the end waits for who waits for an answer.
func TestTLS(t *testing.T) {
	files := enginetest.NewCertificate(t)
	for version, name := range map[int]string{1: "HTTP/1.1", 2: "HTTP/2.0"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes := three(t)
			m, admin := secured(t, apptest.Fakes(nodes...), files, version)
			chain := enginetest.Chain(4, 2, nil)
			m.hears(t, "VALID", "engine_newPayload", chain[0])
			resp, err := m.CL.HTTP.Get(m.CL.URL + "/readyz")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.Proto != name || resp.StatusCode != 200 {
				t.Errorf("%s: HTTP %d", resp.Proto, resp.StatusCode)
			}
			if got := admin.REST(t, "GET", "/", ""); got.Status != 200 || !strings.Contains(got.Body, "<html") {
				t.Errorf("the page: %+v", got)
			}
			answered, release := m.held(t, chain[1], nodes...)
			ended := m.stop(t)
			m.hears(t, "VALID", "engine_forkchoiceUpdated", chain[0])
			if err := m.IsReady(t.Context()); err == nil || !strings.Contains(err.Error(), "HTTP 503: draining") {
				t.Errorf("/readyz: %v", err)
			}
			release()
			if got := <-answered; got.Status != "VALID" {
				t.Errorf("got %+v", got)
			}
			<-ended
			if lines := m.Log.Lines("cut off"); len(lines) > 0 {
				t.Errorf("logged: %s", lines)
			}
		})
	}
}

// geth's own client speaks to us over TLS. Cleartext and old TLS are refused, with an answer where one can be read.
func TestTLSClients(t *testing.T) {
	t.Parallel()
	files := enginetest.NewCertificate(t)
	m, _ := secured(t, apptest.Fakes(three(t)...), files, 1)
	geth, err := rpc.DialOptions(t.Context(), m.CL.URL, rpc.WithHTTPClient(m.CL.HTTP),
		rpc.WithHTTPAuth(node.NewJWTAuth([32]byte(apptest.CLSecret))))
	if err != nil {
		t.Fatal(err)
	}
	defer geth.Close()
	var capabilities []string
	if err := geth.Call(&capabilities, "engine_exchangeCapabilities", []string{"engine_newPayloadV4"}); err != nil ||
		len(capabilities) == 0 {
		t.Errorf("geth's client: %v, %v", capabilities, err)
	}
	for _, at := range []net.Addr{m.App.Addr(), m.App.AdminAddr()} {
		conn, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 400 || !strings.Contains(string(answer), "HTTPS server") {
			t.Errorf("cleartext: HTTP %d %s", resp.StatusCode, answer)
		}
		old := &tls.Config{RootCAs: files.Pool(t), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
		if conn, err := tls.Dial("tcp", at.String(), old); err == nil {
			conn.Close()
			t.Error("TLS 1.1 is spoken")
		}
	}
}

// A renewed certificate is in use without a restart, on both ports. One that is no good is logged.
func TestTLSRenewal(t *testing.T) {
	t.Parallel()
	files := enginetest.NewCertificate(t)
	m, _ := secured(t, apptest.Fakes(three(t)...), files, 1)
	old := files.Pool(t)
	if err := os.WriteFile(files.KeyFile, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	shows := func(config *tls.Config) (err error) {
		for _, at := range []net.Addr{m.App.Addr(), m.App.AdminAddr()} {
			conn, dialled := tls.Dial("tcp", at.String(), config)
			if dialled == nil {
				conn.Close()
			}
			err = errors.Join(err, dialled)
		}
		return err
	}
	apptest.Until(t, "the broken certificate is seen", func() bool {
		if err := shows(&tls.Config{RootCAs: old}); err != nil {
			t.Fatalf("the old certificate isn't in use any more: %v", err)
		}
		return len(m.Log.Lines("certificate not renewed", "tls: ")) == 1
	})
	files.Renew(t)
	latest := files.Pool(t)
	apptest.Until(t, "the new certificate is in use", func() bool { return shows(&tls.Config{RootCAs: latest}) == nil })
	m.hears(t, "VALID", "engine_newPayload", enginetest.Chain(4, 1, nil)[0]) // over the connection that was there
}

// An https node is believed where an authority of --ca-file vouches for it; a reload brings another file into force.
func TestCAFile(t *testing.T) {
	t.Parallel()
	n := enginetest.New(t, enginetest.Client{})
	files := enginetest.NewCertificate(t)
	server := files.OverTLS(t, n)
	nodes := []apptest.Node{{URL: server.URL, Secret: n.Secret, Name: "n1"}}
	m := start(t, nodes, nil)
	got := m.Node(t, "n1")
	if got.State != "dead" || !strings.Contains(got.Reason, "certificate signed by unknown authority") {
		t.Errorf("without --ca-file: %+v", got)
	}
	with := func(file string) *config.Config {
		o := options(nodes, nil)
		o.Settings["port"] = "0"
		if file != "" {
			o.Settings["ca-file"] = file
		}
		return apptest.Configuration(t, o)
	}
	m.Reload(with(files.File))
	m.Recheck(t)
	if got := m.Node(t, "n1"); got.State != "alive" {
		t.Errorf("with --ca-file: %+v", got)
	}
	m.hears(t, "VALID", "engine_newPayload", enginetest.Chain(4, 1, nil)[0])
	m.Reload(with(""))
	server.CloseClientConnections()
	apptest.Until(t, "new connections don't trust it", func() bool {
		m.Recheck(t)
		return m.Node(t, "n1").State == "dead"
	})

	also := start(t, nodes, func(c *config.Config) { *c = *with(files.File) })
	if got := also.Node(t, "n1"); got.State != "alive" {
		t.Errorf("with --ca-file from the start: %+v", got)
	}
}
