package state

import (
	"context"
	"io"
	"time"

	"github.com/redis/go-redis/v9"
)

// Run does all the traffic with the server until the context ends; then it writes what is left, for as long as one
// answer may take, and closes the store.
func (s *Shared) Run(ctx context.Context) {
	pulse := time.NewTicker(s.times.pulse)
	defer pulse.Stop()
	defer s.leave()
	for n := 0; ; {
		var why occasion
		select {
		case <-ctx.Done():
			if s.Degraded() == "" && s.enter() {
				last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.times.answer)
				defer cancel()
				_ = s.flush(last) // nobody is left to be told
			}
			return
		case <-pulse.C:
			n++
			why = beat
			if n%s.times.looks == 0 {
				why = regular
			}
		case m := <-s.view.notices:
			if m != nil && m.Payload == s.o.Run {
				continue
			}
			why = notice
		case <-s.wake:
		}
		s.round(ctx, why)
	}
}

// occasion is why Run does something now.
type occasion int

const (
	call    occasion = iota // somebody called a method
	beat                    // a pulse
	notice                  // another instance changed something
	regular                 // a pulse that is a look's turn
)

// round does what is due: a look, what changed here, or only a sign of life. While the store is degraded, it is looked
// at with every pulse, and at no other time.
func (s *Shared) round(ctx context.Context, why occasion) {
	entered := s.enter()
	s.mu.Lock()
	degraded := s.degraded != ""
	look := entered && (why >= notice || degraded || s.noted || s.view.beat == 0)
	s.slow = false
	s.mu.Unlock()
	if degraded && why != beat && why != regular {
		return
	}
	sound, err := true, error(nil)
	switch {
	case look:
		sound, err = s.look(ctx, why == regular || degraded)
	case why >= beat:
		err = s.ping(ctx)
	}
	if err == nil && entered {
		err = s.flush(ctx)
	}
	switch {
	case err != nil:
		s.failed(ctx, err)
	case sound && (look || !entered):
		s.recovered()
	}
}

// view is what Run knows of the store in the space that it has entered.
type view struct {
	space string
	sub   io.Closer
	// notices come from other instances, and from us.
	notices <-chan *redis.Message

	beat, confirmed uint64 // ranks of our marker: the last sent, the last that was taken
	server          string // run id and role
	evicted         string
	seen            string // the last revision that was read
	sweep           int    // from where in the index to look next

	again  map[string]struct{} // keys of held to be written (again) or renewed
	forged map[string]string   // what stands under keys of held, and isn't ours
	turn   []string            // keys whose renewal is to come
	share  int                 // so many at a look
	others map[string]peer
}

// enter makes the view that of the space we are in, and reports whether there is one.
func (s *Shared) enter() bool {
	s.mu.Lock()
	space := s.space
	s.mu.Unlock()
	if space != s.view.space {
		s.unsubscribe()
		s.view = view{
			space: space, seen: "0",
			again: make(map[string]struct{}), forged: make(map[string]string), others: make(map[string]peer),
		}
	}
	return space != ""
}

// subscribe listens for notices; the library subscribes again after a broken connection.
func (s *Shared) subscribe(ctx context.Context) {
	if s.view.sub == nil {
		s.view.sub, s.view.notices = s.client.listen(ctx, s.view.space+channelName)
	}
}

func (s *Shared) unsubscribe() {
	if s.view.sub != nil {
		s.view.sub.Close()
		s.view.sub, s.view.notices = nil, nil
	}
}

func (s *Shared) leave() {
	s.unsubscribe()
	s.client.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.degraded = "stopped"
	s.settle()
}

// timed bounds what is asked of the server, and says so where it is slow.
func (s *Shared) timed(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, s.times.answer)
	slow := time.AfterFunc(s.times.slow, s.tooSlow)
	return ctx, func() {
		slow.Stop()
		cancel()
	}
}

// ping has the server show that it answers; of a Cluster, the one that has our keys.
func (s *Shared) ping(ctx context.Context) error {
	ctx, done := s.timed(ctx)
	defer done()
	if s.view.space == "" {
		return s.client.ping(ctx)
	}
	return s.client.touch(ctx, s.view.space+markerPrefix+s.o.Run)
}
