//go:build unix

package crashtest

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// grace is how long the daemons wait for an objection beside a quorum of VALID: long enough that on a busy machine no
// INVALID comes late which isn't meant to.
const grace = 400 * time.Millisecond

// names are those of a side's nodes.
var names = []string{"n1", "n2", "n3", "n4"}

// side is an ExecutionBackup before nodes of its own. Somebody starts it again when it ends; its socket goes on.
type side struct {
	name   string
	client apptest.Client
	nodes  []*enginetest.Node
	id     string // of the last build

	held     func()    // lets a node say what it holds back; nil where none does
	released time.Time // when that was done

	mu       sync.Mutex
	process  *apptest.Process
	restarts int
	over     bool
	ended    sync.WaitGroup
}

// newSide starts a side, which ends with the test.
func newSide(t *testing.T, name string, o Options) *side {
	s := &side{name: name}
	var specs []string
	for i, n := range names {
		node := enginetest.New(t, enginetest.Client{
			BlockValue: []string{"0x2", "0x3", "0x1", "0x1"}[i], // n2 has the best payload
			Build:      func(p *enginetest.Payload) { p.ExtraData = []byte(n) },
		})
		s.nodes = append(s.nodes, node)
		specs = append(specs, node.URL+"#name="+n+"#jwt-secret="+node.SecretFile)
	}
	dir := t.TempDir()
	secret := filepath.Join(dir, "jwt.hex")
	if err := os.WriteFile(secret, []byte(hex.EncodeToString(apptest.CLSecret)), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := apptest.NewSocket(t, "127.0.0.1:0")
	s.client = apptest.NewClient(t, "http://"+socket.Addr.String(), apptest.CLSecret)
	args := append(o.Command[1:len(o.Command):len(o.Command)], "--nodes", strings.Join(specs, ","),
		"--jwt-secret", secret, "--evidence-dir", "", "--state-dir", filepath.Join(dir, "state"), "--open-admin",
		"--grace", fmt.Sprint(grace.Milliseconds()), "--timeout", "5000")
	s.ended.Go(func() { s.keepUp(t, socket, o, args) })
	t.Cleanup(func() {
		s.stop(syscall.SIGKILL)
		s.ended.Wait()
		if t.Failed() {
			t.Logf("%s: %s", s.name, s.process.Log)
		}
	})
	apptest.Try(t, apptest.Patience, func() error { return s.client.IsReady(t.Context()) })
	return s
}

// keepUp starts the process again and again, as systemd does.
func (s *side) keepUp(t *testing.T, socket *apptest.Socket, o Options, args []string) {
	log := new(apptest.Logbook)
	for {
		cmd := exec.Command(o.Command[0], args...)
		cmd.Env = append([]string{}, o.Env...)
		apptest.Hand(cmd, socket.File)
		cmd.Stdout, cmd.Stderr = log, log
		s.mu.Lock()
		if s.over {
			s.mu.Unlock()
			return
		}
		p, err := apptest.Launch(cmd)
		if err != nil {
			t.Error(err)
			s.over = true
			s.mu.Unlock()
			return
		}
		p.Log = log
		s.process = p
		s.mu.Unlock()
		<-p.Gone()
		s.mu.Lock()
		s.restarts++
		s.mu.Unlock()
	}
}

// stop ends the process for good.
func (s *side) stop(signal os.Signal) {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.process.Signal(signal)
}

// kill is kill -9 of the present process.
func (s *side) kill() {
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	p.Kill()
}

// lives is how many processes have ended so far.
func (s *side) lives() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.restarts
}

// post is a change over the REST API.
func (s *side) post(ctx context.Context, path, node string) (string, error) {
	got, err := s.client.Ask(ctx, "POST", path, `{"nodes":["`+node+`"]}`, "Content-Type", "application/json")
	return fmt.Sprint("HTTP ", got.Status), err
}

// condition is what of each node must outlive a process.
func (s *side) condition(ctx context.Context) (c map[string]kept, err error) {
	var nodes []apptest.NodeState
	err = s.client.Read(ctx, "/nodes", &nodes)
	c = make(map[string]kept)
	for _, n := range nodes {
		c[n.Name] = kept{n.Objections, n.Drained, n.State}
	}
	return c, err
}

// kept is what of a node must outlive a process, and what it is.
type kept struct {
	objections int
	drained    bool
	state      string
}

func (k kept) withoutState() kept {
	k.state = ""
	return k
}

func (k kept) whole() kept { return k }

// release lets a node object that was held back, and returns when that is known, or can't be any more: the process that
// the node would tell may have been killed before.
func (s *side) release(ctx context.Context, node int) error {
	if s.held == nil { // the process has been killed meanwhile
		return nil
	}
	before, err := s.condition(ctx)
	if err != nil {
		return err
	}
	lives := s.lives()
	s.held()
	s.held, s.released = nil, time.Now()
	for s.lives() == lives && time.Since(s.released) < time.Second {
		if now, err := s.condition(ctx); err != nil || now[names[node]].objections > before[names[node]].objections {
			return err
		}
	}
	return nil
}
