// Package apptest runs ExecutionBackup in tests: a Multiplexer in this process, or a Process of its own. A Client talks
// to either, a Logbook keeps what they say, and Patience is how long tests wait. Its fellow enginetest plays the
// execution clients and the consensus client. The daemon imports neither.
//
//	nodes := []*enginetest.Node{enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{})}
//	m := apptest.Start(t, apptest.Options{Nodes: apptest.Fakes(nodes...)})
//	m.NewPayload(t.Context(), enginetest.Chain(4, 1, nil)[0]) // VALID
//	m.Node(t, "n1").Primary
package apptest

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"executionbackup/internal/admin"
	"executionbackup/internal/app"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// Multiplexer is an ExecutionBackup in this process, on a port of its own, with the client that talks to it.
type Multiplexer struct {
	Client
	App    *app.App
	Config *config.Config // with which it was started
	Log    *Logbook
	Stop   func() // drains; called at the end of the test at the latest

	next atomic.Pointer[next] // what a reload reads
}

// next is a configuration, or what is wrong with it.
type next struct {
	c   *config.Config
	err error
}

// Options say what a multiplexer runs with. Only the nodes must be there.
type Options struct {
	Nodes    []Node
	Secret   []byte               // that the CL shares with it; nil = CLSecret
	Settings map[string]string    // flags of the command line, without dashes
	Change   func(*config.Config) // has the last word, where it isn't nil
	Listener net.Listener         // where it listens; nil = on a free port
}

// CLSecret is a secret that the CL shares with the multiplexer, and with no node.
var CLSecret = bytes.Repeat([]byte{0xc1}, 32)

func (o Options) secret() []byte {
	if o.Secret == nil {
		return CLSecret
	}
	return o.Secret
}

// Node says how a node is configured.
type Node struct {
	URL      string
	Secret   []byte
	Name     string        // "" = n1, n2, … by its place
	Timeout  time.Duration // 0 = the multiplexer's; whole milliseconds
	DoNotUse bool
	Shadow   bool
	Backup   bool
	Fake     *enginetest.Node // if not nil, it must see good tokens only, and none of the CL's
}

// Fakes are enginetest nodes, configured under the names n1, n2, ….
func Fakes(nodes ...*enginetest.Node) (list []Node) {
	for i, n := range nodes {
		list = append(list, Node{Fake: n, URL: n.URL, Secret: n.Secret, Name: fmt.Sprintf("n%d", i+1)})
	}
	return list
}

// Start runs a multiplexer until the end of the test, and returns when its nodes have been probed.
func Start(t testing.TB, o Options) *Multiplexer {
	t.Helper()
	m := Run(t, o)
	m.WaitReady(t)
	return m
}

// WaitReady returns when the nodes have been probed.
func (m *Multiplexer) WaitReady(t testing.TB) {
	t.Helper()
	Try(t, Patience, func() error { return m.IsReady(t.Context()) })
}

// Run is Start without waiting for the probes.
func Run(t testing.TB, o Options) *Multiplexer {
	t.Helper()
	c, book := Configuration(t, o), new(Logbook)
	log := slog.NewTextHandler(io.MultiWriter(book, t.Output()), &slog.HandlerOptions{Level: c.LogLevel})
	m := &Multiplexer{Config: c, Log: book}
	m.next.Store(&next{c: c})
	a, err := app.New(app.Options{Config: c, Log: slog.New(log), Listener: o.Listener,
		Load: func() (*config.Config, error) { n := m.next.Load(); return n.c, n.err }})
	if err != nil {
		t.Fatal(err)
	}
	m.Client, m.App, m.Stop = NewClient(t, "http://"+a.Addr().String(), o.secret()), a, run(t, a)
	t.Cleanup(func() {
		for _, n := range o.Nodes {
			n.check(t)
		}
		m.Stop()
	})
	return m
}

// Reload makes c what the multiplexer reads, and has it do so.
func (m *Multiplexer) Reload(c *config.Config) admin.Reload {
	m.next.Store(&next{c: c})
	return m.App.Reload("a test")
}

// FailToReload has the multiplexer read a configuration that is no good.
func (m *Multiplexer) FailToReload(err error) admin.Reload {
	m.next.Store(&next{err: err})
	return m.App.Reload("a test")
}

// run runs an app until stop is called, and fails the test unless it ends well.
func run(t testing.TB, a *app.App) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// check closes a fake, because what still hangs there would hold up the drain, and looks at the tokens that it saw.
func (n Node) check(t testing.TB) {
	if n.Fake == nil {
		return
	}
	n.Fake.Close()
	if v := n.Fake.Violations(); len(v) > 0 {
		t.Errorf("%s saw tokens that it shouldn't: %v", n.Name, v)
	}
}

// Configuration has the default of every setting that the options don't name, whatever the environment says, except
// that it takes a free port.
func Configuration(t testing.TB, o Options) *config.Config {
	t.Helper()
	flags := map[string][]string{"jwt-secret": {"cl"}, "port": {"0"}}
	secrets := map[string][]byte{"cl": o.secret()}
	for i, n := range o.Nodes {
		place := fmt.Sprintf("n%d", i+1)
		secrets[place] = n.Secret
		flags["nodes"] = append(flags["nodes"], n.specification(place))
	}
	for key, value := range o.Settings {
		flags[key] = []string{value}
	}
	c, err := config.Load(config.Inputs{Flags: flags, ReadFile: func(path string) ([]byte, error) {
		if secret, ok := secrets[path]; ok {
			return []byte(hex.EncodeToString(secret)), nil
		}
		return config.ReadFile(path)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if o.Change != nil {
		o.Change(c)
	}
	return c
}

// specification is the node as a flag has it. Its place names it where it has no name, and the file of its secret.
func (n Node) specification(place string) string {
	if n.Name == "" {
		n.Name = place
	}
	text := fmt.Sprintf("%s#name=%s#jwt-secret=%s", n.URL, n.Name, place)
	if n.Timeout > 0 {
		text += fmt.Sprintf("#timeout=%d", n.Timeout.Milliseconds())
	}
	if n.DoNotUse {
		text += "#do-not-use"
	}
	if n.Shadow {
		text += "#shadow"
	}
	if n.Backup {
		text += "#backup"
	}
	return text
}
