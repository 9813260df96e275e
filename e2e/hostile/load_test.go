//go:build e2e

package hostile

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"executionbackup/internal/enginetest"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// verdict sends a payload and returns how long the verdict took, which must be VALID.
func (d *daemon) verdict(p enginetest.Payload) time.Duration {
	d.t.Helper()
	begun := time.Now()
	status, err := d.NewPayload(d.t.Context(), p)
	if err != nil || status.Status != "VALID" {
		d.t.Fatalf("newPayload %d: %+v, %v", p.Number, status, err)
	}
	return time.Since(begun)
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// callers call eth_call side by side, each the next as soon as it has its answer, as long as run is open.
type callers struct {
	running sync.WaitGroup
	stop    context.CancelFunc
	calls   []int // of each
	failed  []error
}

func (d *daemon) call(n int) *callers {
	ctx, stop := context.WithCancel(d.t.Context())
	c := &callers{stop: stop, calls: make([]int, n), failed: make([]error, n)}
	for i := range n {
		c.running.Go(func() {
			for ctx.Err() == nil {
				if _, err := d.Call(ctx, "eth_call", map[string]string{"to": "0x00"}, "latest"); err == nil {
					c.calls[i]++
				} else if ctx.Err() == nil {
					c.failed[i] = err
				}
			}
		})
	}
	return c
}

// end stops the callers and returns how many calls had an answer.
func (c *callers) end(t *testing.T) (calls int) {
	t.Helper()
	c.stop()
	c.running.Wait()
	for i := range c.calls {
		calls += c.calls[i]
		if c.failed[i] != nil {
			t.Errorf("eth_call: %v", c.failed[i])
		}
	}
	return calls
}

// While 256 callers read the chain, verdicts don't take more than half as long again: the median of as many with them
// as without, in turns, so that whatever else the machine does falls on both. Nodes take 100 ms over a payload, as
// they do on mainnet, and 200 ms over an eth_call. With fifteen other processes for each core a verdict took a third
// longer; with all 256 calls on their way to the nodes at once it took more than twice as long.
func TestVerdictsUnderLoad(t *testing.T) {
	nodes := []*node{startNode(t), startNode(t)}
	for _, n := range nodes {
		n.set("newPayload", 100*time.Millisecond, nil)
		n.set("eth_call", 200*time.Millisecond, nil)
	}
	d := start(t, []string{nodes[0].url, nodes[1].url})
	quiet, loaded, calls := []time.Duration{}, []time.Duration{}, 0
	chain := enginetest.Chain(4, 100, enginetest.Pad(100<<10))
	begun := time.Now()
	for len(chain) > 0 {
		for _, p := range chain[:5] {
			quiet = append(quiet, d.verdict(p))
		}
		c := d.call(256)
		for _, p := range chain[5:10] {
			loaded = append(loaded, d.verdict(p))
		}
		calls += c.end(t)
		chain = chain[10:]
	}
	q, l := median(quiet), median(loaded)
	t.Logf("median verdict: %v without callers, %v with 256, who made %d calls in about %v",
		q, l, calls, time.Since(begun)/2)
	if l > q+q/2 {
		t.Errorf("verdicts take %v with 256 callers, and %v without", l, q)
	}
	if calls < 256*2 {
		t.Errorf("the callers made %d calls", calls)
	}
}

// Two thousand connections that say nothing and two hundred that dribble, half of them with a good token, are no
// concern of the CL's.
func TestIdleAndSlowConnections(t *testing.T) {
	n := startNode(t)
	d := start(t, []string{n.url})
	chain := enginetest.Chain(4, 60, nil)
	for _, p := range chain[:20] {
		d.verdict(p)
	}
	before := d.level()
	address := strings.TrimPrefix(d.URL, "http://")
	var conns []net.Conn
	dial := func(text string) {
		t.Helper()
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		conn.Write([]byte(text))
	}
	for range 2000 {
		dial("")
	}
	for range 100 {
		dial("POST / HTTP/1.1\r\nHost: x\r\n")
		dial("POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + enginetest.Token(secret, time.Now()) +
			"\r\nContent-Length: 100000000\r\n\r\n")
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for _, p := range chain[20:] {
		<-tick.C
		for _, conn := range conns[2000:] {
			conn.Write([]byte(" ")) // continues a header's line, and a body
		}
		if took := d.verdict(p); took > 500*time.Millisecond {
			t.Errorf("a verdict took %v", took)
		}
	}
	during := d.level()
	t.Logf("before: %v", before)
	t.Logf("with 2,200 connections: %v", during)
	if open := d.Metric(t, "executionbackup_connections"); open > 1024 {
		t.Errorf("%v connections are open", open)
	}
	if during.resident > before.resident+100<<20 {
		t.Error("connections take more than 100 MB")
	}
	for _, conn := range conns {
		conn.Close()
	}
	d.settles(before, 8<<20)
	if peak := d.level().peak; peak > during.peak+50<<20 {
		t.Errorf("bodies that never came took %d MB", (peak-during.peak)>>20)
	}
}

// settles waits for the level to be what it was, within a margin for the heap.
func (d *daemon) settles(want level, heap int) {
	d.t.Helper()
	var now level
	for begun := time.Now(); time.Since(begun) < 30*time.Second; {
		now = d.level() // takes a while, and makes some garbage
		if now.goroutines <= want.goroutines+10 && now.descriptors <= want.descriptors+10 &&
			now.live <= want.live+heap {
			d.t.Logf("afterwards: %v", now)
			return
		}
	}
	d.t.Errorf("it was %v, and stays at %v", want, now)
}

// An hour's payloads as fast as possible, twice: after the second hour the process has what it had after the first.
func TestHourOfPayloads(t *testing.T) {
	nodes := []*node{startNode(t), startNode(t), startNode(t)}
	d := start(t, []string{nodes[0].url, nodes[1].url, nodes[2].url}, "--replay-bytes", "16MiB")
	fresh := d.level()
	var after [2]level
	parent := enginetest.Genesis(4)
	pad := enginetest.Pad(64 << 10)
	for i := range after {
		begun := time.Now()
		for range 300 {
			parent = parent.Child(pad)
			d.verdict(parent)
			if status, err := d.ForkchoiceUpdated(t.Context(), parent, nil); err != nil || status.Status != "VALID" {
				t.Fatalf("forkchoiceUpdated %d: %+v, %v", parent.Number, status, err)
			}
		}
		after[i] = d.level()
		t.Logf("300 slots in %v: %v", time.Since(begun), after[i])
	}
	// What may be kept: 16 MiB of payloads, and about as much that came since the last collection.
	d.settles(fresh, 16<<20+16<<20)
	if after[1].live > after[0].live+8<<20 {
		t.Errorf("the second hour left %d MB more", (after[1].live-after[0].live)>>20)
	}
}
