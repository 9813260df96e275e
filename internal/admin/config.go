package admin

import (
	"errors"
	"net/http"
	"time"
)

// Settings are those in force, as GET /config shows them. They have no secret.
type Settings struct {
	PID        int                `json:"pid"`                   // of the process
	File       string             `json:"file"`                  // the configuration file; "" where there is none
	Settings   map[string]Setting `json:"settings"`              // by key, as in the file
	Reloads    int                `json:"reloads"`               // since the start, good and bad
	LastReload *Reload            `json:"last_reload,omitempty"` // nil where there was none
}

// Setting is one of them.
type Setting struct {
	Value     string  `json:"value"`                // "" where it isn't set
	From      string  `json:"from"`                 // "--port", EXECUTIONBACKUP_…, "FILE: line 3: port"; "" = default
	NextStart *string `json:"next_start,omitempty"` // the value that it has after a start, where that is another
}

// Reload is what became of one.
type Reload struct {
	Time      time.Time `json:"time"`
	By        string    `json:"by"`              // a signal, a request, a watched file
	Error     string    `json:"error,omitempty"` // why nothing changed
	Changed   []string  `json:"changed"`         // "on_dispute: halt → majority"
	NextStart []string  `json:"next_start"`      // what changes at the next start only
}

// config shows the settings in force.
func (a *API) config(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.Settings())
}

// reload reads the configuration again, and says what became of it.
func (a *API) reload(w http.ResponseWriter, r *http.Request) {
	outcome := a.Reload("POST /reload from " + r.RemoteAddr)
	var err error
	if outcome.Error != "" {
		err = errors.New(outcome.Error)
	}
	a.Audit(Change{Action: "reload", From: r.RemoteAddr, Err: err})
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	writeJSON(w, http.StatusOK, outcome)
}
