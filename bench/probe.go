package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
)

// Probes are the least programs that do what ExecutionBackup does with a call, and judge nothing: they show what of its
// cost is that of standing in between. The raw one speaks just enough HTTP, through buffers that it uses again; the
// other one is made of net/http.

var probes = map[string]func(l net.Listener, nodes []string) error{"raw probe": probeRaw, "net/http probe": probeHTTP}

// startProbe runs a probe in a process of its own.
func startProbe(kind string, nodes []string) (p *process, address string, err error) {
	cmd, addresses, _, err := startSelf(1, append([]string{"-probe", kind}, nodes...)...)
	if err != nil {
		return nil, "", err
	}
	return &process{cmd}, addresses[0], nil
}

// serveProbe is that process.
func serveProbe(kind string, nodes []string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return probes[kind](l, nodes)
}

// asksOne reports whether a call is one that a single node answers.
func asksOne(body []byte) bool {
	start := body[:min(len(body), 100)]
	return bytes.Contains(start, []byte(`"engine_getBlobs`)) || bytes.Contains(start, []byte(`"eth_`))
}

func probeRaw(l net.Listener, nodes []string) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			if err := passRaw(newWire(conn), nodes); err != io.EOF {
				fmt.Fprintln(os.Stderr, "raw probe:", err)
			}
		}()
	}
}

// passRaw serves one connection, with one of its own to each node.
func passRaw(cl *wire, nodes []string) error {
	wires := make([]*wire, len(nodes))
	answers := make([][]byte, len(nodes))
	for i, address := range nodes {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		defer conn.Close()
		wires[i] = newWire(conn)
	}
	var body []byte
	for {
		var err error
		if body, err = cl.message(body); err != nil {
			return err
		}
		request := fmt.Appendf(nil,
			"POST / HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
		if asksOne(body) {
			if err := passOne(cl, wires[0], request, body); err != nil {
				return err
			}
			continue
		}
		if err := fanOut(wires, request, body, answers); err != nil {
			return err
		}
		head := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(answers[0]))
		if err := cl.send(head, answers[0]); err != nil {
			return err
		}
	}
}

// passOne asks one node, and passes its answer on while it comes in.
func passOne(cl, node *wire, request, body []byte) error {
	if err := node.send(request, body); err != nil {
		return err
	}
	_, size, _, err := node.start()
	if err != nil {
		return err
	}
	first := node.pending[:min(len(node.pending), size)]
	node.pending = node.pending[len(first):]
	if err := cl.send(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size), first); err != nil {
		return err
	}
	return node.pass(cl, size-len(first))
}

// fanOut sends a call to all nodes and reads their answers: side by side where they are large, which is only then worth
// a goroutine.
func fanOut(wires []*wire, request, body []byte, answers [][]byte) (err error) {
	if len(body) < 64<<10 && !bytes.Contains(body[:min(len(body), 100)], []byte(`"engine_getPayload`)) {
		for _, w := range wires {
			if err := w.send(request, body); err != nil {
				return err
			}
		}
		for i, w := range wires {
			if answers[i], err = w.message(answers[i]); err != nil {
				return err
			}
		}
		return nil
	}
	failures := make([]error, len(wires))
	var all sync.WaitGroup
	for i, w := range wires {
		all.Go(func() {
			if failures[i] = w.send(request, body); failures[i] == nil {
				answers[i], failures[i] = w.message(answers[i])
			}
		})
	}
	all.Wait()
	return errors.Join(failures...)
}

var buffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

func probeHTTP(l net.Listener, nodes []string) error {
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	ask := func(node string, r *http.Request, body []byte) (*http.Response, error) {
		req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, "http://"+node+"/", bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header["Authorization"] = r.Header["Authorization"]
		return transport.RoundTrip(req)
	}
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return
		}
		if asksOne(body) {
			resp, err := ask(nodes[0], r, body)
			if err != nil {
				return
			}
			defer resp.Body.Close()
			w.Header().Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
			buffer := buffers.Get().(*[256 << 10]byte)
			defer buffers.Put(buffer)
			io.CopyBuffer(struct{ io.Writer }{w}, resp.Body, buffer[:])
			return
		}
		answers := make([][]byte, len(nodes))
		var all sync.WaitGroup
		for i, node := range nodes {
			all.Go(func() {
				resp, err := ask(node, r, body)
				if err != nil {
					return
				}
				defer resp.Body.Close()
				answers[i] = make([]byte, resp.ContentLength)
				io.ReadFull(resp.Body, answers[i])
			})
		}
		all.Wait()
		w.Header().Set("Content-Length", strconv.Itoa(len(answers[0])))
		w.Write(answers[0])
	}))
}
