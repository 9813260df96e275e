package node

import (
	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/enginejson"
)

// Calls of our own, in the bytes that nodes understand.

// GetPayload asks for the payload under a node's own id.
func GetPayload(m engine.Method, id string) *engine.Call { return enginejson.GetPayload(m, id) }

// ForkchoiceUpdated makes a block the head, without payload attributes: in the CL's words where the forkchoice has
// them.
func ForkchoiceUpdated(method string, f *engine.Forkchoice) *engine.Call {
	return enginejson.ForkchoiceUpdated(method, f)
}

// NewPayload shows a payload that a node built, as the CL would that got it with this method of getPayload. beaconRoot
// is that of the payload attributes. The call is nil where the method's version isn't known; an error says what of the
// payload can't be shown.
func NewPayload(getPayload engine.Method, b *engine.Built, beaconRoot *common.Hash) (*engine.Call, error) {
	return enginejson.NewPayload(getPayload, b, beaconRoot)
}

// WithMethod is a call of the CL's with another method and the same parameters.
func WithMethod(c *engine.Call, method string) *engine.Call { return enginejson.WithMethod(c, method) }

// ExchangeCapabilities says what the CL can do, in its words: the raw parameters of its call.
func ExchangeCapabilities(params []byte) *engine.Call {
	return enginejson.NewCall("engine_exchangeCapabilities", params)
}

// Result is the result of an answer to a call, in the bytes that the CL gets.
func Result(c *engine.Call, a *engine.Answer) []byte { return enginejson.Result(c, a) }

// BodyOf is the body of the payload that a call of newPayload shows, as an entry of getPayloadBodies; told says that
// the call has it.
func BodyOf(c *engine.Call) (e engine.Entry, told bool) { return enginejson.BodyOf(c) }
