package state

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
)

// read takes in what stands under names.
func (s *Shared) read(ctx context.Context, names []string, news Records) error {
	for names := range slices.Chunk(names, batch) {
		ctx, done := s.timed(ctx)
		values, err := s.get(ctx, s.view.space, names)
		done()
		if err != nil {
			return err
		}
		for i, name := range names {
			if key, is := strings.CutPrefix(name, recordPrefix); is {
				s.takeIn(key, values[i], news)
			} else if run, is := strings.CutPrefix(name, markerPrefix); is && run != s.o.Run {
				s.takeInMarker(run, values[i])
			}
		}
	}
	return nil
}

// sweep has names leave the index if nothing stands under them. What does isn't taken in: it is held here already, or
// was forgotten.
func (s *Shared) sweep(ctx context.Context, names []string) error {
	s.view.sweep += strip
	if len(names) < strip {
		s.view.sweep = 0
	}
	if len(names) == 0 {
		return nil
	}
	ctx, done := s.timed(ctx)
	defer done()
	_, err := s.get(ctx, s.view.space, names)
	return err
}

// get returns the values under names: nil where there is none, empty where it can't be ours.
func (s *Shared) get(ctx context.Context, space string, names []string) ([][]byte, error) {
	keys, args := []string{space + indexName}, []any{maxSealed}
	for _, name := range names {
		keys, args = append(keys, space+name), append(args, name)
	}
	reply, err := s.client.run(ctx, getScript, keys, args...)
	if err != nil {
		return nil, err
	}
	if len(reply) != len(names) {
		return nil, fmt.Errorf("%d values for %d names", len(reply), len(names))
	}
	values := make([][]byte, len(names))
	for i, r := range reply {
		if r != nil {
			values[i] = append([]byte{}, text(r)...)
		}
	}
	return values, nil
}

// takeIn compares what stands in the store with what stands here: the greater rank stands, in a tie what the store has.
// Nothing, something less, and what isn't ours are to be written over, if we hold that key.
func (s *Shared) takeIn(key string, sealed []byte, news Records) {
	v := &s.view
	name := recordName(key)
	var there Record
	var bad error
	if sealed != nil {
		if there, bad = s.open(v.space, name, sealed); bad != nil {
			s.refuse(name, bad)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.space != v.space {
		return
	}
	delete(v.forged, key)
	here, held := s.held[key]
	switch {
	case bad != nil && held:
		v.forged[key] = string(sealed)
	case bad != nil:
	case sealed == nil && held, held && there.Rank < here.Rank:
		v.again[key] = struct{}{}
	case sealed == nil:
	case !held || there.Rank > here.Rank || !bytes.Equal(there.Value, here.Value):
		s.held[key], news[key] = there, there
		delete(s.changed, key)
		s.settle()
	}
}
