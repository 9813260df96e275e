package enginetest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"
)

// write sends an answer as any server does.
func write(w http.ResponseWriter, reply Reply) {
	w.Header().Set("Content-Type", "application/json")
	maps.Copy(w.Header(), reply.Header)
	w.Header().Set("Content-Length", strconv.Itoa(len(reply.Body)))
	w.WriteHeader(cmp.Or(reply.Status, http.StatusOK))
	io.WriteString(w, reply.Body)
}

// writeRaw sends an answer as it stands, past net/http, which would correct or refuse it. The connection ends with it.
func writeRaw(w http.ResponseWriter, r *http.Request, reply Reply, fault Fault) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer conn.Close()
	defer context.AfterFunc(r.Context(), func() { conn.Close() })() // the node closes

	head, body := reply.head(fault), []byte(reply.Body)
	switch fault {
	case Reset:
		reset(conn)
	case Hangup:
	case ResetMidway:
		conn.Write(append(head, body[:len(body)/2]...))
		reset(conn)
	case Truncated:
		conn.Write(append(head, body[:len(body)/2]...))
	case Drip, Endless:
		conn.Write(head)
		drip(r.Context(), conn, body, fault == Endless)
	case Flood:
		conn.Write(append(head, body...))
		for space := bytes.Repeat([]byte(" "), 1<<15); err == nil; {
			_, err = conn.Write(space)
		}
	default:
		conn.Write(append(head, body...))
	}
}

// head returns the status line and the header. An answer without an end has no length.
func (reply Reply) head(fault Fault) []byte {
	header := http.Header{"Content-Type": {"application/json"}, "Connection": {"close"}}
	if fault != Endless && fault != Flood {
		header.Set("Content-Length", strconv.Itoa(len(reply.Body)))
	}
	maps.Copy(header, reply.Header)
	status := cmp.Or(reply.Status, http.StatusOK)
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	header.Write(&b)
	b.WriteString("\r\n")
	return b.Bytes()
}

// drip writes a body byte by byte until it or the connection ends, and white space after it if endless.
func drip(ctx context.Context, conn net.Conn, body []byte, endless bool) {
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for i := 0; i < len(body) || endless; i++ {
		next := byte(' ')
		if i < len(body) {
			next = body[i]
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
		if _, err := conn.Write([]byte{next}); err != nil {
			return
		}
	}
}

// reset makes the close of a connection an RST.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
}
