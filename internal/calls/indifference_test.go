package calls_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"executionbackup/internal/bubble"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/rawjson"
)

// model is an honest execution client without a network, and what may befall it.
type model struct {
	*enginetest.Honest
	delay time.Duration // of each answer; not changed while it is called
	hand  int           // how it writes: 0 as we do

	mu    sync.Mutex
	fault fault
	over  chan struct{} // closed when the fault is over
}

// fault is what ails a client.
type fault int

const (
	healthyNow fault = iota
	dead             // refuses
	hung             // takes calls and answers nothing, until it is over
	short            // says SYNCING to all, and keeps nothing
	lying            // says INVALID to every payload and every head, though it keeps them
)

// set begins a fault, or ends the one that there is.
func (m *model) set(f fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over != nil {
		close(m.over)
		m.over = nil
	}
	if m.fault = f; f != healthyNow {
		m.over = make(chan struct{})
	}
}

// RoundTrip answers as the client would.
func (m *model) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	f, over := m.fault, m.over
	m.mu.Unlock()
	if f == dead {
		return nil, bubble.ErrRefused
	}
	if f == hung {
		select {
		case <-over:
			return nil, bubble.ErrReset
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if m.delay > 0 {
		select {
		case <-time.After(m.delay):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	var answer []byte
	if f == short {
		answer = insteadOf(body, syncing)
	}
	if answer == nil {
		answer = m.Answer(body)
	}
	if lie := insteadOf(body, invalid); f == lying && lie != nil {
		answer = lie
	}
	return bubble.Answer(m.inItsHand(answer)), nil
}

// inItsHand is an answer as the client writes it: with its own white space, order of members, and a member of its own.
func (m *model) inItsHand(answer []byte) []byte {
	if m.hand == 0 {
		return answer
	}
	if elements, err := rawjson.Elements(answer); err == nil { // we take batches apart, and put them together
		for i, e := range elements {
			elements[i] = bytes.TrimSpace(m.inItsHand(e))
		}
		return slices.Concat([]byte("["), bytes.Join(elements, []byte(",")), []byte("]"))
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(answer, &members); err != nil {
		panic(err)
	}
	var b bytes.Buffer
	b.WriteString(strings.Repeat(" ", m.hand) + "{")
	for _, name := range []string{"result", "error", "id", "jsonrpc"} {
		if value, has := members[name]; has {
			fmt.Fprintf(&b, "%q: %s , ", name, value)
		}
	}
	fmt.Fprintf(&b, `"of":%d}`+"\n", m.hand)
	return b.Bytes()
}

const (
	syncing = `{"status":"SYNCING","latestValidHash":null,"validationError":null}`
	invalid = `{"status":"INVALID","latestValidHash":"` + enginetest.GenesisHash + `","validationError":"rejected"}`
)

// insteadOf is an answer with this status to a call that asks for one, nil to others.
func insteadOf(body []byte, status string) []byte {
	switch {
	case bytes.Contains(body, []byte(`"engine_newPayload`)):
		return []byte(`{"jsonrpc":"2.0","id":1,"result":` + status + `}`)
	case bytes.Contains(body, []byte(`"engine_forkchoiceUpdated`)):
		return []byte(`{"jsonrpc":"2.0","id":1,"result":{"payloadStatus":` + status + `,"payloadId":null}}`)
	}
	return nil
}

// world is a door before models, which can be started again.
type world struct {
	*bubble.Bubble
	t      *testing.T
	models []*model
	stop   func()
}

func (w *world) start() {
	w.Bubble = bubble.New(w.t, w.models, bubble.Options{})
	w.stop = w.Bubble.Start()
}

func (w *world) restart() {
	w.stop()
	w.start()
}

// wantHead breaks a stream unless all have the head that one client has which is asked directly.
func (w *world) wantHead(stream *enginetest.Stream, alone *enginetest.Honest) {
	for i, m := range w.models {
		if m.Head() != alone.Head() {
			stream.Fail("n%d has %v, the client %v", i+1, m, alone)
		}
	}
}

// answer is what the CL hears. It gives up, with an error that no client gives, when even a client alone would have
// been.
func (w *world) answer(body []byte) []byte {
	ctx, giveUp := bubble.WithTimeout(10 * time.Second)
	defer giveUp()
	return w.Post(ctx, body)
}

// compared is a client, and a door before three that are like it.
type compared struct {
	fork   int
	salted bool // each has payload ids of its own
	delays [3]time.Duration
}

var comparedClients = rapid.Custom(func(t *rapid.T) compared {
	delay := rapid.SampledFrom([]time.Duration{0, 0, 0, time.Millisecond, 100 * time.Millisecond})
	return compared{
		rapid.IntRange(1, 5).Draw(t, "fork"), rapid.Bool().Draw(t, "salted"),
		[3]time.Duration{delay.Draw(t, "delay"), delay.Draw(t, "delay"), delay.Draw(t, "delay")},
	}
})

// begin starts the door, in a bubble, and returns the stream that compares it with the client. Its end is the
// caller's.
func (c compared) begin(t *testing.T) (*enginetest.Stream, *world, *enginetest.Honest) {
	w := &world{t: t}
	client := func(salt int) *enginetest.Honest {
		h := &enginetest.Honest{Fork: c.fork, Forgets: 6, MaxReorg: 5}
		if c.salted {
			h.Salt = byte(salt)
		}
		return h
	}
	for i := range 3 {
		w.models = append(w.models, &model{Honest: client(i + 1), delay: c.delays[i]})
	}
	w.start()
	alone := client(0)
	// All has come of a call that will before the next one. So a stream always goes the same way: slow clients change
	// the order of arrival, but what a lane drops while they are busy is another matter.
	ask := func(body []byte) []byte {
		if c.delays != [3]time.Duration{} {
			time.Sleep(time.Second) // the bubble's clock
		}
		synctest.Wait()
		return alone.Answer(body)
	}
	stream := &enginetest.Stream{Fork: c.fork, Direct: ask, Through: w.answer, Restart: w.restart, Wait: time.Sleep}
	return stream, w, alone
}

// compare plays a stream in a bubble and fails with the conversation if it is broken.
func (c compared) compare(t *testing.T, rt *rapid.T, play func(*enginetest.Stream, *world, *enginetest.Honest)) {
	var stream *enginetest.Stream
	synctest.Test(t, func(t *testing.T) {
		var w *world
		var alone *enginetest.Honest
		stream, w, alone = c.begin(t)
		play(stream, w, alone)
		w.stop()
	})
	if stream.Broken() {
		rt.Fatalf("%+v\n%s", c, stream.Conversation())
	}
}

// Three clients that agree say what one of them says, whatever a CL sends: honest blocks, forks, forgeries, wrong and
// invalid ones, again and out of order, forkchoices back and to side branches, builds, and while ExecutionBackup is
// started again. What may differ the contract says, and enginetest's judge.
func TestIndifference(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		clients := comparedClients.Draw(rt, "clients")
		steps := enginetest.Steps(30).Draw(rt, "steps")
		clients.compare(t, rt, func(stream *enginetest.Stream, w *world, alone *enginetest.Honest) {
			stream.Play(steps)
			time.Sleep(10 * time.Second) // the bubble's clock: all comes to rest
			w.wantHead(stream, alone)
		})
	})
}

// event is what befalls one of three clients before a step.
type event int

const (
	nothing event = iota
	dies
	hangs
	lacks // says SYNCING to all, and keeps nothing
	lies  // says INVALID to every payload and every head, though it keeps them
	falls // crashes, and is there again at once, some blocks short
	grows // the same as another version
	mends // is well again, with what it has kept
	events
)

func (e event) String() string {
	return [...]string{"nothing", "dies", "hangs", "says SYNCING", "says INVALID", "crashes",
		"is upgraded", "is well"}[e]
}

// befall lets something befall a client.
func (m *model) befall(e event, lost uint64) {
	switch e {
	case dies:
		m.set(dead)
	case hangs:
		m.set(hung)
	case lacks:
		m.set(short)
	case lies:
		m.set(lying)
	case falls:
		m.Crash(lost)
	case grows:
		m.Upgrade(fmt.Sprint("v2.", lost))
		m.Crash(lost)
	case mends:
		m.set(healthyNow)
	}
}

// befalls draws what befalls a client before each of n steps: mostly nothing.
func befalls(n int, of ...event) *rapid.Generator[[]event] {
	list := make([]event, 12-len(of), 12) // nothing
	return rapid.SliceOfN(rapid.SampledFrom(append(append(list, of...), mends)), n, n)
}

// One of three dies, hangs, says SYNCING, crashes and comes back short or as another version, in the middle of such a
// stream: INVALID is never said to what the client says VALID to, VALID is said as ever, and goes on when all is well
// again.
func TestOneOfThreeFails(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		clients := comparedClients.Draw(rt, "clients")
		steps := enginetest.Steps(30).Draw(rt, "steps")
		which := rapid.IntRange(0, 2).Draw(rt, "which")
		events := befalls(len(steps), dies, hangs, lacks, falls, grows).Draw(rt, "events")
		clients.compare(t, rt, func(stream *enginetest.Stream, w *world, alone *enginetest.Honest) {
			stream.Faulty = true
			w.playWith(stream, steps, w.models[which], events)
			w.recover(stream, w.models[which])
		})
	})
}

