package front

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// socketing is a Front with sockets in a bubble. A message's method says how long its answer takes, and the answer is
// the message itself, or what the test makes of it.
type socketing struct {
	*Front
	pipes
	server  *Server
	answers func(message []byte) [][]byte // nil = the message
	revoked atomic.Bool                   // the secret doesn't count any more
	working atomic.Int32                  // messages that are being answered
	given   atomic.Int32                  // answers that were given up
	taken   atomic.Int32                  // messages
}

// onSockets runs a test in a bubble. Afterwards nothing is taken any more of what sockets share.
func onSockets(t *testing.T, o Options, test func(t *testing.T, s *socketing)) {
	synctest.Test(t, func(t *testing.T) {
		if o.MaxConnections == 0 {
			o.MaxConnections = 10
		}
		o.MaxBody, o.MaxInFlight = 1<<20, 4<<20
		o.Metrics = prometheus.NewRegistry()
		if o.Log == nil {
			o.Log = slog.New(slog.DiscardHandler)
		}
		s := &socketing{Front: New(o), pipes: pipes{make(chan net.Conn), make(chan struct{})}}
		messages := Messages{
			Answer:  s.answer,
			Refuse:  func(start []byte, why string) []byte { return fmt.Appendf(nil, "refused: %s", why) },
			Trusted: func() bool { return !s.revoked.Load() },
		}
		s.server = s.Server(s.Listen(s.pipes), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.ServeSocket(w, r, messages)
		}))
		served := make(chan error, 1)
		go func() { served <- s.server.Run() }()
		test(t, s)
		s.server.Close()
		<-served
		if left := []int64{
			int64(s.sockets.count()), s.all.Used(), s.others.Used(), int64(len(s.slots)),
		}; slices.Max(left) > 0 {
			t.Errorf("sockets, bytes, bytes of others and slots are left: %v", left)
		}
		if !s.Quiet() {
			time.Sleep(nextCall)
		}
		if !s.Quiet() {
			t.Error("a call is in flight at the end")
		}
	})
}

func (s *socketing) answer(ctx context.Context, message []byte) [][]byte {
	s.taken.Add(1)
	s.working.Add(1)
	defer s.working.Add(-1)
	name := method(message[:min(len(message), sniffed)])
	name, _, _ = strings.Cut(name, `"`)
	_, wait, _ := strings.Cut(name, "_")
	switch takes, err := time.ParseDuration(wait); {
	case wait == "panic":
		panic("as the test wants it")
	case err == nil:
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			s.given.Add(1)
			return nil
		}
	}
	if s.answers != nil {
		return s.answers(message)
	}
	return [][]byte{message}
}

// call is a message whose answer takes some time.
func call(takes string) string { return `{"method":"engine_` + takes + `"}` }

// other is one that calls no engine_ method.
func other(takes string) string { return `{"method":"eth_` + takes + `"}` }

// peer is the other side of a socket, frame by frame.
type peer struct {
	net.Conn
	r       *bufio.Reader
	writing chan struct{} // taken for each Write: on net.Pipe's own lock no clock goes on
}

// Write writes what a test likes.
func (p *peer) Write(b []byte) (int, error) {
	p.writing <- struct{}{}
	defer func() { <-p.writing }()
	return p.Conn.Write(b)
}

// frame is one that came.
type frame struct {
	kind byte
	text string
}

// open opens a socket.
func (s *socketing) open(t *testing.T) *peer {
	t.Helper()
	conn, _ := s.dial(t.Context(), "", "")
	t.Cleanup(func() { conn.Close() })
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	p := &peer{conn, bufio.NewReader(conn), make(chan struct{}, 1)}
	resp, err := http.ReadResponse(p.r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%+v, %v", resp, err)
	}
	synctest.Wait()
	return p
}

