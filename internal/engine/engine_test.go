package engine

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/jsonrpc"
)

func TestParseMethod(t *testing.T) {
	for _, c := range []struct {
		name    string
		family  Family
		version int
		limit   time.Duration
		pace    time.Duration
	}{
		{"engine_newPayloadV1", NewPayload, 1, 7500 * time.Millisecond, 7500 * time.Millisecond},
		{"engine_newPayloadV5", NewPayload, 5, 5500 * time.Millisecond, 5500 * time.Millisecond},
		{"engine_newPayloadWithWitnessV4", NewPayload, 4, 7500 * time.Millisecond, 7500 * time.Millisecond},
		{"engine_newPayloadV12", NewPayload, 12, 5500 * time.Millisecond, 5500 * time.Millisecond},
		{"engine_forkchoiceUpdatedV3", ForkchoiceUpdated, 3, 7500 * time.Millisecond, 7500 * time.Millisecond},
		{"engine_getPayloadV5", GetPayload, 5, 0, 900 * time.Millisecond},
		{"engine_getPayloadBodiesByHashV2", GetPayloadBodies, 2, 9500 * time.Millisecond, 9500 * time.Millisecond},
		{"engine_getBlobsV2", GetBlobs, 2, 0, 850 * time.Millisecond},
		{"engine_hasBlobs", HasBlobs, 0, 0, 850 * time.Millisecond},
		{"engine_exchangeCapabilities", ExchangeCapabilities, 0, 0, 900 * time.Millisecond},
		{"engine_getClientVersionV1", GetClientVersion, 1, 0, 900 * time.Millisecond},
		{"engine_getInclusionListV1", GetInclusionList, 1, 0, 900 * time.Millisecond},
		{"engine_newThingV1", OtherEngine, 1, 0, 0},
		{"engine_newPayloadV0", NewPayload, 0, 7500 * time.Millisecond, 7500 * time.Millisecond},
		{"eth_sendRawTransaction", SendRawTransaction, 0, 0, 0},
		{"eth_getLogs", Other, 0, 0, 0},
		{"xengine_newPayloadV1", Other, 0, 0, 0},
		{"", Other, 0, 0, 0},
	} {
		m := ParseMethod(c.name)
		if m.Family != c.family || m.Version != c.version || m.Limit() != c.limit || m.Pace() != c.pace || m.Name != c.name {
			t.Errorf("%s: got %v, V%d, %v, %v; want %v, V%d, %v, %v", c.name, m.Family, m.Version, m.Limit(), m.Pace(), c.family, c.version, c.limit, c.pace)
		}
	}
}

func TestParsePayloadStatus(t *testing.T) {
	hash := `"0x` + strings.Repeat("ab", 32) + `"`
	for _, c := range []struct {
		raw  string
		want Status
		err  string // "" where it is good
	}{
		{`{"status":"VALID","latestValidHash":` + hash + `,"validationError":null}`, Valid, ""},
		{`{"status":"INVALID","latestValidHash":null,"validationError":"bad root"}`, Invalid, ""},
		{`{"status":"INVALID_BLOCK_HASH"}`, Invalid, ""},
		{`{"status":"SYNCING","more":{"status":"VALID"}}`, Syncing, ""},
		{`{"status":"ACCEPTED","inclusionListSatisfied":null}`, Accepted, ""},
		{`{"status":"VALID","inclusionListSatisfied":true}`, Valid, ""},
		{`{"status":"MISSING_STATE"}`, Syncing, ""},
		{`{"status":""}`, None, "payload status: malformed status"},
		{`{"status":7}`, None, "payload status: malformed status"},
		{`{}`, None, "payload status: malformed status"},
		{`{"status":"VALID","Status":"INVALID"}`, None, `payload status: member "status" is duplicated or spelled in another case`},
		{`{"status":"VALID","status":"VALID"}`, None, `payload status: member "status" is duplicated or spelled in another case`},
		{`{"status":"VALID","ſtatus":"INVALID"}`, None, `payload status: member "status" is duplicated or spelled in another case`},
		{`{"status":"VALID","latestValidHash":"0x12"}`, None, "payload status: malformed latestValidHash"},
		{`{"status":"VALID","validationError":7}`, None, "payload status: validationError is not a string"},
		{`{"status":"VALID","inclusionListSatisfied":"true"}`, None, "payload status: inclusionListSatisfied is not a boolean"},
		{`null`, None, "payload status: invalid JSON"},
		{``, None, "payload status: invalid JSON"},
	} {
		got, err := ParsePayloadStatus([]byte(c.raw))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got.Status != c.want || text != c.err {
			t.Errorf("%s: got %v, %q; want %v, %q", c.raw, got.Status, text, c.want, c.err)
		}
	}
}

// What we take for a node's status means the same to encoding/json, which folds case and takes the last of two.
func FuzzForkchoiceResult(f *testing.F) {
	f.Add([]byte(`{"payloadStatus":{"status":"VALID","latestValidHash":null,"validationError":"x"},"payloadId":"0x01"}`))
	f.Add([]byte(`{"PayloadStatus":{"status":"VALID"},"payloadStatus":{"status":"INVALID"}}`))
	f.Add([]byte(`{"payloadStatus":{"status":"SYNCING","\u0073tatus":"VALID"},"payloadId":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseForkchoiceResult(b)
		if err != nil || !json.Valid(b) {
			return
		}
		var second struct {
			PayloadStatus struct {
				Status          string
				ValidationError *string
			}
			PayloadID *string
		}
		if err := json.Unmarshal(b, &second); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		status := second.PayloadStatus.Status
		if status == "INVALID_BLOCK_HASH" {
			status = "INVALID"
		}
		id := ""
		if second.PayloadID != nil {
			id = *second.PayloadID
		}
		if jsonrpc.Excerpt(status) != got.Word() || id != got.PayloadID {
			t.Fatalf("%q read as %v %q and %q %q", b, got.Word(), got.PayloadID, status, id)
		}
	})
}
