package front

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// renewal is how often the certificate is read again at most: it is renewed while we run.
const renewal = time.Second

// certificate is a server's, as its files have it. A new pair that is no good, which may be half written, leaves the
// old one in use. Safe for concurrent use.
type certificate struct {
	read func() (*tls.Certificate, error)
	log  *slog.Logger
	used atomic.Pointer[tls.Certificate] // changed under reading, read by anyone

	reading sync.Mutex // guards what follows
	readAt  time.Time
	failed  string // why the last reading failed; "" where it didn't
}

// TLS returns the settings of a server whose certificate read reads: now, and before a handshake when the last time was
// a second ago. An error is read's, now.
func TLS(read func() (*tls.Certificate, error), log *slog.Logger) (*tls.Config, error) {
	first, err := read()
	if err != nil {
		return nil, err
	}
	c := &certificate{read: read, log: log, readAt: time.Now()}
	c.used.Store(first)
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}, nil
}

// get is a tls.Config's GetCertificate. Where the disk hangs one handshake waits, and the others don't.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.reading.TryLock() {
		defer c.reading.Unlock()
		if time.Since(c.readAt) >= renewal {
			c.renew()
			c.readAt = time.Now()
		}
	}
	return c.used.Load(), nil
}

// renew reads the certificate. c.reading is held.
func (c *certificate) renew() {
	latest, err := c.read()
	if err != nil {
		if c.failed != err.Error() {
			c.log.Error("certificate not renewed: the old one stays in use", "error", err)
		}
		c.failed = err.Error()
		return
	}
	c.failed = ""
	if old := c.used.Swap(latest); !bytes.Equal(old.Certificate[0], latest.Certificate[0]) {
		c.log.Info("certificate renewed", "until", latest.Leaf.NotAfter)
	}
}
