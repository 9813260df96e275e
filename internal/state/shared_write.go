package state

import (
	"bytes"
	"context"
	"fmt"
)

// flush writes what changed, and then what is to be written again, until nothing is left. What changed meanwhile goes
// first.
func (s *Shared) flush(ctx context.Context) error {
	news := make(Records)
	defer func() {
		if len(news) > 0 {
			s.o.Read(news)
		}
	}()
	for {
		records := s.pick()
		if len(records) == 0 {
			return nil
		}
		if err := s.write(ctx, records, news); err != nil {
			return err
		}
	}
}

// pick returns some of what is to be written.
func (s *Shared) pick() Records {
	s.mu.Lock()
	defer s.mu.Unlock()
	records, size := make(Records), 0
	if s.space != s.view.space {
		return records
	}
	for _, keys := range []map[string]struct{}{s.changed, s.view.again} {
		for key := range keys {
			r, held := s.held[key]
			if !held {
				delete(keys, key)
				continue
			}
			if len(records) == batch || size > maxValue {
				return records
			}
			records[key] = r
			size += len(r.Value)
		}
	}
	return records
}

func (s *Shared) write(ctx context.Context, records Records, news Records) error {
	v := &s.view
	keys := []string{v.space + indexName}
	args := []any{s.times.ttl.Milliseconds(), maxSealed, v.space + channelName, s.o.Run}
	var order []string
	for key, r := range records {
		name := recordName(key)
		order, keys = append(order, key), append(keys, v.space+name)
		args = append(args, name, s.seal(v.space, name, r), v.forged[key])
	}
	ctx, done := s.timed(ctx)
	defer done()
	reply, err := s.client.run(ctx, putScript, keys, args...)
	if err != nil {
		return err
	}
	if len(reply) != len(order) {
		return fmt.Errorf("%d answers to %d records", len(reply), len(order))
	}
	for i, key := range order {
		if stands, is := reply[i].(string); is {
			s.opposed(key, stands, news)
		} else {
			delete(v.forged, key)
			s.confirmed(key, records[key])
		}
	}
	return nil
}

// opposed deals with what stands against a record that we wrote. Where it is forged the next batch overwrites just
// that; if by then another forgery stands there, the next regular look does.
func (s *Shared) opposed(key, stands string, news Records) {
	v := &s.view
	_, tried := v.forged[key]
	s.takeIn(key, []byte(stands), news)
	if _, forged := v.forged[key]; !forged || tried {
		delete(v.again, key)
	}
	if tried {
		s.mu.Lock()
		delete(s.changed, key)
		s.settle()
		s.mu.Unlock()
	}
}

// confirmed notes that the store has a record.
func (s *Shared) confirmed(key string, r Record) {
	delete(s.view.again, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.held[key]; s.space == s.view.space && now.Rank == r.Rank && bytes.Equal(now.Value, r.Value) {
		delete(s.changed, key)
		s.settle()
	}
}
