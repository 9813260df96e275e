// Package dashboard is the page at GET /: how the nodes are, what they said about the last blocks, and where they
// disagree, live. It shows what the REST API has, and nothing of it can be changed there.
package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"executionbackup/internal/overview"
)

//go:embed page
var page embed.FS

// Dashboard serves the page and what it shows. Safe for concurrent use.
type Dashboard struct {
	source  *overview.Source // where all of it comes from
	clients atomic.Int32
	closed  chan struct{}
	close   func()

	mu   sync.Mutex
	seen view // the last that was made
}

// New returns a dashboard of what a source has.
func New(source *overview.Source) *Dashboard {
	d := &Dashboard{source: source, closed: make(chan struct{})}
	d.close = sync.OnceFunc(func() { close(d.closed) })
	return d
}

// Close ends the streams of events, so that they don't hold up draining. It doesn't wait for them: they are requests,
// which the server waits for.
func (d *Dashboard) Close() { d.close() }

// Register adds the page and its events to a mux.
func (d *Dashboard) Register(mux *http.ServeMux) {
	files, err := fs.ReadDir(page, "page")
	if err != nil {
		panic(err) // it is embedded
	}
	for _, f := range files {
		content, _ := page.ReadFile("page/" + f.Name())
		pattern := "GET /dashboard/" + f.Name()
		if f.Name() == "index.html" {
			pattern = "GET /{$}"
		}
		mux.Handle(pattern, file(f.Name(), content))
	}
	mux.HandleFunc("GET /events", d.events)
}

// policy lets the page load what we serve ourselves, and nothing that stands in the page: should a node's words ever
// end up there as markup, they can do nothing.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// kinds are the types of the page's files. The system's own table may have anything for them.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
}

// file serves an embedded file.
func file(name string, content []byte) http.Handler {
	tag := fmt.Sprintf("\"%x\"", sha256.Sum256(content))
	kind := kinds[path.Ext(name)]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache") // asks each time; the tag spares the body
		h.Set("ETag", tag)
		h.Set("Content-Type", kind)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
}
