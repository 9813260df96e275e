package state

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	page  = 1000 // names of what changed, at once
	strip = 16   // names of the index that each look goes through, lest those of expired keys stay for ever
	batch = 64   // values read or written at once
)

// answer is what lookScript returns.
type answer struct {
	marker, refusal, server, role, evicted string
	added                                  bool     // our marker wasn't in the index
	changed                                []string // a name, its revision, …
	strip                                  []string
	clock                                  time.Time // the server's
}

// look renews our marker and reads what changed. It is sound where the server has lost nothing since the last look. A
// regular look also chooses what is to be renewed or repaired.
func (s *Shared) look(ctx context.Context, regular bool) (sound bool, err error) {
	news := make(Records)
	defer func() {
		if len(news) > 0 {
			s.o.Read(news)
		}
		s.tellPeers()
	}()
	sound = true
	if regular {
		s.renewals()
	}
	for more := true; more; {
		asked := time.Now()
		a, err := s.renewMarker(ctx)
		if err != nil {
			return false, err
		}
		s.setClock(a.clock, asked, time.Now())
		if loss := s.loss(a); loss != "" {
			s.writeAnew(loss)
			more, sound = sound, false // what this answer says of changes is of no use
			if more {
				continue
			}
		}
		names, seen := s.names(a)
		if err := s.read(ctx, names, news); err != nil {
			return false, err
		}
		if err := s.sweep(ctx, a.strip); err != nil {
			return false, err
		}
		more = len(a.changed) == 2*page && seen != s.view.seen
		s.view.seen = seen
		if a.refusal != "" {
			return false, refusal(strings.TrimPrefix(a.refusal, "-")) // older servers have it so
		}
	}
	s.subscribe(ctx)
	return sound, nil
}

// refusal is an error reply within an answer.
type refusal string

func (r refusal) Error() string { return string(r) }

// RedisError makes it one of the client library's errors.
func (r refusal) RedisError() {}

func (s *Shared) renewMarker(ctx context.Context) (answer, error) {
	v := &s.view
	s.mu.Lock()
	note, tell := s.note, ""
	if s.noted {
		tell = s.o.Run
	}
	s.noted = false
	s.mu.Unlock()
	v.beat++
	name := markerPrefix + s.o.Run
	sealed := s.seal(v.space, name, Record{v.beat, append([]byte(v.server+"\n"), note...)})
	ctx, done := s.timed(ctx)
	defer done()
	reply, err := s.client.run(ctx, lookScript,
		[]string{v.space + name, v.space + indexName},
		name, sealed, s.times.marker.Milliseconds(), s.times.ttl.Milliseconds(), v.seen, page,
		v.sweep, v.sweep+strip-1, v.space+channelName, tell)
	if err != nil {
		return answer{}, err
	}
	if len(reply) != 9 {
		return answer{}, fmt.Errorf("the look's answer has %d parts", len(reply))
	}
	return answer{
		text(reply[0]), text(reply[1]), text(reply[2]), text(reply[3]), text(reply[4]), reply[5] == int64(1),
		texts(reply[6]), texts(reply[7]), time.UnixMicro(int64(number(text(reply[8])))),
	}, nil
}

// loss says why the server may have lost what stood there, or "".
func (s *Shared) loss(a answer) (why string) {
	v := &s.view
	server := a.server + " " + a.role
	switch {
	case v.server != "" && server != v.server:
		why = "it is another server: restarted or failed over"
	case v.confirmed > 0 && !s.ours(a.marker):
		why = "our marker is gone: flushed, evicted, or out of reach for too long"
	case v.confirmed > 0 && a.added:
		why = "its index is gone: evicted or deleted"
	case v.evicted != "" && a.evicted != v.evicted:
		why = "it evicts records: give it more memory, or maxmemory-policy noeviction"
	}
	if a.refusal == "" {
		v.confirmed = v.beat
	}
	v.server, v.evicted = server, a.evicted
	return why
}

// ours reports whether a marker is one that we wrote since the last that was confirmed.
func (s *Shared) ours(marker string) bool {
	r, err := s.open(s.view.space, markerPrefix+s.o.Run, []byte(marker))
	return err == nil && r.Rank >= s.view.confirmed
}

// writeAnew has everything read from the beginning, and everything that stands here written.
func (s *Shared) writeAnew(loss string) {
	s.metrics.losses.Inc()
	s.degrade(loss)
	s.view.seen = "0"
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.held {
		s.view.again[key] = struct{}{}
	}
}

// renewals adds to what is written again: what isn't ours but stands under our keys (no sooner, so that two instances
// with different secrets don't chase each other), and the next share of everything, so that it is renewed four times
// within its TTL.
func (s *Shared) renewals() {
	v := &s.view
	for key := range v.forged {
		v.again[key] = struct{}{}
	}
	if len(v.turn) == 0 {
		s.mu.Lock()
		v.turn = slices.Collect(maps.Keys(s.held))
		s.mu.Unlock()
		looks := int(s.times.ttl / 4 / (s.times.pulse * time.Duration(s.times.looks)))
		v.share = max(strip, len(v.turn)/max(looks, 1)+1)
	}
	n := min(v.share, len(v.turn))
	for _, key := range v.turn[:n] {
		v.again[key] = struct{}{}
	}
	v.turn = v.turn[n:]
}

// names returns what is to be read after an answer, and the last revision among it.
func (s *Shared) names(a answer) (names []string, seen string) {
	seen = s.view.seen
	for i := 0; i+1 < len(a.changed); i += 2 {
		names = append(names, a.changed[i])
		if revision := a.changed[i+1]; number(revision) < 1<<53 { // not a marker's
			seen = revision
		}
	}
	return names, seen
}

// text returns a part of a reply as text; what is no text is empty.
func text(part any) string {
	t, _ := part.(string)
	return t
}

func texts(part any) []string {
	parts, _ := part.([]any)
	all := make([]string, len(parts))
	for i := range parts {
		all[i] = text(parts[i])
	}
	return all
}

func number(revision string) float64 {
	n, _ := strconv.ParseFloat(revision, 64)
	return n
}