// framed is a frame from the other side, with a mask that changes nothing. first is its first byte.
func framed(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

const last = 0x80 // the bit of a message's last frame

// send sends a message.
func (p *peer) send(message string) error {
	_, err := p.Write(framed(last|textFrame, message))
	return err
}

// next reads the next frame.
func (p *peer) next() (f frame, err error) {
	var head [2]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return f, err
	}
	size := int64(head[1])
	switch size {
	case 126:
		var n uint16
		err = binary.Read(p.r, binary.BigEndian, &n)
		size = int64(n)
	case 127:
		err = binary.Read(p.r, binary.BigEndian, &size)
	}
	if err != nil {
		return f, err
	}
	text := make([]byte, size)
	_, err = io.ReadFull(p.r, text)
	return frame{head[0] &^ last, string(text)}, err
}

// listen returns what comes, until the end. pong says whether pings are answered.
func (p *peer) listen(pong bool) <-chan frame {
	frames := make(chan frame, 1000)
	go func() {
		defer close(frames)
		for {
			f, err := p.next()
			if err != nil {
				return
			}
			if f.kind == pingFrame && pong {
				go p.Write(framed(last|pongFrame, f.text))
			}
			frames <- f
		}
	}()
	return frames
}

// want fails the test where the next frame but pings isn't as it is to be.
func want(t *testing.T, frames <-chan frame, kind byte, text string) {
	t.Helper()
	for f := range frames {
		if f.kind == pingFrame && kind != pingFrame {
			continue
		}
		if f.kind != kind || !strings.HasPrefix(f.text, text) {
			t.Errorf("got %x %.80q, want %x %q", f.kind, f.text, kind, text)
		}
		return
	}
	t.Errorf("it ended, want %x %q", kind, text)
}

const closeFrame = 0x8

// goodbyeWith is the payload of a close frame begins with.
func goodbyeWith(code uint16) string { return string(binary.BigEndian.AppendUint16(nil, code)) }

// untilEnd returns what comes until the connection ends, and how long that takes.
func untilEnd(frames <-chan frame) (kinds []byte, took time.Duration) {
	begun := time.Now()
	for f := range frames {
		kinds = append(kinds, f.kind)
	}
	return kinds, time.Since(begun)
}

// Who answers pings stays for ever, without a call. Who doesn't answer three is gone.
func TestSocketPings(t *testing.T) {
	onSockets(t, Options{}, func(t *testing.T, s *socketing) {
		lives, hangs := s.open(t), s.open(t)
		frames, silent := lives.listen(true), hangs.listen(false)
		kinds, took := untilEnd(silent)
		if len(kinds) < 2 || bytes.Count(kinds, []byte{pingFrame}) != len(kinds) || took != silence {
			t.Errorf("who is silent is gone after %v and %x", took, kinds)
		}
		time.Sleep(4 * time.Hour)
		lives.send(call("0s"))
		want(t, frames, textFrame, call("0s"))
		lives.Close()
	})
}

// While so many calls are in flight that we read no more, nobody is taken for gone, and nothing is lost.
func TestSocketPausesReading(t *testing.T) {
	onSockets(t, Options{}, func(t *testing.T, s *socketing) {
		p := s.open(t)
		frames := p.listen(true)
		var sending sync.WaitGroup
		sending.Go(func() {
			for range maxMessages {
				p.send(call("10m"))
			}
			p.send(call("1s"))
			p.Write(framed(last|pingFrame, "a ping"))
		})
		time.Sleep(time.Minute)
		if got := s.working.Load(); got != maxMessages {
			t.Errorf("%d are worked on", got)
		}
		if s.Quiet() {
			t.Error("it is quiet")
		}
		got := make(map[frame]int)
		for f := range frames {
			if got[f]++; f.text == call("1s") {
				break
			}
		}
		if got[frame{textFrame, call("10m")}] != maxMessages || got[frame{pongFrame, "a ping"}] != 1 {
			t.Errorf("got %v", got)
		}
		sending.Wait()
		p.Close()
	})
}