// playWith plays steps while things befall a client.
func (w *world) playWith(stream *enginetest.Stream, steps []enginetest.Step, m *model, events []event) {
	for i, step := range steps {
		if events[i] != nothing {
			stream.Say("(n%d %v)", slices.Index(w.models, m)+1, events[i])
			m.befall(events[i], uint64(step.B))
		}
		stream.Play([]enginetest.Step{step})
	}
}

// recover ends what has befallen a client; it breaks the stream unless the second block after that is VALID.
func (w *world) recover(stream *enginetest.Stream, m *model) {
	if stream.Broken() {
		return
	}
	stream.Say("(all is well again)")
	m.set(healthyNow)
	time.Sleep(4 * time.Second) // the bubble's clock: a probe, and its interval
	stream.Next()
	time.Sleep(4 * time.Second)
	if newPayload, forkchoice := stream.Next(); newPayload != "VALID" || forkchoice != "VALID" {
		stream.Fail("the second block after the fault is %s and %s", newPayload, forkchoice)
	}
}

// A client that fails in the middle of a straight chain has its head in the end: it is fed what it lacks.
func TestOneOfThreeComesBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		clients := comparedClients.Draw(rt, "clients")
		steps := straight(rt)
		which := rapid.IntRange(0, 2).Draw(rt, "which")
		events := befalls(len(steps), dies, hangs, lacks, falls, grows).Draw(rt, "events")
		clients.compare(t, rt, func(stream *enginetest.Stream, w *world, alone *enginetest.Honest) {
			stream.Faulty = true
			stream.Next() // nobody is fed from genesis on
			stream.Next()
			w.playWith(stream, steps, w.models[which], events)
			w.recover(stream, w.models[which])
			time.Sleep(30 * time.Second) // a client is fed once in that time
			stream.Next()
			time.Sleep(10 * time.Second)
			// the forkchoice of the block before may have come too early for it, and just before it was fed
			stream.Next()
			time.Sleep(time.Second)
			w.wantHead(stream, alone)
		})
	})
}

