package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"executionbackup/internal/auth"
)

// bench has what is measured: the ways that a call can take.
type bench struct {
	options
	ways []*way
	stop []func()
}

// way is where a call goes: one address, or several at once.
type way struct {
	name      string
	addresses []string
	nodes     int // that have the call in the end; in shadow mode 1, which answers
	process   *process
	daemon    *daemon
	socket    bool // over WebSocket
}

func newBench(ctx context.Context, o options) (*bench, error) {
	b := &bench{options: o}
	nodes, stop, err := nodeProcess(allNodes)
	if err != nil {
		return b, err
	}
	b.stop = append(b.stop, stop)
	if o.state {
		return b, b.addStateWays(ctx, nodes[:3])
	}
	if o.shadow {
		return b, b.addShadowWays(ctx, nodes)
	}
	b.ways = []*way{
		{name: "direct", addresses: nodes[:1], nodes: 1},
		{name: "direct to 3", addresses: nodes[:3], nodes: 3},
		{name: "direct to 8", addresses: nodes[:8], nodes: 8},
	}
	for _, n := range []int{1, 3, 8} {
		name, dir := fmt.Sprintf("ExecutionBackup, %d", n), file(fmt.Sprint("state-", n))
		if err := b.addDaemon(ctx, name, o.program, dir, nodes[:n]); err != nil {
			return b, err
		}
	}
	socket := *b.ways[len(b.ways)-2] // the one with three nodes, by another door
	socket.name, socket.socket = socket.name+", WebSocket", true
	b.ways = append(b.ways, &socket)
	if o.against != "" {
		if err := b.addDaemon(ctx, "the other one, 3", o.against, file("state-other"), nodes[:3]); err != nil {
			return b, err
		}
	}
	if err := b.addProbes(nodes[:3]); err != nil {
		return b, err
	}
	for _, p := range []struct {
		name  string
		start func(context.Context, string) (*process, string, error)
	}{{"nginx", startNginx}, {"HAProxy", startHAProxy}} {
		process, address, err := p.start(ctx, nodes[0])
		if process != nil {
			b.add(&way{name: p.name, addresses: []string{address}, nodes: 1, process: process})
		}
		if err != nil {
			return b, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return b, nil
}

// addStateWays adds an ExecutionBackup without a state directory, which is the limit; the same once more, to show how
// far two that are equal differ; and one with it.
func (b *bench) addStateWays(ctx context.Context, nodes []string) error {
	return errors.Join(
		b.addDaemon(ctx, stateless, b.program, "", nodes),
		b.addDaemon(ctx, "once more", b.program, "", nodes),
		b.addDaemon(ctx, "with one", b.program, file("state"), nodes),
	)
}

// addProbes adds the probes before nodes.
func (b *bench) addProbes(nodes []string) error {
	for _, kind := range []string{"raw probe", "net/http probe"} {
		p, address, err := startProbe(kind, nodes)
		if p != nil {
			name := fmt.Sprintf("%s, %d", kind, len(nodes))
			b.add(&way{name: name, addresses: []string{address}, nodes: len(nodes), process: p})
		}
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

// addShadowWays adds the limit, which is the node that answers; the probes and an ExecutionBackup before it alone; one
// that judges three; and shadow mode before three: all well, one of the others hanging, one late.
func (b *bench) addShadowWays(ctx context.Context, nodes []string) error {
	b.ways = []*way{
		{name: "direct", addresses: nodes[:1], nodes: 1},
		{name: "direct to 3", addresses: nodes[:3], nodes: 3},
	}
	if err := b.addProbes(nodes[:1]); err != nil {
		return err
	}
	for _, n := range []int{1, 3} {
		name, dir := fmt.Sprintf("ExecutionBackup, %d", n), file(fmt.Sprint("state-", n))
		if err := b.addDaemon(ctx, name, b.program, dir, nodes[:n]); err != nil {
			return err
		}
	}
	for i, third := range []int{objector, hanging, late} {
		d, err := startDaemon(ctx, b.program, file(fmt.Sprint("state-shadow-", i)),
			[]string{nodes[0], nodes[1], nodes[third]}, "--mode", "shadow", "--shadow-node", "http://"+nodes[0])
		if d != nil {
			b.add(&way{name: shadowWays[i], addresses: []string{d.address}, nodes: 1, process: d.process, daemon: d})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// shadowWays are before three nodes, and their limit is direct to the one that answers.
var shadowWays = []string{"shadow mode", "shadow mode, one hangs", "shadow mode, one is late"}

const stateless = "no state directory, 3"

func (b *bench) addDaemon(ctx context.Context, name, program, stateDir string, nodes []string) error {
	d, err := startDaemon(ctx, program, stateDir, nodes)
	if d != nil {
		b.add(&way{name: name, addresses: []string{d.address}, nodes: len(nodes), process: d.process, daemon: d})
	}
	return err
}

func (b *bench) add(w *way) {
	b.ways = append(b.ways, w)
	b.stop = append(b.stop, w.process.stop)
}

func (b *bench) close() {
	for _, stop := range b.stop {
		stop()
	}
}

// idle returns the memory of an ExecutionBackup with three nodes that only probes, in MB.
func (b *bench) idle(ctx context.Context) float64 {
	select {
	case <-time.After(5 * time.Second):
	case <-ctx.Done():
	}
	for _, w := range b.ways {
		if w.daemon != nil && w.nodes == 3 {
			return megabytes(w.process.memory("VmRSS"))
		}
	}
	return 0
}

// measurement is what one way showed.
type measurement struct {
	*way
	callers []*caller
	took    []time.Duration // of every call
	medians []time.Duration // of each round; with several callers, the time of the round by the number of its calls
	cpu     time.Duration
	calls   int
}

// measure takes one workload through all ways, round after round.
func (b *bench) measure(ctx context.Context, w *workload) ([]Row, error) {
	var all []*measurement
	for _, y := range b.ways {
		if w.single && y.name != "direct" && len(y.addresses) > 1 {
			continue
		}
		m := &measurement{way: y}
		for range w.callers {
			c, err := connect(y, len(w.body) > 64<<10 || w.prepare != nil)
			if err != nil {
				return nil, err
			}
			defer c.close()
			m.callers = append(m.callers, c)
		}
		all = append(all, m)
	}
	for _, m := range all { // what follows is the steady state
		if err := m.warmUp(w); err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
	}
	for round := range b.rounds {
		for i := range all {
			m := all[(i+round)%len(all)]
			if err := m.round(w); err != nil {
				return nil, fmt.Errorf("%s: %w", m.name, err)
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
	}
	rows, err := rows(ctx, w, all)
	if err == nil && b.profiles != "" {
		err = b.profile(ctx, w, all)
	}
	return rows, err
}

func (m *measurement) warmUp(w *workload) error {
	if m.process != nil {
		m.process.forget()
	}
	if m.daemon != nil && w.past > 0 { // INVALID takes nodes that have followed
		if _, err := m.calling(w, 1); err != nil {
			return err
		}
	}
	if w.prepare != nil {
		if _, err := m.callers[0].call(w.prepare, w.prepared); err != nil {
			return err
		}
	}
	if m.daemon != nil && w.past > 0 {
		pause := w.pause
		w.pause = 0
		if _, err := m.calling(w, w.past); err != nil {
			return err
		}
		w.pause = pause
	}
	_, err := m.calling(w, max(1, w.slice/4))
	return err
}

// round makes a slice of calls.
func (m *measurement) round(w *workload) error {
	var before time.Duration
	if m.process != nil {
		before = m.process.cpu()
	}
	begun := time.Now()
	took, err := m.calling(w, w.slice)
	elapsed := time.Since(begun)
	if err != nil {
		return err
	}
	if m.process != nil {
		m.cpu += m.process.cpu() - before
	}
	m.calls += len(took)
	m.took = append(m.took, took...)
	if w.callers > 1 {
		m.medians = append(m.medians, elapsed/time.Duration(len(took)))
	} else {
		m.medians = append(m.medians, percentile(took, 50))
	}
	return nil
}

// calling lets every caller make n calls, one after the other.
func (m *measurement) calling(w *workload, n int) ([]time.Duration, error) {
	times := make([][]time.Duration, len(m.callers))
	failures := make([]error, len(m.callers))
	one := func(i int) {
		for range n {
			if w.next != nil {
				w.next()
			}
			time.Sleep(w.pause)
			t, err := m.callers[i].call(w.body, w.want)
			if err != nil {
				failures[i] = err
				return
			}
			times[i] = append(times[i], t)
		}
	}
	if len(m.callers) == 1 {
		one(0)
	} else {
		var wait sync.WaitGroup
		for i := range m.callers {
			wait.Go(func() { one(i) })
		}
		wait.Wait()
	}
	var all []time.Duration
	for _, t := range times {
		all = append(all, t...)
	}
	return all, errors.Join(failures...)
}

// profile keeps ExecutionBackup with three nodes busy while it is profiled.
func (b *bench) profile(ctx context.Context, w *workload, all []*measurement) error {
	const seconds = 3
	for _, m := range all {
		if m.daemon == nil || m.nodes != 3 || m.socket {
			continue
		}
		done := make(chan error, 1)
		go func() {
			name := strings.NewReplacer(" ", "-", ",", "").Replace(w.name)
			done <- m.daemon.profile(ctx, seconds, filepath.Join(b.profiles, name))
		}()
		for {
			select {
			case err := <-done:
				return err
			default:
			}
			if _, err := m.calling(w, max(1, w.slice/4)); err != nil {
				return err
			}
		}
	}
	return os.ErrNotExist
}

// caller is a consensus client: its connections, one for each address.
type caller struct {
	wires  []*wire
	socket bool // over WebSocket
	heavy  bool // calls or answers are so large that they are better moved side by side
	token  string
	minted time.Time
}

func connect(y *way, heavy bool) (*caller, error) {
	c := &caller{heavy: heavy, socket: y.socket}
	for _, a := range y.addresses {
		conn, err := net.Dial("tcp", a)
		if err != nil {
			return nil, err
		}
		w := newWire(conn)
		c.wires = append(c.wires, w)
		if err := c.mint(); err != nil {
			return nil, err
		}
		if y.socket {
			if err := w.upgrade(c.token); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

// mint makes a new token, where the last one is old.
func (c *caller) mint() error {
	if time.Since(c.minted) <= 10*time.Second {
		return nil
	}
	s, err := auth.ParseSecret(secret)
	c.minted = time.Now()
	c.token = s.Token(c.minted)
	return err
}

func (c *caller) close() {
	for _, w := range c.wires {
		w.Close()
	}
}

// call sends a call to all addresses and returns how long it took until all answers were there. Each must contain want.
func (c *caller) call(body []byte, want string) (time.Duration, error) {
	if err := c.mint(); err != nil {
		return 0, err
	}
	head := fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", c.token, len(body))
	if c.socket {
		head = frameHead(len(body))
	}
	begun := time.Now()
	err := c.exchange(head, body, want)
	return time.Since(begun), err
}

func (c *caller) exchange(head, body []byte, want string) error {
	if len(c.wires) > 1 && c.heavy {
		return c.sideBySide(head, body, want)
	}
	for _, w := range c.wires {
		if err := w.send(head, body); err != nil {
			return err
		}
	}
	for _, w := range c.wires {
		if err := w.expect(want); err != nil {
			return err
		}
	}
	return nil
}

func (c *caller) sideBySide(head, body []byte, want string) error {
	failures := make([]error, len(c.wires))
	var wait sync.WaitGroup
	for i, w := range c.wires {
		wait.Go(func() {
			if failures[i] = w.send(head, body); failures[i] == nil {
				failures[i] = w.expect(want)
			}
		})
	}
	wait.Wait()
	return errors.Join(failures...)
}
