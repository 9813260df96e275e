package admin

import "net/http"

// blocks shows the last 64 payloads, oldest first, and who said what about them.
func (a *API) blocks(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.Fleet.History.Records())
}

// disputes shows the last 32 disputes, oldest first.
func (a *API) disputes(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.Fleet.History.Disputes())
}

// proposals shows the last 32 proposals, oldest first, and what the nodes offered for them.
func (a *API) proposals(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.Fleet.Proposals.List())
}
