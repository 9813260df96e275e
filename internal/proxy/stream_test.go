package proxy

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"executionbackup/internal/health"
	"executionbackup/internal/jsonrpc"
)

// trickle is an execution client with a large answer that comes in two halves, the second after a pause.
type trickle struct {
	fake
	pause time.Duration
}

const half = 512 << 10 // bytes

func (t *trickle) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(string(body), "eth_getLogs") {
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		return t.fake.RoundTrip(r)
	}
	in, out := io.Pipe()
	go func() {
		io.WriteString(out, `{"jsonrpc":"2.0","id":1,"result":"`+strings.Repeat("a", half))
		select {
		case <-time.After(t.pause):
			io.WriteString(out, strings.Repeat("b", half)+`"}`)
			out.Close()
		case <-r.Context().Done():
			out.CloseWithError(r.Context().Err())
		}
	}()
	return &http.Response{StatusCode: 200, ContentLength: -1, Body: in, Header: http.Header{}}, nil
}

// slow is a caller that takes its time over every piece of an answer.
type slow struct {
	*httptest.ResponseRecorder
	pause time.Duration
}

func (s slow) Write(b []byte) (int, error) {
	time.Sleep(s.pause) // the bubble's clock
	return s.ResponseRecorder.Write(b)
}

// In mid-answer a node has its timeout for each piece, and a caller all the time that it wants. What doesn't end breaks
// the caller's connection.
func TestPatienceInMidAnswer(t *testing.T) {
	const timeout = 7500 * time.Millisecond // of the nodes of newProxy
	call := []byte(`{"jsonrpc":"2.0","id":1,"method":"eth_getLogs"}`)
	want := `{"jsonrpc":"2.0","id":1,"result":"` + strings.Repeat("a", half) + strings.Repeat("b", half) + `"}`
	for _, test := range []struct {
		name         string
		node, caller time.Duration
		breaks       bool
	}{
		{"a slow caller", 0, time.Minute, false},
		{"a pause", timeout - time.Second, 0, false},
		{"a silent node", timeout + time.Second, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubbled(t, []*trickle{{pause: test.node}, {pause: test.node}}, func(t *testing.T, p *Proxy) {
				w := slow{httptest.NewRecorder(), test.caller}
				broke := func() (broke bool) {
					defer func() { broke = recover() == http.ErrAbortHandler }()
					p.answerCall(t.Context(), call, &outlet{w: w})
					return false
				}()
				if broke != test.breaks {
					t.Errorf("broke %t, want %t", broke, test.breaks)
				}
				if got := w.Body.String(); !test.breaks && got != want {
					t.Errorf("got %d bytes, want %d", len(got), len(want))
				}
				for _, n := range p.pool.Nodes() {
					if s := n.Status(); s.State != health.Alive {
						t.Errorf("%s is %s: %s", n.Name(), s.State, s.Reason)
					}
				}
			})
		})
	}
}

// A list of a length that the call leaves open must not take many times its own size in memory.
func TestRelayedListIsBounded(t *testing.T) {
	r := &relay{out: &outlet{w: httptest.NewRecorder()}, shape: shape{size: 1 << 40, short: true, read: readAny, join: takeNext}}
	if err := r.read(strings.NewReader("[null" + strings.Repeat(",null", 2*maxEntries) + "]")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.list(); err != errTooMany || len(r.entries) != maxEntries {
		t.Errorf("%d entries, %v", len(r.entries), err)
	}
}

// Whatever the pieces in which a list comes in, and however large its entries are beside a segment, the same entries go out
// in their order, up to the first gap.
func TestRelayedEntries(t *testing.T) {
	sizes := []int{1, segmentSize / 3, 10, segmentSize - 20, segmentSize, 0, 3 * segmentSize, segmentSize / 2, 7}
	var entries []string
	for i, size := range sizes {
		entries = append(entries, `"`+strings.Repeat(string(rune('a'+i)), size)+`"`)
	}
	for _, gap := range []int{len(sizes), 3, 0} {
		list := "[ " + strings.Join(entries[:gap], " ,\n")
		if gap < len(sizes) {
			list = "[" + strings.Join(slices.Concat(entries[:gap], []string{"null"}, entries[gap:]), ",")
		}
		for _, piece := range []int{1000, 256 << 10, 16 << 20} {
			w := httptest.NewRecorder()
			r := &relay{out: &outlet{w: w, id: []byte("1")}, shape: shape{size: 100, short: true, read: readAny, join: takeNext}}
			if err := r.read(pieces{strings.NewReader(list + "]"), piece}); err != nil {
				t.Fatal(err)
			}
			merged, err := r.list()
			if err != nil {
				t.Fatal(err)
			}
			r.finish(merged)
			var got struct{ Result []*string }
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatalf("gap at %d, pieces of %d: %v", gap, piece, err)
			}
			if gap < len(sizes) && got.Result[gap] != nil {
				t.Errorf("gap at %d, pieces of %d: something stands there", gap, piece)
			}
			got.Result = slices.DeleteFunc(got.Result, func(s *string) bool { return s == nil })
			for i, want := range entries {
				if i < len(got.Result) && *got.Result[i] != want[1:len(want)-1] {
					t.Errorf("gap at %d, pieces of %d: entry %d has %d bytes, want %d", gap, piece, i, len(*got.Result[i]), len(want)-2)
				}
			}
			if len(got.Result) != len(sizes) {
				t.Errorf("gap at %d, pieces of %d: %d entries", gap, piece, len(got.Result))
			}
		}
	}
}

