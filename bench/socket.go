package main

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// upgrade makes a WebSocket connection of the wire's. What is sent and expected from then on are its messages.
func (w *wire) upgrade(token string) error {
	_, err := fmt.Fprintf(w, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\n"+
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", token)
	if err != nil {
		return err
	}
	first, _, _, err := w.start()
	if err == nil && !strings.HasPrefix(first, "HTTP/1.1 101 ") {
		err = fmt.Errorf("the handshake got %s", first)
	}
	w.socket = true
	return err
}

// frameHead is what stands before a message of size bytes: of a mask that changes none of them.
func frameHead(size int) []byte {
	const lastText, masked = 0x81, 0x80
	h := []byte{lastText, masked | 127}
	h = binary.BigEndian.AppendUint64(h, uint64(size))
	return append(h, 0, 0, 0, 0)
}

// frame reads one message, which is one frame, past pings. Of it only what fits into prefix is kept: n bytes, of total.
func (w *wire) frame(prefix []byte) (n, total int, err error) {
	const ping = 0x89 // without a payload; our calls show that we live
	head := [8]byte{ping}
	for head[0] == ping {
		if _, err := w.take(head[:2], 2); err != nil {
			return 0, 0, err
		}
	}
	total = int(head[1])
	switch total {
	case 126:
		_, err = w.take(head[:2], 2)
		total = int(binary.BigEndian.Uint16(head[:2]))
	case 127:
		_, err = w.take(head[:8], 8)
		total = int(binary.BigEndian.Uint64(head[:8]))
	}
	if err != nil {
		return 0, 0, err
	}
	n, err = w.take(prefix, total)
	return n, total, err
}
