//go:build e2e

package hostile

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// 200 calls a second, while we are restarted and killed again and again: nobody is refused, and only what is in flight
// when we are killed may break. Every other call is answered, and rightly.
func TestRestarts(t *testing.T) {
	for _, c := range []struct {
		name     string
		kept     int    // connections, each with one call at a time; 0: a new one for each call
		restarts string // T: SIGTERM, K: kill -9
	}{
		{"a connection for each call", 0, "TTTTKTTTTKTTTTKTTTTKTTTTK"},
		{"kept connections", 4, "TTTTTTTTTTTTTTTTTTTT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newService(t)
			p := s.start(t)
			pace := callAtPace(5*time.Millisecond, s.forkchoices(t, c.kept))
			var gone []time.Time // when each killed process was
			for _, how := range c.restarts {
				before := pace.answered.Load()
				apptest.Until(t, "calls are answered", func() bool { return pace.answered.Load() > before+50 })
				if how == 'K' {
					p.Kill()
					gone = append(gone, time.Now())
				} else {
					p.Signal(syscall.SIGTERM)
					s.Hears(t, "STOPPING=1")
					p.WantExit(t, 0)
				}
				p = s.start(t)
			}
			outcomes := pace.stop()
			broken := 0
			for _, o := range outcomes {
				inFlight := slices.ContainsFunc(gone, func(at time.Time) bool {
					return o.begun.Before(at) && o.begun.Add(o.took).After(at.Add(-killing))
				})
				switch {
				case o.err == nil:
				case errors.Is(o.err, errBroken) && inFlight:
					broken++
				default:
					t.Errorf("after %v: %v", o.took, o.err)
				}
			}
			slices.SortFunc(outcomes, func(a, b outcome) int { return int(a.took - b.took) })
			t.Logf("%d calls, %d of them broken by %d kills; half took less than %v, the slowest %v", len(outcomes),
				broken, len(gone), outcomes[len(outcomes)/2].took, outcomes[len(outcomes)-1].took)
		})
	}
}

// killing is how long a process takes at most to be gone, once it is killed.
const killing = time.Second

// errBroken is what becomes of a call whose connection ends without an answer.
var errBroken = errors.New("the connection ended without an answer")

// service is a daemon before three nodes, which is started again and again as systemd does it.
type service struct {
	*apptest.Service
	args []string
}

func newService(t *testing.T) *service {
	t.Helper()
	file := filepath.Join(t.TempDir(), "jwt.hex")
	if err := os.WriteFile(file, []byte(hex.EncodeToString(secret)), 0o600); err != nil {
		t.Fatal(err)
	}
	nodes := []string{startNode(t).url, startNode(t).url, startNode(t).url}
	return &service{apptest.NewService(t),
		[]string{"--nodes", strings.Join(nodes, ","), "--jwt-secret", file, "--evidence-dir", ""}}
}

// start starts it, and returns when it says that it is ready.
func (s *service) start(t *testing.T) *apptest.Process {
	t.Helper()
	cmd := exec.Command(command, s.args...)
	cmd.Env = []string{}
	return s.Start(t, cmd)
}

// forkchoices returns a call that must be VALID: of CLs in turn that have a connection each and keep it, with one call
// at a time; or of one that opens a connection for each call.
func (s *service) forkchoices(t *testing.T, kept int) func(i int) error {
	block := enginetest.Chain(4, 1, nil)[0]
	type turn struct {
		sync.Mutex
		*enginetest.CL
	}
	turns := make([]turn, max(kept, 1))
	for i := range turns {
		turns[i].CL = enginetest.NewCL(t, "http://"+s.Addr.String(), secret)
		turns[i].HTTP.Transport.(*http.Transport).DisableKeepAlives = kept == 0
	}
	return func(i int) error {
		cl := &turns[i%len(turns)]
		if kept > 0 {
			cl.Lock()
			defer cl.Unlock()
		}
		status, err := cl.ForkchoiceUpdated(t.Context(), block, nil)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
			return fmt.Errorf("%w: %w", errBroken, err)
		case err == nil && status.Status != "VALID":
			return fmt.Errorf("got %+v", status)
		}
		return err
	}
}

// pace is calls that are made at a pace, whether those before have been answered or not.
type pace struct {
	answered atomic.Int32
	over     chan struct{}
	stopped  chan struct{}

	mu       sync.Mutex
	outcomes []outcome
}

// outcome is how a call went.
type outcome struct {
	begun time.Time
	took  time.Duration
	err   error
}

func callAtPace(period time.Duration, call func(i int) error) *pace {
	p := &pace{over: make(chan struct{}), stopped: make(chan struct{})}
	go func() {
		defer close(p.stopped)
		tick := time.NewTicker(period)
		defer tick.Stop()
		var calls sync.WaitGroup
		defer calls.Wait()
		for i := 0; ; i++ {
			select {
			case <-tick.C:
				calls.Go(func() { p.make(i, call) })
			case <-p.over:
				return
			}
		}
	}()
	return p
}

// make makes a call and keeps how it went.
func (p *pace) make(i int, call func(i int) error) {
	begun := time.Now()
	err := call(i)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outcomes = append(p.outcomes, outcome{begun, time.Since(begun), err})
	p.answered.Add(1)
}

// stop makes no more calls, and returns how all went when the last one has its answer.
func (p *pace) stop() []outcome {
	close(p.over)
	<-p.stopped
	return p.outcomes
}
