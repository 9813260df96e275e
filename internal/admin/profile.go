package admin

import (
	"net/http"
	"net/http/pprof"
)

// registerProfiles adds net/http/pprof for whoever may change something: a profile takes processor time. The command
// line is left out, because it has the nodes' URLs with their credentials.
func (a *API) registerProfiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", a.guarded(pprof.Index))
	mux.HandleFunc("GET /debug/pprof/cmdline", http.NotFound)
	mux.HandleFunc("GET /debug/pprof/profile", a.guarded(pprof.Profile))
	mux.HandleFunc("GET /debug/pprof/symbol", a.guarded(pprof.Symbol))
	mux.HandleFunc("GET /debug/pprof/trace", a.guarded(pprof.Trace))
}

func (a *API) guarded(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if status, err := a.authorize(r); err != nil {
			writeError(w, status, err)
			return
		}
		serve(w, r)
	}
}
