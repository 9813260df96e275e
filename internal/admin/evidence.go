package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"executionbackup/internal/evidence"
)

// evidence lists what is kept, oldest first.
func (a *API) evidence(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.Fleet.Evidence.Entries())
}

// evidenceFile hands out a file as it is. It has whole payloads and all that nodes say, so it takes the token.
func (a *API) evidenceFile(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	f, err := a.Fleet.Evidence.OpenFile(name)
	switch {
	case errors.Is(err, evidence.ErrNotKept), errors.Is(err, fs.ErrNotExist):
		writeError(w, http.StatusNotFound, evidence.ErrNotKept)
		return
	case err != nil:
		writeError(w, http.StatusInternalServerError, errors.New("the evidence can't be read"))
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/gzip")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, f)
}
