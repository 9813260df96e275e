//go:build unix

package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// service is a daemon that is started again and again, as systemd does it.
type service struct {
	*apptest.Service
	args, environ []string
}

func newService(t *testing.T, args ...string) *service {
	t.Helper()
	return &service{apptest.NewService(t), args, nil}
}

// start starts it, and returns when it says that it is ready.
func (s *service) start(t *testing.T) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], s.args...)
	cmd.Env = append([]string{runMain}, s.environ...)
	p := s.Start(t, cmd)
	return &process{daemon{apptest.NewClient(t, "http://"+s.Addr.String(), secret), p.Log}, p}
}

// A node that hangs holds us up as long as --drain says, and the CL not at all.
func TestTerminateWithAHungNode(t *testing.T) {
	var nodes []*enginetest.Node
	var specs []string
	for range 3 {
		n := enginetest.New(t, enginetest.Client{})
		nodes, specs = append(nodes, n), append(specs, spec(n, ""))
	}
	s := newService(t, "--nodes", strings.Join(specs, ","), "--jwt-secret", secretFile(t))
	p := s.start(t)
	nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", Hang: true})
	block := enginetest.Chain(4, 1, nil)[0]
	if status, err := p.NewPayload(t.Context(), block); err != nil || status.Status != "VALID" {
		t.Fatalf("newPayload: %+v, %v", status, err)
	}
	done := apptest.CallOn(t, func() error {
		status, err := p.ForkchoiceUpdated(t.Context(), block, nil)
		if err == nil && status.Status != "VALID" {
			err = fmt.Errorf("got %+v", status)
		}
		return err
	})
	begun := time.Now()
	p.Signal(syscall.SIGTERM)
	s.Hears(t, "STOPPING=1")
	p.WantExit(t, 0)
	if took := time.Since(begun); took < 2*time.Second || took > 4*time.Second {
		t.Errorf("it ended after %v, want 2 s", took)
	}
	s.start(t)
	done()
}

// What systemd hears: when we are up, that a reload begins and ends, whether it succeeds or not, and that we end. The
// watchdog is fed meanwhile.
func TestNotifications(t *testing.T) {
	n := enginetest.New(t, enginetest.Client{})
	yaml := file(t, fmt.Sprintf("nodes: ['%s']\n", spec(n, "")))
	s := newService(t, "--config", yaml)
	p := s.start(t)
	p.WaitReady(t, p.Client)
	for _, content := range []string{"log_level: debug\nnodes: ['" + spec(n, "") + "']\n", "nonsense: 1\n"} {
		if err := os.WriteFile(yaml, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		p.Signal(syscall.SIGHUP)
		s.Hears(t, "RELOADING=1\nMONOTONIC_USEC=")
		s.Hears(t, "READY=1")
	}
	p.log.Wait(t, "msg=\"configuration reloaded\"")
	p.log.Wait(t, "msg=\"configuration not reloaded")
	p.Signal(syscall.SIGTERM)
	s.Hears(t, "STOPPING=1")
	p.WantExit(t, 0)

	if err := os.WriteFile(yaml, []byte("nodes: ['"+spec(n, "")+"']\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.environ = []string{"WATCHDOG_USEC=200000"}
	s.start(t)
	s.HearsInTheEnd(t, "WATCHDOG=1\nSTATUS=1 of 1 nodes vote") // once it has been probed
}

// The watchdog is fed wherever the nodes are shown, and over TLS.
func TestWatchdogOfTwoPorts(t *testing.T) {
	n, files := enginetest.New(t, enginetest.Client{}), enginetest.NewCertificate(t)
	for _, secured := range [][]string{nil, {"--tls-cert-file", files.File, "--tls-key-file", files.KeyFile}} {
		args := append([]string{"--nodes", spec(n, ""), "--admin-addr", "127.0.0.1:0"}, secured...)
		s := newService(t, args...)
		s.environ = []string{"WATCHDOG_USEC=1000000"}
		s.start(t)
		s.HearsInTheEnd(t, "WATCHDOG=1\nSTATUS=1 of 1 nodes vote") // once it has been probed
	}
}

// Where the consensus client's port doesn't answer, it doesn't help that the page's does.
func TestWatchdogAsksBothPorts(t *testing.T) {
	answer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }))
	defer answer.Close()
	refuse := httptest.NewServer(http.NotFoundHandler())
	defer refuse.Close()
	good, bad := answer.Listener.Addr(), refuse.Listener.Addr()
	for us, want := range map[ourselves]string{
		{calls: good, admin: good}: "", {calls: bad, admin: good}: "GET /healthz: HTTP 404",
		{calls: good, admin: bad}: "GET /status: HTTP 404",
	} {
		status, err := us.status(t.Context())
		if err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("got %q, %v, want %q", status, err, want)
		}
	}
}