// pieces reads at most so many bytes at a time.
type pieces struct {
	io.Reader
	most int
}

func (p pieces) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(len(b), p.most)]) }

// lettered is an execution client whose blobs consist of the letter that it is asked for; with a payload id it is asked
// for a payload with such a member.
type lettered struct{}

func (lettered) RoundTrip(r *http.Request) (*http.Response, error) {
	call, err := received(r)
	if err != nil {
		return nil, err
	}
	var letters []string
	result := "false" // eth_syncing
	if json.Unmarshal(call.Arg(0), &letters) == nil && len(letters) > 0 {
		var blobs []string
		for _, letter := range letters {
			blobs = append(blobs, `{"blob":"`+strings.Repeat(letter, 200<<10)+`","proofs":[]}`)
		}
		result = "[" + strings.Join(blobs, ",") + "]"
	}
	if letter, ok := jsonrpc.String(call.Arg(0)); ok && len(letter) == 1 {
		zero := "0x" + strings.Repeat("0", 64)
		result = `{"executionPayload":{"blockHash":"` + zero + `","parentHash":"` + zero + `","prevRandao":"` + zero + `","feeRecipient":"` + zero[:42] +
			`","blockNumber":"0x1","timestamp":"0x1","transactions":[]},"blockValue":"0x1","blobsBundle":{"commitments":[],"proofs":[],"blobs":[]},"later":"` +
			strings.Repeat(letter, 200<<10+int(letter[0])) + `"}`
	}
	answer := strings.NewReader(`{"jsonrpc":"2.0","id":1,"result":` + result + `}`)
	return &http.Response{StatusCode: 200, ContentLength: answer.Size(), Body: io.NopCloser(answer), Header: http.Header{}}, nil
}

// Calls side by side, and one after the other, get what they asked for, though they share segments.
func TestSharedSegments(t *testing.T) {
	bubbled(t, []lettered{{}, {}}, func(t *testing.T, p *Proxy) {
		var callers sync.WaitGroup
		for i := range 4 {
			callers.Go(func() {
				for j := range 5 {
					letters := []string{string(rune('a' + i)), string(rune('a' + j)), string(rune('A' + i)), "x", "y", "z", string(rune('A' + j))}
					params, _ := json.Marshal(letters)
					w := httptest.NewRecorder()
					p.ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"engine_getBlobsV3","params":[`+string(params)+`]}`)))
					var got struct{ Result []struct{ Blob string } }
					if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Result) != len(letters) {
						t.Errorf("%s: %d blobs, %v", params, len(got.Result), err)
						return
					}
					for k, letter := range letters {
						if got.Result[k].Blob != strings.Repeat(letter, 200<<10) {
							t.Errorf("%s: blob %d is not of %s", params, k, letter)
						}
					}
				}
			})
		}
		callers.Wait()
	})
}

// Proposals side by side, and one after the other, are what was asked for, though answers share memory.
func TestSharedAnswers(t *testing.T) {
	bubbled(t, []lettered{{}, {}, {}}, func(t *testing.T, p *Proxy) {
		var callers sync.WaitGroup
		for i := range 4 {
			callers.Go(func() {
				for j := range 10 {
					letter := string(rune('a' + 5*i + (j*j)%5)) // longer and shorter ones
					w := httptest.NewRecorder()
					p.ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"engine_getPayloadV3","params":["`+letter+`"]}`)))
					var got struct {
						Result struct{ Later string }
					}
					err := json.Unmarshal(w.Body.Bytes(), &got)
					if later := got.Result.Later; err != nil || later == "" || strings.Trim(later, letter) != "" {
						t.Errorf("%s: %d bytes, %v, in %.300s", letter, len(later), err, w.Body)
					}
				}
			})
		}
		callers.Wait()
	})
}
