package calls_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"executionbackup/internal/bubble"
	"executionbackup/internal/config"
	"executionbackup/internal/fleet"
)

// pieces is an answer that comes in pieces, one every two seconds.
type pieces struct {
	done <-chan struct{}
	rest []byte
}

func (p *pieces) Read(to []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	select {
	case <-time.After(2 * time.Second):
	case <-p.done:
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(to, p.rest[:min(len(p.rest), 20_000, len(to))])
	p.rest = p.rest[n:]
	return n, nil
}

// streamer answers eth_getLogs in pieces.
type streamer struct{ *bubble.Fake }

func (f *streamer) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := readAll(r)
	if err != nil || !strings.Contains(string(body), "eth_getLogs") {
		return f.Fake.RoundTrip(r)
	}
	return &http.Response{
		StatusCode: 200, ContentLength: -1, Header: http.Header{},
		Body: io.NopCloser(&pieces{done: r.Context().Done(), rest: []byte(largeAnswer)}),
	}, nil
}

// largeAnswer is one, as its node writes it.
var largeAnswer = ` {"result" : "` + strings.Repeat("a", 800_000) + `" , "id":1,"of": [1] ,"jsonrpc":"2.0"}` + "\n "

// A large answer streams through in every mode: --read-timeout is for each piece of it. Where one node alone answers,
// that is all that the node writes, unless it was called under another id.
func TestLargeAnswerInEachMode(t *testing.T) {
	for _, mode := range config.Modes() {
		synctest.Test(t, func(t *testing.T) {
			f := &streamer{&bubble.Fake{}}
			b := bubble.New(t, []*streamer{f, f}, bubble.Options{Settings: func(s *fleet.Settings) {
				inMode(mode)(s)
				s.ReadTimeout = 30 * time.Second
			}})
			b.Run(func() {
				ours := `{"jsonrpc":"2.0","id":%s,"result":"` + strings.Repeat("a", 800_000) + `"}`
				for id, want := range map[string]string{"1": largeAnswer, "null": fmt.Sprintf(ours, "null")} {
					if id == "1" && mode == config.Active {
						want = fmt.Sprintf(ours, id)
					}
					body := []byte(`{"jsonrpc":"2.0","id":` + id + `,"method":"eth_getLogs","params":[]}`)
					if got := b.Post(t.Context(), body); string(got) != want {
						t.Errorf("%s: under id %s %d bytes, want %d: %.50s … %s", mode, id, len(got), len(want), got,
							got[max(0, len(got)-50):])
					}
				}
			})
		})
	}
}

// With --min-valid=2, too, the CL goes on hearing VALID on return from mode off: the others are fed at the switch.
func TestReturnFromOffWithMinValid(t *testing.T) {
	follower := func() *bubble.Fake {
		f := &bubble.Fake{}
		at := func() int {
			seen := f.Seen()
			for n := 20; n > 0; n-- {
				if slices.Contains(seen, fmt.Sprint("P", n)) {
					return n
				}
			}
			return 0
		}
		f.Status = func(_ string, n int) string {
			if n > 1 && !slices.Contains(f.Seen(), fmt.Sprint("P", n-1)) {
				return "SYNCING"
			}
			return "VALID"
		}
		f.Answer = func(method string) (string, bool) {
			return bubble.Latest(at()), method == "eth_getBlockByNumber"
		}
		return f
	}
	fakes := []*bubble.Fake{follower(), follower(), follower()}
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, fakes, bubble.Options{Settings: func(s *fleet.Settings) {
			s.ShadowNode, s.Rules.MinValid = "n1", 2
		}})
		b.Run(func() {
			b.Follow(1, 3)
			for _, mode := range []config.Mode{config.Off, config.Active} {
				if err := b.Fleet.SetMode(mode); err != nil {
					t.Fatal(err)
				}
				time.Sleep(4 * time.Second) // the bubble's clock: between two slots
				for i, slot := range b.Follow(map[config.Mode]int{config.Off: 4, config.Active: 9}[mode], 5) {
					if slot.NewPayload != "VALID" || slot.Forkchoice != "VALID" {
						t.Errorf("%s, %d. slot: the CL hears %+v", mode, i+1, slot)
					}
				}
			}
		})
	})
}

// What a node writes twice means the same in shadow mode and in off, or for the only node.
func TestMalformedStatusInEachMode(t *testing.T) {
	const twice = `{"status":"VALID","Status":"INVALID","latestValidHash":null,"validationError":null}`
	heard := make(map[config.Mode]string)
	for _, mode := range []config.Mode{config.Shadow, config.Off} {
		f := &bubble.Fake{Answer: func(method string) (string, bool) {
			return twice, strings.HasPrefix(method, "engine_newPayload")
		}}
		synctest.Test(t, func(t *testing.T) {
			b := bubble.New(t, []*bubble.Fake{f, {}, {}}, bubble.Options{Settings: inMode(mode)})
			b.Run(func() { heard[mode] = string(b.Post(t.Context(), bubble.PayloadCall(1))) })
		})
	}
	if heard[config.Shadow] != heard[config.Off] {
		t.Errorf("the CL hears %s in shadow, %s in off", heard[config.Shadow], heard[config.Off])
	}
}
