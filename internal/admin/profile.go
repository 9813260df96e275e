package admin

import (
	"net/http"
	"net/http/pprof"
)

// registerProfiles adds net/http/pprof for whoever may change something: a profile takes processor time. The command
// line is left out, because it has the nodes' URLs with their credentials.
func (a *API) registerProfiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", a.guarded(profiles, pprof.Index))
	mux.HandleFunc("GET /debug/pprof/cmdline", http.NotFound)
	mux.HandleFunc("GET /debug/pprof/profile", a.guarded(profiles, pprof.Profile))
	mux.HandleFunc("GET /debug/pprof/symbol", a.guarded(profiles, pprof.Symbol))
	mux.HandleFunc("GET /debug/pprof/trace", a.guarded(profiles, pprof.Trace))
}

// profiles is what can't be had without a token.
const profiles = "profiles are not taken"