// A message has the time of a body, whatever comes between its frames.
func TestSocketSlowMessages(t *testing.T) {
	for name, drip := range map[string][]byte{
		"nothing": nil, "a byte at a time": []byte(" "),
		"empty frames": framed(0, ""), "pings": framed(last|pingFrame, ""),
	} {
		t.Run(name, func(t *testing.T) {
			onSockets(t, Options{}, func(t *testing.T, s *socketing) {
				p := s.open(t)
				frames := p.listen(true)
				begin := framed(textFrame, `{"method":"engine_x",`) // not the last frame of its message
				if name == "a byte at a time" {
					begin = framed(last|textFrame, strings.Repeat(" ", 1000))[:20]
				}
				var sending sync.WaitGroup
				sending.Go(func() {
					_, err := p.Write(begin)
					for err == nil && drip != nil {
						time.Sleep(time.Second)
						_, err = p.Write(drip)
					}
				})
				if _, took := untilEnd(frames); took != bodyTime {
					t.Errorf("it ended after %v", took)
				}
				p.Close()
				sending.Wait()
			})
		})
	}
}

// A reader who stops is cut off, as over HTTP, though it pings. One who goes on, however slowly, gets all of it.
func TestSocketSlowReaders(t *testing.T) {
	for _, c := range []struct {
		name  string
		pause time.Duration // between a writeStep and the next
		cut   bool
	}{
		{"who stops", time.Hour, true},
		{"who goes on", stallTime - time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			onSockets(t, Options{}, func(t *testing.T, s *socketing) {
				s.answers = func([]byte) [][]byte {
					return [][]byte{[]byte("head"), make([]byte, 16*writeStep), []byte("tail")}
				}
				p := s.open(t)
				begun := time.Now()
				p.send(call("0s"))
				pinging := make(chan struct{})
				var pings sync.WaitGroup
				pings.Go(func() {
					for tick := time.NewTicker(time.Second); ; {
						select {
						case <-tick.C:
							p.Write(framed(last|pingFrame, "alive"))
						case <-pinging:
							return
						}
					}
				})
				var got int64
				for {
					n, err := io.CopyN(io.Discard, p.r, writeStep/2)
					if got += n; err != nil || got >= 16*writeStep {
						break
					}
					time.Sleep(c.pause / 2)
				}
				switch gone := s.sockets.count() == 0; {
				case gone != c.cut:
					t.Errorf("gone: %t after %v", gone, time.Since(begun))
				case !c.cut && time.Since(begun) < 2*time.Minute:
					t.Errorf("it had all after %v", time.Since(begun))
				}
				if !c.cut {
					rest := make([]byte, 18) // with the header there are 18 bytes more than the result
					io.ReadFull(p.r, rest[:10+8])
					if !bytes.HasSuffix(rest, []byte("tail")) {
						t.Errorf("it ends with %q", rest)
					}
				}
				close(pinging)
				p.Close()
				pings.Wait()
			})
		})
	}
}

