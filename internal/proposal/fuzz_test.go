package proposal

import (
	"fmt"
	"testing"

	"executionbackup/internal/engine"
	"executionbackup/internal/enginejson"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/node"
	"executionbackup/internal/rawjson"
	"executionbackup/internal/session"
)

// FuzzCandidate judges built payloads, whatever is in them. Nothing may panic.
func FuzzCandidate(f *testing.F) {
	for version := range 7 {
		f.Add(version, []byte(enginetest.BuiltPayload))
	}
	for version := range 2 {
		f.Add(version, []byte(enginetest.BuiltPayloadV1))
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
