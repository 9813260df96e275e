package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Some nodes are special: one calls disputed payloads INVALID; one never answers a newPayload or forkchoiceUpdated, and
// one takes long over it.
const (
	objector = 2
	hanging  = 8
	late     = 9
	lateBy   = 100 * time.Millisecond
	allNodes = 10
)

// serve is the execution client with a number, which answers at once. It returns when the listener is closed.
func serve(l net.Listener, answers map[string][]byte, number int) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			w := newWire(conn)
			var start [8 << 10]byte // has all that is looked at
			for {
				_, n, _, err := w.receive(start[:])
				if err != nil {
					return
				}
				if isVerdict(start[:n]) {
					switch number {
					case hanging:
						io.Copy(io.Discard, conn)
						return
					case late:
						time.Sleep(lateBy)
					}
				}
				body := answer(start[:n], answers, number == objector)
				head := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"+
					"Content-Length: %d\r\n\r\n", len(body))
				if err := w.send(head, body); err != nil {
					return
				}
			}
		}()
	}
}

// isVerdict reports whether a call, of which it sees the start, is a newPayload or forkchoiceUpdated.
func isVerdict(call []byte) bool {
	method := after(call, `"method":"`, '"')
	return strings.HasPrefix(method, "engine_newPayload") || strings.HasPrefix(method, "engine_forkchoiceUpdated")
}

// answer is what a client that has everything and finds all valid says to a call, of which it sees the start. The
// caller's id is always 1.
func answer(call []byte, answers map[string][]byte, objects bool) []byte {
	method := after(call, `"method":"`, '"')
	switch {
	case strings.HasPrefix(method, "engine_newPayload"):
		if bytes.Contains(call, []byte(badBlock)) || objects && bytes.Contains(call, []byte(disputedBlock)) {
			return reply(`{"status":"INVALID","latestValidHash":null,"validationError":"bad"}`)
		}
		return reply(status(after(call, `"blockHash":"`, '"')))
	case strings.HasPrefix(method, "engine_forkchoiceUpdated"):
		id := "null"
		if recipient := after(call, `"suggestedFeeRecipient":"`, '"'); recipient != "" {
			id = `"` + payloadID(recipient) + `"`
		}
		return reply(`{"payloadStatus":` + status(after(call, `"headBlockHash":"`, '"')) + `,"payloadId":` + id + `}`)
	case strings.HasPrefix(method, "engine_getPayload"):
		return answers[after(call, `"params":["`, '"')]
	case strings.HasPrefix(method, "engine_getBlobs"):
		return answers[fmt.Sprint(bytes.Count(call, []byte(`0x`)), " blobs")]
	case method == "eth_getBlockByNumber":
		return reply(`{"number":"0x0","hash":"0x` + strings.Repeat("01", 32) + `"}`)
	case method == "eth_syncing":
		return reply(`false`)
	case method == "eth_chainId":
		return reply(`"0x1"`)
	case method == "eth_blockNumber":
		return blockNumber
	}
	return []byte(`{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"unknown method"}}`)
}

var blockNumber = reply(`"0x1234567"`)

func reply(result string) []byte {
	return []byte(`{"jsonrpc":"2.0","id":1,"result":` + result + "}\n")
}

func status(hash string) string {
	return `{"status":"VALID","latestValidHash":"` + hash + `","validationError":null}`
}

// payloadID makes the id of a build from the fee recipient in its attributes, so that builds of several sizes can be
// asked for.
func payloadID(recipient string) string { return "0x" + strings.ToLower(recipient[len(recipient)-16:]) }

// after returns what stands in text between a mark and the next end; "" where the mark doesn't.
func after(text []byte, mark string, end byte) string {
	i := bytes.Index(text, []byte(mark))
	if i < 0 {
		return ""
	}
	text = text[i+len(mark):]
	if i = bytes.IndexByte(text, end); i < 0 {
		return ""
	}
	return string(text[:i])
}
