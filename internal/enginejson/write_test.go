package enginejson_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/enginejson"
	"executionbackup/internal/jsonrpc"
)

// The newPayload with which a built payload is shown, by the version of getPayload.
func TestNewPayloadFromBuilt(t *testing.T) {
	root := common.Hash{0x77}
	hash := common.Hash(sha256.Sum256([]byte{0xaa}))
	hash[0] = 1
	b := engine.Built{
		Payload: engine.Payload{Hash: common.Hash{1}, Parent: common.Hash{2}, Number: 3}, Raw: []byte(`{ "x":1}`),
		Commitments: [][]byte{[]byte(`"0xaa"`)}, Requests: []byte(`["0x00"]`),
	}
	blobs := fmt.Sprintf(`["%s"],"%s"`, hash.Hex(), root.Hex())
	for version, want := range []string{
		0: "",
		1: `engine_newPayloadV1 [{ "x":1}]`,
		2: `engine_newPayloadV2 [{ "x":1}]`,
		3: `engine_newPayloadV3 [{ "x":1},` + blobs + `]`,
		4: `engine_newPayloadV4 [{ "x":1},` + blobs + `,["0x00"]]`,
		5: `engine_newPayloadV4 [{ "x":1},` + blobs + `,["0x00"]]`,
		6: `engine_newPayloadV5 [{ "x":1},` + blobs + `,["0x00"]]`,
		7: "",
	} {
		c, err := enginejson.NewPayload(engine.Method{Family: engine.GetPayload, Version: version}, &b, &root)
		got := ""
		if c != nil {
			got = c.Method.Name + " " + string(c.Params)
			if c.Block != b.Payload.Hash || !c.Named || c.Payload.Number != 3 || c.Method.Family != engine.NewPayload {
				t.Errorf("V%d: got %+v", version, c)
			}
		}
		if err != nil || got != want {
			t.Errorf("V%d: got %s, %v; want %s", version, got, err, want)
		}
	}
	m := engine.ParseMethod("engine_getPayloadV4")
	c, err := enginejson.NewPayload(m, &engine.Built{Raw: []byte("{}")}, nil)
	if err != nil || string(c.Params) != "[{},[],null,null]" {
		t.Errorf("without anything: got %+v, %v", c, err)
	}
	b.Commitments = [][]byte{[]byte("7")}
	if _, err := enginejson.NewPayload(m, &b, &root); err == nil {
		t.Error("a commitment that is none is accepted")
	}
}

// Calls of our own, in the bytes that go out.
func TestOwnCalls(t *testing.T) {
	zero := common.Hash{}.Hex()
	cls, err := readCall(t, "engine_getBlobsV2", `[["0x01"]]`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		call *engine.Call
		want string
	}{
		{enginejson.NewCall("engine_x", nil), `"engine_x","params":[]`},
		{enginejson.NewCall("engine_x", []byte("[ 1]")), `"engine_x","params":[ 1]`},
		{enginejson.WithMethod(cls, "engine_getBlobsV3"), `"engine_getBlobsV3","params":[["0x01"]]`},
		{enginejson.GetPayload(engine.ParseMethod("engine_getPayloadV3"), `0"1`),
			`"engine_getPayloadV3","params":["0\"1"]`},
		{enginejson.ForkchoiceUpdated("engine_forkchoiceUpdatedV3", &engine.Forkchoice{State: []byte(`{"x":1}`)}),
			`"engine_forkchoiceUpdatedV3","params":[{"x":1},null]`},
		{enginejson.ForkchoiceUpdated("engine_forkchoiceUpdatedV1", &engine.Forkchoice{Head: common.Hash{1}}),
			`"engine_forkchoiceUpdatedV1","params":[{"headBlockHash":"` + common.Hash{1}.Hex() +
				`","safeBlockHash":"` + zero + `","finalizedBlockHash":"` + zero + `"},null]`},
	} {
		want := `{"jsonrpc":"2.0","id":1,"method":` + c.want + "}"
		var r jsonrpc.Request
		if err := jsonrpc.ParseRequest(c.call.Body, &r); err != nil || !json.Valid(c.call.Body) {
			t.Errorf("%s: %v", c.call.Body, err)
		}
		got := string(c.call.Body)
		if got != want || string(c.call.ID) != "1" || c.call.Method.Name != string(r.Method) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	other := enginejson.WithMethod(cls, "engine_getBlobsV3")
	if other.List.Size != 1 || other.List.Kind != engine.Blobs {
		t.Errorf("another method asks for %+v", other.List)
	}
	if cls.Method.Version != 2 || string(cls.ID) != `"7"` {
		t.Errorf("the CL's own call has become %+v", cls)
	}
}
