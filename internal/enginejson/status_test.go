package enginejson_test

import (
	"encoding/json"
	"strings"
	"testing"

	"executionbackup/internal/engine"
	"executionbackup/internal/enginejson"
	"executionbackup/internal/jsonrpc"
)

// read is what is read of a method's result.
func read(method string, result []byte) (engine.Answer, error) {
	return enginejson.ReadAnswer(&engine.Call{Method: engine.ParseMethod(method)}, jsonrpc.Reply{Result: result})
}

func TestPayloadStatus(t *testing.T) {
	const ambiguous = `payload status: member "status" is duplicated or spelled in another case`
	hash := `"0x` + strings.Repeat("ab", 32) + `"`
	for _, c := range []struct {
		raw  string
		want engine.Status
		err  string // "" where it is good
	}{
		{`{"status":"VALID","latestValidHash":` + hash + `,"validationError":null}`, engine.Valid, ""},
		{`{"status":"INVALID","latestValidHash":null,"validationError":"bad root"}`, engine.Invalid, ""},
		{`{"status":"INVALID_BLOCK_HASH"}`, engine.Invalid, ""},
		{`{"status":"SYNCING","more":{"status":"VALID"}}`, engine.Syncing, ""},
		{`{"status":"ACCEPTED","inclusionListSatisfied":null}`, engine.Accepted, ""},
		{`{"status":"VALID","inclusionListSatisfied":true}`, engine.Valid, ""},
		{`{"status":"MISSING_STATE"}`, engine.Syncing, ""},
		{`{"status":""}`, engine.None, "payload status: malformed status"},
		{`{"status":7}`, engine.None, "payload status: malformed status"},
		{`{}`, engine.None, "payload status: malformed status"},
		{`{"status":"VALID","Status":"INVALID"}`, engine.None, ambiguous},
		{`{"status":"VALID","status":"VALID"}`, engine.None, ambiguous},
		{`{"status":"VALID","ſtatus":"INVALID"}`, engine.None, ambiguous},
		{`{"status":"VALID","latestValidHash":"0x12"}`, engine.None, "payload status: malformed latestValidHash"},
		{`{"status":"VALID","validationError":7}`, engine.None, "payload status: validationError is not a string"},
		{
			`{"status":"VALID","inclusionListSatisfied":"true"}`, engine.None,
			"payload status: inclusionListSatisfied is not a boolean",
		},
		{`null`, engine.None, "payload status: invalid JSON"},
		{``, engine.None, "payload status: invalid JSON"},
	} {
		got, err := read("engine_newPayloadV4", []byte(c.raw))
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
	f.Add([]byte(`{"payloadStatus":{"status":"VALID","latestValidHash":null,"validationError":"x"},` +
		`"payloadId":"0x01"}`))
	f.Add([]byte(`{"PayloadStatus":{"status":"VALID"},"payloadStatus":{"status":"INVALID"}}`))
	f.Add([]byte(`{"payloadStatus":{"status":"SYNCING","\u0073tatus":"VALID"},"payloadId":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := read("engine_forkchoiceUpdatedV3", b)
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
		if engine.Excerpt(status) != got.Word() || id != got.PayloadID {
			t.Fatalf("%q read as %v %q and %q %q", b, got.Word(), got.PayloadID, status, id)
		}
	})
}
