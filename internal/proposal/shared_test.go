package proposal_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"executionbackup/internal/bubble"
	"executionbackup/internal/rawjson"
)

// lettered is an execution client whose payloads have a member that consists of the letter which it is asked for.
type lettered struct{}

func (lettered) RoundTrip(r *http.Request) (*http.Response, error) {
	call, err := bubble.Received(r)
	if err != nil {
		return nil, err
	}
	result := "false" // eth_syncing
	if letter, ok := rawjson.String(call.Arg(0)); ok && len(letter) == 1 {
		zero := "0x" + strings.Repeat("0", 64)
		result = `{"executionPayload":{"blockHash":"` + zero + `","parentHash":"` + zero + `","prevRandao":"` + zero +
			`","feeRecipient":"` + zero[:42] + `","blockNumber":"0x1","timestamp":"0x1","transactions":[]},` +
			`"blockValue":"0x1","blobsBundle":{"commitments":[],"proofs":[],"blobs":[]},` +
			`"later":"` + strings.Repeat(letter, 200<<10+int(letter[0])) + `"}`
	}
	return bubble.Answer([]byte(`{"jsonrpc":"2.0","id":1,"result":` + result + `}`)), nil
}

// Proposals side by side, and one after the other, are what was asked for, though answers share memory.
func TestSharedAnswers(t *testing.T) {
	bubble.In(t, []lettered{{}, {}, {}}, func(t *testing.T, b *bubble.Bubble) {
		var callers sync.WaitGroup
		for i := range 4 {
			callers.Go(func() {
				for j := range 10 {
					letter := string(rune('a' + 5*i + (j*j)%5)) // longer and shorter ones
					call := `{"jsonrpc":"2.0","id":1,"method":"engine_getPayloadV3","params":["` + letter + `"]}`
					answer := b.Post(t.Context(), []byte(call))
					var got struct {
						Result struct{ Later string }
					}
					err := json.Unmarshal(answer, &got)
					if later := got.Result.Later; err != nil || later == "" || strings.Trim(later, letter) != "" {
						t.Errorf("%s: %d bytes, %v, in %.300s", letter, len(later), err, answer)
					}
				}
			})
		}
		callers.Wait()
	})
}
