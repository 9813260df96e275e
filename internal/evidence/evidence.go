// Package evidence keeps what shows that nodes disagreed: one file per objected block, with the call, each node's own
// words and our decision, so that whoever is asked in the morning can say who was wrong, and put the call to nodes
// again.
//
// A file is a gzip stream of JSON values: the Case, the calls as the consensus client sent them (Call), and then one
// Record for each thing that followed: late replies, and later calls on the block and its descendants. Nothing in it is
// secret: URLs are without userinfo and query.
package evidence

import (
	"encoding/json"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// Kind says why something is evidence.
type Kind string

const (
	Dispute        Kind = "dispute"          // the votes conflict
	LateObjection  Kind = "late objection"   // an INVALID after the consensus client had another answer
	WrongBlockHash Kind = "wrong block hash" // the payload is invalid by itself, and no node said so
	CrossCheck     Kind = "cross-check"      // a node calls another's payload INVALID before it is proposed
	Shadow         Kind = "shadow"           // in shadow mode: the consensus client would have heard something else
	Tried          Kind = "tried"            // a node that is tried (#shadow) says something else than the answer

	// Follows is a call, or a late reply, that is no evidence by itself. It is kept where it follows what is.
	Follows Kind = ""
)

// Case is an objected block: the call that began it, and what came of that.
type Case struct {
	Version int    `json:"version"` // of the format
	Program string `json:"program"` // which ExecutionBackup
	Kind    Kind   `json:"kind"`
	Record
	Parent   common.Hash     `json:"parent_hash"`
	Builder  string          `json:"builder,omitempty"` // whose payload it is, in a cross-check
	Reason   string          `json:"reason,omitempty"`  // what a wrong block hash is wrong about
	Answer   json.RawMessage `json:"answer,omitempty"`  // what the consensus client heard, result or error
	Settings Settings        `json:"settings"`
}

// wrong reports whether the case is about a payload whose content isn't that of the block whose hash it claims. It says
// nothing of that block.
func (c *Case) wrong() bool { return c.Reason != "" }

// formatVersion is the version of the files that are written, and the latest that can be read.
const formatVersion = 1

// Record is one call and what came of it. Of a call that only follows it is short: no answer in full.
type Record struct {
	Time    time.Time   `json:"time"` // when the call came
	Method  string      `json:"method"`
	Number  uint64      `json:"number,omitempty"` // of the block; 0 where the call doesn't say
	Block   common.Hash `json:"block_hash"`
	Verdict string      `json:"verdict,omitempty"` // what the consensus client heard; "" in a reply that came later
	Did     string      `json:"did,omitempty"`     // what it heard in shadow mode; Verdict is what it would have heard
	Dispute bool        `json:"dispute,omitempty"`
	Rule    string      `json:"rule,omitempty"` // which rule decided the dispute
	Why     string      `json:"why,omitempty"`  // why, in words
	Took    int64       `json:"took"`           // microseconds until it heard that
	Replies []Reply     `json:"replies"`
}

// Reply is what one node said, and who it was then.
type Reply struct {
	Node   string `json:"node"`
	Status string `json:"status,omitempty"` // as it came; "" where there was none
	Vote   string `json:"vote,omitempty"`   // what of it counted; an INVALID may be from before
	Reason string `json:"reason,omitempty"` // its validationError, or in words why there was no status
	Took   int64  `json:"took,omitempty"`   // microseconds until it came; 0 where nothing had come yet

	Answer json.RawMessage `json:"answer,omitempty"` // its result or error, raw
	About  *Node           `json:"about,omitempty"`
}

// Node is what was known of a node when it was asked.
type Node struct {
	URL       string `json:"url"`
	Client    string `json:"client"`
	State     string `json:"state"`
	Timeout   int64  `json:"timeout"` // microseconds
	Sent      bool   `json:"sent"`    // it got the call
	Voter     bool   `json:"voter"`
	Asked     bool   `json:"asked"` // it was waited for
	MayObject bool   `json:"may_object"`
	Laggard   bool   `json:"laggard"`
	DoNotUse  bool   `json:"do_not_use"`
	Backup    bool   `json:"backup"`
	Drained   bool   `json:"drained"`
	Fork      string `json:"fork,omitempty"` // its fork configuration, in one line; "" where it isn't known
}

// Settings are what the decision hung on.
type Settings struct {
	Threshold  string `json:"fcu_invalid_threshold"`
	MinValid   int    `json:"min_valid"`
	OnDispute  string `json:"on_dispute"`
	VoteBy     string `json:"vote_by"`
	Grace      string `json:"grace"`
	BuildGrace string `json:"build_grace"`
	CrossCheck string `json:"cross_check"`
}

// Call is a call as the consensus client sent it, byte for byte. It may be no JSON.
type Call struct {
	Method string
	Body   []byte
}

// MarshalJSON writes a call as a file has it.
func (c Call) MarshalJSON() ([]byte, error) {
	if json.Valid(c.Body) {
		return json.Marshal(line{Method: c.Method, Call: c.Body})
	}
	return json.Marshal(line{Method: c.Method, Bytes: c.Body})
}

// objectors are the nodes whose INVALID stands in a record.
func (r *Record) objectors() map[string]bool {
	names := make(map[string]bool)
	for _, s := range r.Replies {
		if s.Vote == "INVALID" || s.Status == "INVALID" {
			names[s.Node] = true
		}
	}
	return names
}
