package enginejson

import (
	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
)

// ownID is the id of all calls of our own: each is alone on its connection, so one id is enough.
var ownID = []byte("1")

// NewCall is a call of our own with raw parameters.
func NewCall(method string, params []byte) *engine.Call {
	body := jsonrpc.NewCall(method, params)
	return &engine.Call{Method: engine.ParseMethod(method), Body: body, ID: ownID, Params: params}
}

// WithMethod is a call with another method and the same parameters.
func WithMethod(c *engine.Call, method string) *engine.Call {
	other := *c
	other.Method, other.Body, other.ID = engine.ParseMethod(method), jsonrpc.NewCall(method, c.Params), ownID
	return &other
}

// GetPayload asks for the payload under a node's own id.
func GetPayload(m engine.Method, id string) *engine.Call {
	return NewCall(m.Name, append(append([]byte{'['}, raw(id)...), ']'))
}

// ForkchoiceUpdated makes a block the head, without payload attributes: in the words of the CL where the forkchoice has
// them; else safe and finalized are zero, which means that they aren't known.
func ForkchoiceUpdated(method string, f *engine.Forkchoice) *engine.Call {
	state := f.State
	if state == nil {
		state = raw(struct {
			Head      common.Hash `json:"headBlockHash"`
			Safe      common.Hash `json:"safeBlockHash"`
			Finalized common.Hash `json:"finalizedBlockHash"`
		}{Head: f.Head})
	}
	params := append(append([]byte{'['}, state...), ",null]"...)
	return NewCall(method, params)
}
