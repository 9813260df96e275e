package front

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/enginetest"
)

// A certificate that changes is in use a second later. What is no good leaves the old one in use, and is said once.
func TestCertificateIsRenewed(t *testing.T) {
	files := enginetest.NewCertificate(t)
	read := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(files.File, files.KeyFile)
		return &pair, err
	}
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		broken, reads := error(nil), 0
		config, err := TLS(func() (*tls.Certificate, error) {
			if reads++; broken != nil {
				return nil, broken
			}
			return read()
		}, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		used := func() string {
			c, err := config.GetCertificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			return c.Leaf.Subject.CommonName
		}
		first := used()
		files.Renew(t)
		if got := used(); got != first || reads != 1 {
			t.Errorf("read %d times at once", reads)
		}
		time.Sleep(renewal)
		second := used()
		logged := strings.Count(log.String(), "certificate renewed")
		if second == first || used() != second || reads != 2 || logged != 1 {
			t.Errorf("the certificate isn't the new one, read %d times: %s", reads, &log)
		}
		broken = errors.New("half written")
		files.Renew(t)
		for range 3 {
			time.Sleep(renewal)
			if got := used(); got != second {
				t.Errorf("got %s, want the old one, %s", got, second)
			}
		}
		if strings.Count(log.String(), "certificate not renewed") != 1 {
			t.Errorf("logged: %s", &log)
		}
		broken = nil
		time.Sleep(renewal)
		if got := used(); got == second {
			t.Error("it isn't renewed any more after a failure")
		}
		broken = errors.New("half written")
		time.Sleep(renewal)
		used()
		if strings.Count(log.String(), "certificate not renewed") != 2 {
			t.Errorf("another failure isn't logged: %s", &log)
		}
	})
}

// A disk that hangs holds up one handshake, and no other.
func TestCertificateOnAHungDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		hung := false
		config, err := TLS(func() (*tls.Certificate, error) {
			if hung {
				<-hang
			}
			hung = true
			return &tls.Certificate{Certificate: [][]byte{{1}}}, nil
		}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(renewal)
		go config.GetCertificate(nil)
		synctest.Wait()
		if c, err := config.GetCertificate(nil); c == nil || err != nil {
			t.Errorf("got %v, %v", c, err)
		}
		close(hang)
	})
}

// Under TLS connections are bounded, and their calls counted for the end, as without it.
func TestTLSConnections(t *testing.T) {
	files := enginetest.NewCertificate(t)
	pair, err := tls.LoadX509KeyPair(files.File, files.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	trusted := &tls.Config{RootCAs: files.Pool(t), ServerName: "localhost"}
	for _, protocol := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			p := pipes{make(chan net.Conn), make(chan struct{})}
			f := New(Options{
				MaxConnections: 1, MaxBody: 1 << 20, MaxInFlight: 4 << 20,
				TLS:     &tls.Config{Certificates: []tls.Certificate{pair}},
				Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
			})
			during := make(chan bool, 1)
			server := f.Server(f.Listen(p), f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Hour) // longer than a connection that has just come counts
				during <- f.Quiet()
				readAll(w, r)
			})))
			served := make(chan error, 1)
			go func() { served <- server.Run() }()
			transport := &http.Transport{DialContext: p.dial, TLSClientConfig: trusted, Protocols: new(http.Protocols)}
			transport.Protocols.SetHTTP1(protocol == 1)
			transport.Protocols.SetHTTP2(protocol == 2)
			resp, err := (&http.Client{Transport: transport}).Post("https://localhost/", "", strings.NewReader("hi"))
			if err != nil {
				t.Fatal(err)
			}
			answer, _ := io.ReadAll(resp.Body)
			if string(answer) != "2" || resp.ProtoMajor != protocol {
				t.Errorf("got %q over HTTP/%d, want 2 over HTTP/%d", answer, resp.ProtoMajor, protocol)
			}
			if <-during {
				t.Error("it is quiet while a call is answered")
			}
			time.Sleep(nextCall)
			synctest.Wait()
			if !f.Quiet() {
				t.Error("it isn't quiet when a call has been answered")
			}
			if got := f.calls.count(); got != 1 {
				t.Errorf("%d connections are open", got)
			}
			second, _ := p.dial(t.Context(), "", "")
			synctest.Wait()
			if got := f.calls.count(); got != 1 {
				t.Errorf("%d connections are open, want one", got)
			}
			second.Close()
			transport.CloseIdleConnections()
			server.Close()
			if err := <-served; err != nil {
				t.Errorf("served: %v", err)
			}
			time.Sleep(6 * time.Second) // until what net/http closes itself is closed
		})
	}
}
