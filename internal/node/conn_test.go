package node

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// A body of any size arrives as it is, over TCP and TLS, also while another call still hangs with its own.
func TestBodies(t *testing.T) {
	hold := make(chan struct{})
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			io.ReadFull(r.Body, make([]byte, 1000)) // and no more: the rest is still to be sent
			<-hold
		}
		body, _ := io.ReadAll(r.Body) // all of it: the server closes it when the answer begins
		w.Write(body)
	})
	for _, start := range []func(http.Handler) *httptest.Server{httptest.NewServer, httptest.NewTLSServer} {
		server := start(echo)
		defer server.Close()
		transport := newTransport()
		if server.TLS != nil {
			transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
		}
		post := func(path string, body []byte) ([]byte, error) {
			req, err := http.NewRequest(http.MethodPost, server.URL+path, io.NopCloser(bytes.NewReader(body)))
			if err != nil {
				return nil, err
			}
			req.ContentLength = int64(len(body))
			resp, err := transport.RoundTrip(req)
			if err != nil {
				return nil, err
			}
			defer resp.Body.Close()
			return io.ReadAll(resp.Body)
		}
		var hung sync.WaitGroup
		held := []byte(strings.Repeat("held", 2<<20))
		hung.Go(func() {
			if got, err := post("/hang", held); err != nil || !bytes.Equal(got, held[1000:]) {
				t.Errorf("%s: the call that hung: got %d bytes, %v", server.URL, len(got), err)
			}
		})
		for _, size := range []int{0, 1, 1000, 16 << 10, 64<<10 + 1, 3 << 20} {
			body := bytes.Repeat([]byte{byte(size), 'x', 'y'}, size/3+1)[:size]
			if got, err := post("/", body); err != nil || !bytes.Equal(got, body) {
				t.Errorf("%s: %d bytes: got %d, %v", server.URL, size, len(got), err)
			}
		}
		hold <- struct{}{}
		hung.Wait()
		transport.CloseIdleConnections()
	}
}
