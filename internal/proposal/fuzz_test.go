package proposal

import (
	"fmt"
	"strings"
	"testing"

	"executionbackup/internal/engine"
	"executionbackup/internal/enginejson"
	"executionbackup/internal/node"
	"executionbackup/internal/rawjson"
	"executionbackup/internal/session"
)

const builtPayload = `{"executionPayload":{` +
	`"blockHash":"0x0101010101010101010101010101010101010101010101010101010101010101",` +
	`"parentHash":"0x0202020202020202020202020202020202020202020202020202020202020202",` +
	`"blockNumber":"0x1","timestamp":"0x2",` +
	`"prevRandao":"0x0303030303030303030303030303030303030303030303030303030303030303",` +
	`"feeRecipient":"0x0000000000000000000000000000000000000001",` +
	`"gasUsed":"0x5208","transactions":["0x02"],"withdrawals":[]},"blockValue":"0x7",` +
	`"blobsBundle":{"commitments":["0xaa"],"proofs":[],"blobs":["0xbb"]},"executionRequests":[]}`

// FuzzCandidate judges built payloads, whatever is in them. Nothing may panic.
func FuzzCandidate(f *testing.F) {
	for version := range 7 {
		f.Add(version, []byte(builtPayload))
	}
	for version := range 2 {
		f.Add(version, []byte(builtPayload[len(`{"executionPayload":`):strings.Index(builtPayload, `,"blockValue"`)]))
	}
	f.Fuzz(func(t *testing.T, version int, result []byte) {
		m := engine.ParseMethod(fmt.Sprintf("engine_getPayloadV%d", version))
		r := enginejson.NewBuiltReader(m)
		if rawjson.Read(result, r.Fields()...) != nil {
			return
		}
		b, err := r.Read(result)
		if err != nil {
			return
		}
		c := &candidate{Built: b}
		a := &engine.Attributes{Judged: true, Timestamp: b.Payload.Timestamp, PrevRandao: b.PrevRandao}
		c.compare(&session.Build{Head: b.Payload.Parent, Attributes: a})
		if call, err := node.NewPayload(m, b, a.BeaconRoot); err == nil && call != nil {
			new(proposal).wrongHash(t.Context(), call)
		}
	})
}
