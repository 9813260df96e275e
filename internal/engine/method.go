// Package engine has the words of the Engine API: methods, statuses, errors and the objects that a multiplexer judges.
// See https://github.com/ethereum/execution-apis/tree/main/src/engine.
package engine

import (
	"strconv"
	"strings"
	"time"
)

// Family groups the methods that are treated alike, whatever their version: a fork must not need a new release.
type Family uint8

const (
	Other                Family = iota // eth_*, net_*, web3_* and what else one node answers
	NewPayload                         // engine_newPayload*
	ForkchoiceUpdated                  // engine_forkchoiceUpdated*
	GetPayload                         // engine_getPayload*, bodies aside
	GetPayloadBodies                   // engine_getPayloadBodies*
	GetBlobs                           // engine_getBlobs*
	HasBlobs                           // engine_hasBlobs*
	GetInclusionList                   // engine_getInclusionList*
	ExchangeCapabilities               // engine_exchangeCapabilities
	GetClientVersion                   // engine_getClientVersion*
	OtherEngine                        // any other engine_ method
	SendRawTransaction                 // eth_sendRawTransaction
)

var familyNames = [...]string{"Other", "NewPayload", "ForkchoiceUpdated", "GetPayload", "GetPayloadBodies", "GetBlobs", "HasBlobs",
	"GetInclusionList", "ExchangeCapabilities", "GetClientVersion", "OtherEngine", "SendRawTransaction"}

// String returns the family's name, fit for a metric's label.
func (f Family) String() string { return familyNames[f] }

// Engine reports whether the family's methods are of the engine namespace.
func (f Family) Engine() bool { return f != Other && f != SendRawTransaction }

// Method is a method's name, taken apart.
type Method struct {
	Name    string
	Family  Family
	Version int // 0 where the name has none
}

// The longer prefix first where one begins with another.
var families = []struct {
	prefix string
	family Family
}{
	{"newPayload", NewPayload},
	{"forkchoiceUpdated", ForkchoiceUpdated},
	{"getPayloadBodies", GetPayloadBodies},
	{"getPayload", GetPayload},
	{"getBlobs", GetBlobs},
	{"hasBlobs", HasBlobs},
	{"getInclusionList", GetInclusionList},
	{"exchangeCapabilities", ExchangeCapabilities},
	{"getClientVersion", GetClientVersion},
}

// Methods are those of the specification up to Bogota, as a CL that has all of them lists them in
// engine_exchangeCapabilities: a client turns off what the list lacks.
var Methods = []string{
	"engine_newPayloadV1", "engine_newPayloadV2", "engine_newPayloadV3",
	"engine_newPayloadV4", "engine_newPayloadV5", "engine_newPayloadV6",
	"engine_forkchoiceUpdatedV1", "engine_forkchoiceUpdatedV2", "engine_forkchoiceUpdatedV3",
	"engine_forkchoiceUpdatedV4", "engine_forkchoiceUpdatedV5",
	"engine_getPayloadV1", "engine_getPayloadV2", "engine_getPayloadV3",
	"engine_getPayloadV4", "engine_getPayloadV5", "engine_getPayloadV6",
	"engine_getPayloadBodiesByHashV1", "engine_getPayloadBodiesByHashV2",
	"engine_getPayloadBodiesByRangeV1", "engine_getPayloadBodiesByRangeV2",
	"engine_getBlobsV1", "engine_getBlobsV2", "engine_getBlobsV3", "engine_getBlobsV4", "engine_hasBlobs",
	"engine_getInclusionListV1", "engine_getClientVersionV1",
}

// ParseMethod takes a method's name apart.
func ParseMethod(name string) Method {
	m := Method{Name: name}
	word, isEngine := strings.CutPrefix(name, "engine_")
	if !isEngine {
		if name == "eth_sendRawTransaction" {
			m.Family = SendRawTransaction
		}
		return m
	}
	m.Family = OtherEngine
	for _, f := range families {
		if strings.HasPrefix(word, f.prefix) {
			m.Family = f.family
			break
		}
	}
	if v := strings.LastIndexByte(word, 'V'); v >= 0 {
		if n, err := strconv.Atoi(word[v+1:]); err == nil && n > 0 {
			m.Version = n
		}
	}
	return m
}

// Ordered reports whether the method's place among other calls means something: a client makes these one after another.
func (m Method) Ordered() bool {
	return m.Family == NewPayload || m.Family == ForkchoiceUpdated || m.Family == GetPayload
}

// Namespace returns what stands before the underscore: "engine", "eth", "debug".
func (m Method) Namespace() string {
	namespace, _, _ := strings.Cut(m.Name, "_")
	return namespace
}

// Limit bounds a call on one node, whatever its own timeout: it leaves a CL 500 ms less than the specification's timeout of
// a method for the way back. Zero means that there is none but the node's: CLs wait longer for a payload or for blobs
// than the specification's second, and a late answer is worth more than none.
func (m Method) Limit() time.Duration {
	switch m.Family {
	case NewPayload:
		if m.Version >= 5 {
			return 5500 * time.Millisecond
		}
		return 7500 * time.Millisecond
	case ForkchoiceUpdated:
		return 7500 * time.Millisecond
	case GetPayloadBodies:
		return 9500 * time.Millisecond
	}
	return 0
}

// Pace is how long several nodes may take together over an answer that some of them have: then it goes out with what
// there is. Some CLs give up on these methods after the specification's second. Zero means that the nodes have their time.
func (m Method) Pace() time.Duration {
	switch m.Family {
	case GetPayload, GetInclusionList, ExchangeCapabilities, GetClientVersion:
		return 900 * time.Millisecond
	case GetBlobs, HasBlobs:
		return 850 * time.Millisecond
	}
	return m.Limit()
}
