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

// The families, in the order of their table.
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

// family is a row of the table of families.
type family struct {
	name    string        // fit for a metric's label
	prefix  string        // of its methods, behind "engine_"; "" where they have none
	ordered bool          // see Method.Ordered
	limit   time.Duration // see Method.Limit; 0: none
	pace    time.Duration // see Method.Pace; 0: the limit
}

// families is the one table of what is special about a family of methods.
var families = [...]family{
	Other:                {name: "Other"},
	NewPayload:           {"NewPayload", "newPayload", true, newPayloadLimit, 0},
	ForkchoiceUpdated:    {"ForkchoiceUpdated", "forkchoiceUpdated", true, 7500 * time.Millisecond, 0},
	GetPayload:           {"GetPayload", "getPayload", true, 0, 900 * time.Millisecond},
	GetPayloadBodies:     {"GetPayloadBodies", "getPayloadBodies", false, 9500 * time.Millisecond, 0},
	GetBlobs:             {"GetBlobs", "getBlobs", false, 0, 850 * time.Millisecond},
	HasBlobs:             {"HasBlobs", "hasBlobs", false, 0, 850 * time.Millisecond},
	GetInclusionList:     {"GetInclusionList", "getInclusionList", false, 0, 900 * time.Millisecond},
	ExchangeCapabilities: {"ExchangeCapabilities", "exchangeCapabilities", false, 0, 900 * time.Millisecond},
	GetClientVersion:     {"GetClientVersion", "getClientVersion", false, 0, 900 * time.Millisecond},
	OtherEngine:          {name: "OtherEngine"},
	SendRawTransaction:   {name: "SendRawTransaction"},
}

// A CL gives up on newPayload after 8 s, and on those since V5 after 6 s; see Limit.
const (
	newPayloadLimit    = 7500 * time.Millisecond
	newPayloadV5       = 5
	newPayloadV5Limit  = 5500 * time.Millisecond
	sendRawTransaction = "eth_sendRawTransaction"
)

// String returns the family's name, fit for a metric's label.
func (f Family) String() string { return families[f].name }

// Engine reports whether the family's methods are of the engine namespace.
func (f Family) Engine() bool { return f != Other && f != SendRawTransaction }

// Method is a method's name, taken apart.
type Method struct {
	Name    string
	Family  Family
	Version int // 0 where the name has none
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

// newPayloadForks are the forks that newPayload's versions came with. What a version serves doesn't end there: V4 is
// Osaka's, too.
var newPayloadForks = [...]string{1: "Paris", "Shanghai", "Cancun", "Prague", "Amsterdam", "Bogota"}

// ParseMethod takes a method's name apart.
func ParseMethod(name string) Method {
	m := Method{Name: name}
	word, isEngine := strings.CutPrefix(name, "engine_")
	if !isEngine {
		if name == sendRawTransaction {
			m.Family = SendRawTransaction
		}
		return m
	}
	m.Family = familyOf(word)
	if v := strings.LastIndexByte(word, 'V'); v >= 0 {
		if n, err := strconv.Atoi(word[v+1:]); err == nil && n > 0 {
			m.Version = n
		}
	}
	return m
}

// familyOf returns the family with the longest prefix that fits: getPayloadBodies is no getPayload.
func familyOf(word string) Family {
	found := OtherEngine
	for f := range families {
		prefix := families[f].prefix
		if prefix != "" && strings.HasPrefix(word, prefix) && len(prefix) > len(families[found].prefix) {
			found = Family(f)
		}
	}
	return found
}

// Label names the method for people: a newPayload with the fork that its version came with, where we know that.
func (m Method) Label() string {
	if m.Family != NewPayload || m.Version < 1 || m.Version >= len(newPayloadForks) {
		return m.Name
	}
	return m.Name + " (" + newPayloadForks[m.Version] + ")"
}

// Ordered reports whether the method's place among other calls means something: a client makes these one after another.
func (m Method) Ordered() bool { return families[m.Family].ordered }

// Namespace returns what stands before the underscore: "engine", "eth", "debug".
func (m Method) Namespace() string {
	namespace, _, _ := strings.Cut(m.Name, "_")
	return namespace
}

// Limit bounds a call on one node, whatever its own timeout: it leaves a CL 500 ms less than the specification's
// timeout of a method for the way back. Zero means that there is none but the node's: CLs wait longer for a payload or
// for blobs than the specification's second, and a late answer is worth more than none.
func (m Method) Limit() time.Duration {
	if m.Family == NewPayload && m.Version >= newPayloadV5 {
		return newPayloadV5Limit
	}
	return families[m.Family].limit
}

// Pace is how long several nodes may take together over an answer that some of them have: then it goes out with what
// there is. Some CLs give up on these methods after the specification's second. Zero means that the nodes have their
// time.
func (m Method) Pace() time.Duration {
	if pace := families[m.Family].pace; pace > 0 {
		return pace
	}
	return m.Limit()
}

// MaxCapabilities bounds the list of methods that a CL or a node says it has, in bytes of JSON: there are some thirty.
const MaxCapabilities = 16 << 10
