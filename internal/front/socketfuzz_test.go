package front

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
)

// Whatever comes after the handshake, nothing panics, what we send are frames of kinds that there are, nothing is left
// of the socket when the other side has gone, and others go on.
func FuzzSocket(f *testing.F) {
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	for _, seed := range [][]byte{
		framed(last|textFrame, call("0s")),
		join(framed(last|textFrame, call("1h")), framed(last|textFrame, other("1s"))),
		join(framed(textFrame, `{"method":`), framed(last|pingFrame, "p"), framed(last, `"eth_x"}`)),
		join(framed(last|closeFrame, goodbyeWith(1000)), framed(last|textFrame, call("0s"))),
		framed(last|textFrame, strings.Repeat("[", 70_000)),
		framed(last|pongFrame, "nobody asked"),
		{last | textFrame, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4, 'x'},
		{last | textFrame, 1, 'x'},
		{last | 0x70 | textFrame, 0x80, 0, 0, 0, 0},
		framed(last|textFrame, call("panic")),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		var log bytes.Buffer
		debug := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		onSockets(t, Options{Log: debug}, func(t *testing.T, s *socketing) {
			p, bystander := s.open(t), s.open(t)
			frames, others := p.listen(true), bystander.listen(true)
			go p.Write(sent)
			synctest.Wait()
			bystander.send(call("0s"))
			want(t, others, textFrame, call("0s"))
			p.Close()
			for f := range frames {
				if !strings.ContainsRune("\x01\x08\x09\x0a", rune(f.kind)) {
					t.Errorf("a frame of kind %x", f.kind)
				}
			}
			synctest.Wait()
			if n := s.sockets.count(); n != 1 {
				t.Errorf("%d sockets are left", n)
			}
			bystander.Close()
		})
		panicked := strings.Contains(log.String(), "broke off") || strings.Contains(log.String(), "panic serving")
		if wanted := bytes.Contains(sent, []byte("panic")); panicked && !wanted {
			t.Errorf("logged: %s", log.String())
		}
	})
}
