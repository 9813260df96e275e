package state

import (
	"bytes"
	"time"
)

// peer is another instance, as its marker says.
type peer struct {
	beat  uint64 // the rank of its marker
	since time.Time
	note  []byte
}

// takeInMarker reads another instance's marker. One that doesn't beat is no sign of life, even if it never expires.
func (s *Shared) takeInMarker(run string, sealed []byte) {
	v := &s.view
	if sealed == nil {
		delete(v.others, run)
		return
	}
	r, err := s.open(v.space, markerPrefix+run, sealed)
	if err != nil {
		s.refuse(markerPrefix+run, err)
		return
	}
	if _, note, _ := bytes.Cut(r.Value, []byte("\n")); r.Rank > v.others[run].beat {
		v.others[run] = peer{r.Rank, time.Now(), note}
	}
}

// tellPeers gives away the notes of those that are alive. Who was told of and has stopped beating is remembered, lest
// its old marker make it seem new.
func (s *Shared) tellPeers() {
	notes := make(map[string][]byte)
	for run, p := range s.view.others {
		if time.Since(p.since) < s.times.marker {
			notes[run] = p.note
		}
	}
	s.mu.Lock()
	s.peers = len(notes)
	s.mu.Unlock()
	s.o.Peers(notes)
}