// A flood of pings is answered as far as the other side takes it, costs next to no memory, and holds no call up.
func TestSocketPingFlood(t *testing.T) {
	onSockets(t, Options{}, func(t *testing.T, s *socketing) {
		p := s.open(t)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range 10_000 { // of which none is read yet
			if _, err := p.Write(framed(last|pingFrame, fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		p.send(call("0s"))
		synctest.Wait()
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
			t.Errorf("%d bytes are kept", grown)
		}
		frames := p.listen(true)
		want(t, frames, pongFrame, "")
		f, g := <-frames, <-frames
		if f.kind == pongFrame {
			f, g = g, f
		}
		if f.text != call("0s") || g != (frame{pongFrame, "9999"}) {
			t.Errorf("got %v and %v, want the answer and the last pong", f, g)
		}
		p.Close()
	})
}

// What is too large, and what there is no room for, is refused, and the socket stays. What comes after it is answered.
func TestSocketBounds(t *testing.T) {
	pad := func(m string, size int) string { return m + strings.Repeat(" ", size-len(m)) }
	const mib = 1 << 20 // the largest message; there is room for four, and for two that call no engine_ methods
	onSockets(t, Options{}, func(t *testing.T, s *socketing) {
		p := s.open(t)
		frames := p.listen(true)
		for _, size := range []int{1, sniffed - 1, sniffed, sniffed + 1, 100_000, mib - 1, mib} {
			p.send(pad(call("0s"), max(size, 30)))
			want(t, frames, textFrame, call("0s"))
		}
		for _, size := range []int{mib + 1, 3 * mib, 5 * mib} {
			go p.send(pad(call("0s"), size))
			want(t, frames, textFrame, "refused: request too large: --max-body is 1048576 bytes")
		}
		// In frames, too, of which none is large.
		p.Write(framed(textFrame, pad(call("0s"), 1000)))
		for range 1100 {
			p.Write(framed(0, pad("", 1000)))
		}
		p.Write(framed(last, ""))
		want(t, frames, textFrame, "refused: request too large")

		const noRoom = "refused: too many bytes of requests are being answered ("
		for range 2 {
			p.send(pad(other("1m"), mib))
		}
		p.send(pad(other("1s"), mib))
		want(t, frames, textFrame, noRoom)
		for range 2 {
			p.send(pad(call("1m"), mib))
		}
		p.send(call("1s"))
		want(t, frames, textFrame, noRoom)
		q := s.open(t)
		more := q.listen(true)
		q.send(pad(call("1s"), mib))
		want(t, more, textFrame, noRoom)
		for range 4 {
			want(t, frames, textFrame, `{"method":"e`)
		}
		q.send(pad(call("1s"), mib))
		want(t, more, textFrame, call("1s"))
		p.Close()
		q.Close()
	})
}

// Calls that are no engine_ calls share the slots with those over HTTP, and hold no other up.
func TestSocketOthersTakeTurns(t *testing.T) {
	onSockets(t, Options{}, func(t *testing.T, s *socketing) {
		p, q := s.open(t), s.open(t)
		frames, more := p.listen(true), q.listen(true)
		for range maxOthers - 1 {
			p.send(other("1m"))
		}
		for range 3 {
			q.send(other("1s"))
		}
		synctest.Wait()
		if got := s.working.Load(); got != maxOthers {
			t.Errorf("%d are worked on", got)
		}
		q.send(call("0s"))
		want(t, more, textFrame, call("0s"))
		for range 3 {
			want(t, more, textFrame, other("1s"))
		}
		for range maxOthers - 1 {
			want(t, frames, textFrame, other("1m"))
		}
		p.Close()
		q.Close()
	})
}

// Where there is no room for a connection, the one goes that has been without a call for the longest time, and never
// one that has a call in flight. A socket is one that has had a call.
func TestSocketEviction(t *testing.T) {
	onSockets(t, Options{MaxConnections: 3}, func(t *testing.T, s *socketing) {
		busy, idle := s.open(t), s.open(t)
		frames := busy.listen(true)
		gone := idle.listen(true)
		busy.send(call("1m"))
		synctest.Wait()
		idle.send(call("0s"))
		want(t, gone, textFrame, call("0s"))
		for range 2 { // of which the second takes the place of the first
			conn, _ := s.dial(t.Context(), "", "")
			defer conn.Close()
			synctest.Wait()
		}
		if s.sockets.count() != 2 {
			t.Error("a socket had to go before a connection that never had a call")
		}
		s.open(t).listen(true)
		s.open(t).listen(true)
		untilEnd(gone)
		want(t, frames, textFrame, call("1m"))
		busy.Close()
	})
}

// The end of the process: a socket takes no more calls, answers those that it has, and says that we go. Who doesn't
// answer that is waited for no longer than for its part in it.
func TestSocketGoodbye(t *testing.T) {
	for _, c := range []struct {
		name string
		code uint16
		end  func(s *socketing)
	}{
		{"drain", 1001, func(s *socketing) { s.CloseSockets() }},
		{"another secret", 1008, func(s *socketing) { s.revoked.Store(true); s.CheckSockets() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			onSockets(t, Options{}, func(t *testing.T, s *socketing) {
				s.CheckSockets() // which closes none: the secret counts
				p, idle := s.open(t), s.open(t)
				frames, other := p.listen(true), idle.listen(true)
				p.send(call("1s"))
				p.send(call("2s"))
				synctest.Wait()
				c.end(s)
				c.end(s) // a second time changes nothing
				want(t, other, closeFrame, goodbyeWith(c.code))
				if _, took := untilEnd(other); took != farewell {
					t.Errorf("the idle one ended after %v", took)
				}
				go p.send(call("3s")) // is not taken
				want(t, frames, textFrame, call("1s"))
				want(t, frames, textFrame, call("2s"))
				want(t, frames, closeFrame, goodbyeWith(c.code))
				answered := time.Now()
				p.Write(framed(last|closeFrame, goodbyeWith(c.code)))
				if kinds, _ := untilEnd(frames); len(kinds) > 0 || time.Since(answered) > 0 {
					t.Errorf("%x after the goodbye, and an end after %v", kinds, time.Since(answered))
				}
				// Whoever comes now is sent away, too.
				late := s.open(t)
				want(t, late.listen(true), closeFrame, goodbyeWith(c.code))
				late.Close()
				time.Sleep(farewell)
				if err := s.server.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Shutdown waits for sockets as long as it may, and Close breaks them, and gives up their calls.
func TestSocketsAreCutOff(t *testing.T) {
	onSockets(t, Options{}, func(t *testing.T, s *socketing) {
		p := s.open(t)
		frames := p.listen(true)
		p.send(call("1h"))
		synctest.Wait()
		s.CloseSockets()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.server.Shutdown(ctx); err != context.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
		s.server.Close()
		if s.given.Load() != 1 || s.working.Load() != 0 {
			t.Error("the call goes on")
		}
		untilEnd(frames)
	})
}

// Whoever goes, with or without a word, has its calls given up, and half of a message is no message.
func TestSocketHangUps(t *testing.T) {
	for name, leave := range map[string]func(p *peer){
		"a close":          func(p *peer) { p.Write(framed(last|closeFrame, goodbyeWith(1000))) },
		"no word":          func(p *peer) {},
		"half a message":   func(p *peer) { p.Write(framed(last|textFrame, call("0s"))[:15]) },
		"a frame of two":   func(p *peer) { p.Write(framed(textFrame, call("0s"))) },
		"no mask":          func(p *peer) { p.Write([]byte{last | textFrame, 1, 'x'}) },
		"no such frame":    func(p *peer) { p.Write(framed(last|3, "x")) },
		"a reserved bit":   func(p *peer) { p.Write(framed(last|0x40|textFrame, "x")) },
		"no first frame":   func(p *peer) { p.Write(framed(last, "x")) },
		"a large ping":     func(p *peer) { p.Write(framed(last|pingFrame, strings.Repeat("x", 126))) },
		"half a ping":      func(p *peer) { p.Write(framed(pingFrame, "x")) },
		"a negative size":  func(p *peer) { p.Write([]byte{last | textFrame, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0}) },
		"an odd goodbye":   func(p *peer) { p.Write(framed(last|closeFrame, "x")) },
		"two messages mix": func(p *peer) { p.Write(framed(textFrame, "{")); p.Write(framed(textFrame, "{")) },
	} {
		t.Run(name, func(t *testing.T) {
			onSockets(t, Options{}, func(t *testing.T, s *socketing) {
				p := s.open(t)
				frames := p.listen(true)
				p.send(call("1h"))
				synctest.Wait()
				go leave(p)
				synctest.Wait()
				p.Close()
				if kinds, _ := untilEnd(frames); bytes.IndexByte(kinds, textFrame) >= 0 {
					t.Errorf("an answer came: %x", kinds)
				}
				synctest.Wait()
				if s.given.Load() != 1 || s.taken.Load() != 1 || s.sockets.count() != 0 {
					t.Errorf("%d of %d calls were given up, and %d sockets are left",
						s.given.Load(), s.taken.Load(), s.sockets.count())
				}
			})
		})
	}
}

// A handler that panics ends its socket, is logged, and nothing else.
func TestSocketPanics(t *testing.T) {
	var log bytes.Buffer
	onSockets(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, func(t *testing.T, s *socketing) {
		p, q := s.open(t), s.open(t)
		frames, more := p.listen(true), q.listen(true)
		p.send(call("panic"))
		untilEnd(frames)
		q.send(call("0s"))
		want(t, more, textFrame, call("0s"))
		q.Close()
	})
	if !strings.Contains(log.String(), "as the test wants it") {
		t.Errorf("logged: %s", log.String())
	}
}
