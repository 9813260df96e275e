package admin

import (
	"fmt"
	"io"
	"net/http"

	"executionbackup/internal/config"
)

// ModeReport is what becomes of the consensus client's calls.
type ModeReport struct {
	Mode  config.Mode `json:"mode"`
	Alone string      `json:"alone"` // the node that alone answers; "" in mode active
	// Configured is what the configuration says; another mode was chosen since.
	Configured config.Mode `json:"configured"`
}

// Mode is what becomes of the consensus client's calls now.
func (a *API) Mode() ModeReport {
	mode, n := a.Fleet.Mode()
	if n == nil {
		return ModeReport{Mode: mode, Configured: a.Fleet.ConfiguredMode()}
	}
	return ModeReport{mode, n.Name(), a.Fleet.ConfiguredMode()}
}

// mode chooses a mode, and says which one there is then.
func (a *API) mode(w http.ResponseWriter, r *http.Request) {
	mode, err := readMode(http.MaxBytesReader(w, r.Body, maxNodeList))
	if err == nil {
		err = a.Fleet.SetMode(mode)
		a.save(r.Context())
	}
	a.Audit(Change{Action: "mode", Mode: string(mode), From: r.RemoteAddr, Err: err})
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	writeJSON(w, http.StatusOK, a.Mode())
}

// readMode reads the mode in the body of a change.
func readMode(body io.Reader) (config.Mode, error) {
	const want = `the body must be {"mode": "active"}, shadow or off`
	var wanted struct {
		Mode string `json:"mode"`
	}
	if err := decode(body, &wanted); err != nil {
		return "", fmt.Errorf(want+": %w", err)
	}
	mode, err := config.ParseMode(wanted.Mode)
	if err != nil {
		return "", fmt.Errorf(want+": %w", err)
	}
	return mode, nil
}