// straight draws a chain without forks, and pauses in it.
func straight(rt *rapid.T) []enginetest.Step {
	steps := enginetest.Steps(20, enginetest.Grow, enginetest.Grow, enginetest.Wait).Draw(rt, "steps")
	for i := range steps {
		steps[i].A = 0
		steps[i].C %= 3 // no pause of 40 seconds: probes are most of the work
	}
	return steps
}

// Whatever a client has called INVALID, and however it was repaired: once it says VALID to a new payload, nothing of
// it is left. While it lies, nothing is INVALID.
func TestNothingIsLeftOfALie(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		clients := comparedClients.Draw(rt, "clients")
		steps := straight(rt)
		which := rapid.IntRange(0, 2).Draw(rt, "which")
		events := befalls(len(steps), lies, lies, dies, falls, grows).Draw(rt, "events")
		clients.compare(t, rt, func(stream *enginetest.Stream, w *world, alone *enginetest.Honest) {
			stream.Faulty, stream.Objects = true, true
			m := w.models[which]
			w.playWith(stream, steps, m, events)
			if stream.Broken() {
				return
			}
			stream.Say("(n%d is repaired, and its peers give it what it lacks)", which+1)
			m.set(healthyNow)
			m.Sync(alone)
			time.Sleep(4 * time.Second) // the bubble's clock: a probe, and its interval
			newPayload, forkchoice := stream.Next()
			// Nobody waits for a client that lacked something, until it has said VALID; for one that only lied they do.
			lacked := slices.ContainsFunc(events, func(e event) bool { return e == dies || e == falls || e == grows })
			if !lacked && (newPayload != "VALID" || forkchoice != "VALID") {
				stream.Fail("the first block after the repair is %s and %s", newPayload, forkchoice)
			}
			time.Sleep(4 * time.Second)
			if newPayload, forkchoice := stream.Next(); newPayload != "VALID" || forkchoice != "VALID" {
				stream.Fail("the second block after the repair is %s and %s", newPayload, forkchoice)
			}
			if records := w.Fleet.History.Records(); records[len(records)-1].Dispute {
				stream.Fail("the record tells of a dispute")
			}
			for _, n := range w.Fleet.Pool.Nodes() {
				if left := w.Fleet.Memory.Objections(n.ID); left > 0 {
					stream.Fail("%s has %d objections left", n.Name(), left)
				}
			}
		})
	})
}