// Who doesn't answer himself feeds no watchdog, until he does.
func TestWatchdogOfAHungServer(t *testing.T) {
	var feeding sync.WaitGroup
	t.Cleanup(feeding.Wait) // when nobody listens any more: who feeds could wait for that
	s := apptest.NewService(t)
	name, path, _ := strings.Cut(s.Environ(), "=")
	t.Setenv(name, path)
	t.Setenv("WATCHDOG_USEC", "100000")
	asked, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- struct{}{}:
			<-r.Context().Done()
		case <-r.Context().Done():
		case <-release:
			fmt.Fprint(w, `{"level":"warn","voters":2,"voting":1}`)
		}
	}))
	defer server.Close()
	log := new(apptest.Logbook)
	us := ourselves{calls: server.Listener.Addr(), admin: server.Listener.Addr()}
	feeding.Go(func() { feedWatchdog(t.Context(), newLogger(log, "text", slog.LevelInfo), us) })
	for range 3 {
		<-asked
	}
	if got := s.Heard(t, 10*time.Millisecond); got != "" {
		t.Errorf("systemd heard %q", got)
	}
	log.Wait(t, "we don't answer ourselves")
	close(release)
	s.Hears(t, "WATCHDOG=1\nSTATUS=1 of 2 nodes vote")
}

// A socket that isn't one to serve is a clear error, one for another process none at all. One to serve has the last
// word on the address, and the log says so.
func TestPassedSockets(t *testing.T) {
	n := enginetest.New(t, enginetest.Client{})
	socket := apptest.NewSocket(t, "127.0.0.1:0")
	udp, err := net.ListenUDP("udp", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	datagrams, err := udp.File()
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	conn, err := net.Dial("tcp", socket.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	connected, err := conn.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer connected.Close()
	launch := func(sockets ...*os.File) *apptest.Process {
		cmd := exec.Command(os.Args[0], "-n", spec(n, ""), "--evidence-dir", "")
		cmd.Env = []string{runMain, "EXECUTIONBACKUP_PORT=0"}
		if len(sockets) > 0 {
			apptest.Hand(cmd, sockets...)
		} else {
			cmd.Env = append(cmd.Env, "LISTEN_FDS=1", "LISTEN_PID=1")
		}
		return apptest.StartProcess(t, cmd)
	}
	for name, c := range map[string]struct {
		sockets []*os.File
		want    string
	}{
		"two":          {[]*os.File{socket.File, socket.File}, "2 sockets were passed on to us (LISTEN_FDS), want one"},
		"UDP":          {[]*os.File{datagrams}, "that was passed on to us (LISTEN_FDS) is none to listen on"},
		"a connection": {[]*os.File{connected}, "that was passed on to us (LISTEN_FDS) doesn't listen on TCP"},
	} {
		p := launch(c.sockets...)
		p.WantExit(t, 1)
		if lines := p.Log.Lines(c.want); len(lines) == 0 {
			t.Errorf("%s: %s", name, p.Log)
		}
	}
	p := launch(socket.File)
	if got, want := p.Log.URL(t), "http://"+socket.Addr.String(); got != want {
		t.Errorf("it listens at %s, want %s", got, want)
	}
	p.Log.Wait(t, "level=WARN", "listen-addr and port are not used", "not=127.0.0.1:0")
	if got := launch().Log.URL(t); got == "http://"+socket.Addr.String() {
		t.Errorf("it took another process's socket %s", got)
	}
}
