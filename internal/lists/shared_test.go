package lists_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"executionbackup/internal/bubble"
)

// lettered is an execution client whose blobs consist of the letter that it is asked for.
type lettered struct{}

func (lettered) RoundTrip(r *http.Request) (*http.Response, error) {
	call, err := bubble.Received(r)
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
	return bubble.Answer([]byte(`{"jsonrpc":"2.0","id":1,"result":` + result + `}`)), nil
}

// Calls side by side, and one after the other, get what they asked for, though they share segments.
func TestSharedSegments(t *testing.T) {
	bubble.In(t, []lettered{{}, {}}, func(t *testing.T, b *bubble.Bubble) {
		var callers sync.WaitGroup
		for i := range 4 {
			callers.Go(func() {
				for j := range 5 {
					letters := []string{
						string(rune('a' + i)), string(rune('a' + j)), string(rune('A' + i)), "x", "y", "z",
						string(rune('A' + j)),
					}
					params, _ := json.Marshal(letters)
					call := `{"jsonrpc":"2.0","id":1,"method":"engine_getBlobsV3","params":[` + string(params) + `]}`
					var got struct{ Result []struct{ Blob string } }
					err := json.Unmarshal(b.Post(t.Context(), []byte(call)), &got)
					if err != nil || len(got.Result) != len(letters) {
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
