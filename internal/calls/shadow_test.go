package calls_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"executionbackup/internal/bubble"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/fleet"
)

// recorded is what a CL does at a time since the start: it makes a call, or something befalls a client.
type recorded struct {
	at    time.Duration
	body  []byte
	event event
	which int
	lost  uint64
}

// verdicts takes in what the log has of them: method, block, and status.
type verdicts struct {
	slog.Handler
	mu  sync.Mutex
	got bytes.Buffer
}

func (v *verdicts) Write(line []byte) (int, error) {
	var l struct{ Msg, Method, Block_hash, Status string }
	if json.Unmarshal(line, &l) == nil && l.Msg == "verdict" {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.got.WriteString(l.Method + " " + l.Block_hash[:10] + " " + l.Status + "\n")
	}
	return len(line), nil
}

// trial plays what was recorded to three clients, of which the first answers alone unless the mode is active. It
// returns what the CL heard, call by call, and the verdicts.
func (c compared) trial(t *testing.T, mode config.Mode, script []recorded) (heard [][]byte, ours []string) {
	synctest.Test(t, func(t *testing.T) {
		got := new(verdicts)
		models := c.models()
		b := bubble.New(t, models, bubble.Options{
			Log:      slog.New(slog.NewJSONHandler(got, &slog.HandlerOptions{Level: slog.LevelDebug})),
			Settings: func(s *fleet.Settings) { s.Mode, s.ShadowNode = mode, "n1" },
		})
		stop := b.Start()
		heard = play(script, models, func(body []byte) []byte { return b.Post(t.Context(), body) })
		stop()
		ours = strings.Split(strings.TrimSpace(got.got.String()), "\n")
	})
	return heard, ours
}

// alone plays what was recorded to the first of the clients, with nothing between.
func (c compared) alone(t *testing.T, script []recorded) (heard [][]byte) {
	synctest.Test(t, func(t *testing.T) {
		models := c.models()
		heard = play(script, models, func(body []byte) []byte {
			r := httptest.NewRequestWithContext(t.Context(), "POST", "/", bytes.NewReader(body))
			answer, err := models[0].RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			return read(t, answer)
		})
	})
	return heard
}

func read(t *testing.T, r *http.Response) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r.Body); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// models are three clients, each of which writes in its own way.
func (c compared) models() (models []*model) {
	for i := range 3 {
		models = append(models, &model{
			Honest: &enginetest.Honest{Fork: c.fork, Forgets: 6, MaxReorg: 5}, delay: c.delays[i], hand: i + 1,
		})
	}
	return models
}

// play does what was recorded, each thing at its time.
func play(script []recorded, models []*model, ask func(body []byte) []byte) [][]byte {
	begun := time.Now()
	heard := make([][]byte, len(script))
	var asking sync.WaitGroup
	for i, r := range script {
		time.Sleep(time.Until(begun.Add(r.at))) // the bubble's clock
		synctest.Wait()
		if r.body == nil {
			models[r.which].befall(r.event, r.lost)
			continue
		}
		asking.Go(func() { heard[i] = ask(r.body) })
	}
	asking.Wait()
	return heard
}

// record plays a stream in mode active, and returns what there was.
func (c compared) record(t *testing.T, steps []enginetest.Step, which int, events []event) (script []recorded) {
	synctest.Test(t, func(t *testing.T) {
		stream, w, _ := c.begin(t)
		stream.Faulty, stream.Objects = true, true
		begun := time.Now()
		through := stream.Through
		stream.Through = func(body []byte) []byte {
			time.Sleep(1137 * time.Microsecond) // the bubble's clock: never with an answer, or with a probe
			script = append(script, recorded{at: time.Since(begun), body: body})
			return through(body)
		}
		for i, step := range steps {
			if e := events[i]; e != nothing {
				script = append(script, recorded{at: time.Since(begun), event: e, which: which, lost: uint64(step.B)})
				w.models[which].befall(e, uint64(step.B))
			}
			stream.Play([]enginetest.Step{step})
		}
		w.stop()
	})
	return script
}

// A recorded stream, with a dispute, builds, a node that hangs, dies or comes back: in shadow mode the consensus client
// gets the bytes that the one client writes, whatever befalls the others, and the verdicts that it would have had are
// those of mode active. In mode off it gets the same bytes.
func TestShadowIsDirect(t *testing.T) {
	calls, differ := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		// The ids are those of the recording, and each call goes the same way every time: no two answers come at once.
		// The first client keeps up: what a laggard's lane drops once the CL has its answer, it must get where it alone
		// answers.
		slow := rapid.SampledFrom([]time.Duration{11 * ms, 111 * ms, 1111 * ms}).Draw(rt, "slow")
		clients := compared{fork: rapid.IntRange(1, 5).Draw(rt, "fork"), delays: rapid.SampledFrom([][3]time.Duration{
			{2 * ms, 5 * ms, slow}, {5 * ms, 2 * ms, slow}, {5 * ms, slow, 2 * ms}, {7 * ms, 2 * ms, 5 * ms},
		}).Draw(rt, "delays")}
		kinds := []enginetest.Kind{enginetest.Grow, enginetest.Grow}
		for k := enginetest.Grow; k <= enginetest.Wait; k++ {
			switch k {
			case enginetest.Both, enginetest.Restart: // two at a time have no order; nor has what is started again
			case enginetest.Read: // in mode active one may go to a dead node: a break that shadow mode doesn't see
			default:
				kinds = append(kinds, k)
			}
		}
		steps := enginetest.Steps(30, kinds...).Draw(rt, "steps")
		which := rapid.IntRange(1, 2).Draw(rt, "which")
		for i := range steps {
			// Nor has a batch, which hurries on with its first answer.
			if steps[i].Kind == enginetest.Grow && steps[i].C == 1 {
				steps[i].C = 0
			}
		}
		events := befalls(len(steps), dies, hangs, lacks, lies, falls, grows).Draw(rt, "events")
		script := clients.record(t, steps, which, events)
		_, want := clients.trial(t, config.Active, script)
		heard, ours := clients.trial(t, config.Shadow, script)
		off, _ := clients.trial(t, config.Off, script)
		direct := clients.alone(t, script)
		for i, r := range script {
			if !bytes.Equal(heard[i], direct[i]) {
				rt.Errorf("in mode shadow, to %.200s at %v:\n got %q\nwant %q", r.body, r.at, heard[i], direct[i])
			}
			if !bytes.Equal(off[i], direct[i]) {
				rt.Errorf("in mode off, to %.200s at %v:\n got %q\nwant %q", r.body, r.at, off[i], direct[i])
			}
		}
		if !slices.Equal(ours, want) {
			rt.Errorf("the verdicts would be\n%s\nand are in mode active\n%s", strings.Join(ours, "\n"),
				strings.Join(want, "\n"))
		}
		calls += len(script)
		differ += strings.Count(strings.Join(want, "\n"), "SYNCING")
	})
	t.Logf("%d calls, %d of the verdicts SYNCING", calls, differ)
}
