package realgeth_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/enginetest"
	"executionbackup/internal/geth"
)

// verdicts is the truth table: what the CL hears, by the votes in alphabetical order.
var verdicts = map[string]string{
	"VALID VALID VALID":       "VALID",
	"INVALID INVALID INVALID": "INVALID",
	"SYNCING VALID VALID":     "VALID",
	"INVALID VALID VALID":     "SYNCING",
	"INVALID INVALID VALID":   "INVALID",
	"INVALID INVALID SYNCING": "INVALID",
	"INVALID SYNCING VALID":   "SYNCING",
	"INVALID SYNCING SYNCING": "SYNCING",
	"SYNCING SYNCING VALID":   "SYNCING",

	"VALID VALID":     "VALID",
	"INVALID INVALID": "INVALID",
	"INVALID VALID":   "SYNCING",
	"SYNCING VALID":   "VALID",
	"INVALID SYNCING": "SYNCING",
}

// Some of two or three geths lie about a block, which is good or bad. The CL hears what the table says, whoever the
// liars are and for both methods.
func TestLiars(t *testing.T) {
	chain := own(t)
	parent, good := chain.Payloads[0], chain.Payloads[1]
	bad := rehash(t, with(t, good, "stateRoot", flip(member(t, good, "stateRoot"))))
	var nodes []*enginetest.Node
	for _, node := range geths(t, chain.Genesis, 3) {
		proxy := enginetest.Proxy(t, node.AuthURL(), nodeSecret[:])
		for _, p := range []geth.Payload{parent, good, bad} {
			newPayload(t, dial(t, proxy.URL, nodeSecret), p)
		}
		nodes = append(nodes, proxy)
	}
	for _, n := range []int{2, 3} {
		for _, votes := range sequences(n) {
			// Not all of them lie: what an honest node says of the block is among the votes.
			if slices.Contains(votes, "VALID") {
				hear(t, nodes[:n], parent, good, "VALID", votes)
			}
			if slices.Contains(votes, "INVALID") {
				hear(t, nodes[:n], parent, bad, "INVALID", votes)
			}
		}
	}
}

// sequences returns all sequences of n statuses.
func sequences(n int) [][]string {
	if n == 0 {
		return [][]string{nil}
	}
	var all [][]string
	for _, shorter := range sequences(n - 1) {
		for _, status := range []string{"VALID", "INVALID", "SYNCING"} {
			all = append(all, append(slices.Clone(shorter), status))
		}
	}
	return all
}

// hear makes nodes give these votes on a block and checks what the CL hears. The honest ones are left alone.
func hear(t *testing.T, nodes []*enginetest.Node, parent, block geth.Payload, honest string, votes []string) {
	sorted := strings.Join(slices.Sorted(slices.Values(votes)), " ")
	want := status{Status: verdicts[sorted]}
	switch {
	case want.Status == "VALID":
		want.LatestValidHash = block.Hash.Hex()
	case want.Status == "INVALID" && honest == "INVALID": // liars name none
		want.LatestValidHash = parent.Hash.Hex()
	}
	for _, method := range []string{"engine_newPayload", "engine_forkchoiceUpdated"} {
		t.Run(fmt.Sprintf("%s block, %s, %s", honest, strings.Join(votes, " "), method), func(t *testing.T) {
			var addresses []string
			for _, node := range nodes {
				addresses = append(addresses, node.URL)
			}
			m := start(t, addresses)
			if err := parent.Import(t.Context(), m.call, common.Hash{}, common.Hash{}); err != nil {
				t.Fatal(err)
			}
			for i, node := range nodes {
				if votes[i] != honest {
					defer node.Script(enginetest.Rule{Method: method, BlockHash: block.Hash.Hex(), Status: votes[i]})()
				}
			}
			var got status
			if method == "engine_newPayload" {
				got = newPayload(t, m.call, block)
				dispute := want.Status == "SYNCING" && slices.Contains(votes, "VALID") &&
					slices.Contains(votes, "INVALID")
				if dispute && !m.last(t).Dispute {
					t.Error("the record tells of no dispute")
				}
			} else {
				got = forkchoice(t, m.call, block, common.Hash{}, common.Hash{})
			}
			if want.Status == "INVALID" {
				wantInvalid(t, wrong{Payload: block, what: "state root"}, method, got, want)
			} else if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}
