package fleet

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"executionbackup/internal/config"
	"executionbackup/internal/identity"
	"executionbackup/internal/memory"
	"executionbackup/internal/quorum"
	"executionbackup/internal/session"
	"executionbackup/internal/state"
)

// The records that are kept, as keys and JSON. A key begins with a word for what it is, and goes on with what it is of:
//
//	objection/BLOCK/NODE   an INVALID of a node, or that it has ended
//	block/HASH             a block that objections cover
//	trust/NODE             whether a node had proved itself
//	drained/NODE           the operator has set a node aside
//	node/NODE              what a node told of its client and its methods
//	build/ID               a build, under the id that the CL knows
//	chain                  the chain, the newest payload, the head, the finalized block
//	valid/HASH             a block that we called VALID since the finalized one
//	mode                   what somebody chose to become of the CL's calls
//	said                   what the CL said last in exchangeCapabilities
//
// A node is its URL as shown: no record has a secret. Nor has one a payload.
const (
	objectionKey = "objection"
	blockKey     = "block"
	trustKey     = "trust"
	drainedKey   = "drained"
	nodeKey      = "node"
	buildKey     = "build"
	chainKey     = "chain"
	validKey     = "valid"
	saidKey      = "said"
	modeKey      = "mode"
)

type (
	modeValue struct {
		Mode       config.Mode `json:"mode"`
		Configured config.Mode `json:"configured"`
	}
	objectionValue struct {
		Number      uint64          `json:"number"`
		Ended       bool            `json:"ended,omitempty"`
		Reason      string          `json:"reason,omitempty"`
		Provisional bool            `json:"provisional,omitempty"`
		Seconded    bool            `json:"seconded,omitempty"`
		Since       uint64          `json:"since,omitempty"` // timestamp of the block, in seconds
		Config      string          `json:"config,omitempty"`
		Explained   bool            `json:"explained,omitempty"`
		Accepted    []quorum.NodeID `json:"accepted,omitempty"`
		Died        []quorum.NodeID `json:"died,omitempty"`
		Time        time.Time       `json:"time"` // when it was written down
	}
	blockValue struct {
		Parent    common.Hash  `json:"parent,omitzero"`
		Timestamp uint64       `json:"timestamp,omitempty"` // in seconds
		Proof     memory.Proof `json:"proof"`
		Digest    common.Hash  `json:"digest,omitzero"`
		Marks     []markValue  `json:"marks"`
	}
	markValue struct {
		Node   quorum.NodeID `json:"node"`
		Block  common.Hash   `json:"block"`
		Number uint64        `json:"number"`
	}
	trustValue struct {
		Qualified bool  `json:"qualified"`
		Since     int64 `json:"since"` // in milliseconds
	}
	nodeValue struct {
		Client   string                   `json:"client,omitempty"`
		Versions []identity.ClientVersion `json:"versions,omitempty"`
		Methods  []string                 `json:"methods,omitempty"`
	}
	chainValue struct {
		ID        string      `json:"id,omitempty"`
		Genesis   string      `json:"genesis,omitempty"`
		Newest    uint64      `json:"newest,omitempty"` // timestamp of the newest payload, in seconds
		Head      common.Hash `json:"head,omitzero"`
		Finalized common.Hash `json:"finalized,omitzero"`
	}
	validValue struct {
		Number uint64 `json:"number"`
	}
	buildValue struct {
		Begun        time.Time                `json:"begun"`
		Head         common.Hash              `json:"head"`
		Digest       common.Hash              `json:"digest"` // of the attributes
		Judged       bool                     `json:"judged,omitempty"`
		Timestamp    uint64                   `json:"timestamp,omitempty"`
		PrevRandao   common.Hash              `json:"prev_randao,omitzero"`
		FeeRecipient common.Address           `json:"fee_recipient,omitzero"`
		Withdrawals  []types.Withdrawal       `json:"withdrawals"` // null before Shanghai
		BeaconRoot   *common.Hash             `json:"beacon_root,omitempty"`
		IDs          map[quorum.NodeID]string `json:"ids"`
		Winner       quorum.NodeID            `json:"winner,omitempty"`
	}
)

// kindOf is the word with which a key begins.
func kindOf(key string) string {
	kind, _, _ := strings.Cut(key, "/")
	return kind
}

// isWord reports whether a record is of what nodes said.
func isWord(key string) bool {
	kind := kindOf(key)
	return kind == objectionKey || kind == blockKey || kind == trustKey
}

// record writes a value down.
func record(rank uint64, value any) state.Record {
	text, err := json.Marshal(value)
	if err != nil { // nothing that is kept can't be written
		panic(err)
	}
	return state.Record{Rank: rank, Value: text}
}

// rank orders what has no number of its own by the time at which it was written down, on the clock that instances
// share.
func rank(t time.Time) uint64 { return uint64(t.UnixMilli()) }

// wordRecords are what is kept of a memory, written down at a time.
func wordRecords(m memory.State, now time.Time) state.Records {
	records := make(state.Records)
	for _, b := range m.Blocks {
		value := blockValue{
			Parent: b.Parent, Timestamp: b.Timestamp, Proof: b.Proof, Digest: common.Hash(b.Digest),
		}
		for _, mark := range b.Marks {
			value.Marks = append(value.Marks, markValue(mark))
		}
		key := blockKey + "/" + b.Hash.Hex()
		if records[key] = record(rank(now), value); len(b.Marks) == 0 {
			records[key] = state.Record{}
		}
	}
	for _, o := range m.Objections {
		value := objectionValue{
			o.Number, o.Ended, o.Reason, o.Provisional, o.Seconded, o.Since, o.Config, o.Explained, o.Accepted, o.Died,
			now.UTC().Truncate(time.Millisecond),
		}
		key := objectionKey + "/" + o.Block.Hex() + "/" + string(o.Node)
		order := 2 * o.Number // the greater number stands, in a tie the end
		if o.Ended {
			order++
		}
		if records[key] = record(order, value); o.Number == 0 {
			records[key] = state.Record{}
		}
	}
	for _, t := range m.Trust {
		key := trustKey + "/" + string(t.Node)
		if records[key] = record(rank(now), trustValue{t.Qualified, now.UnixMilli()}); t.Gone {
			records[key] = state.Record{}
		}
	}
	return records
}

// buildRecord is what is kept of a build, written down at a time: ids of nodes come late.
func buildRecord(b *session.Build, now time.Time) (key string, r state.Record) {
	a := b.Attributes
	return buildKey + "/" + b.ID, record(rank(now), buildValue{
		b.Begun, b.Head, common.Hash(a.Digest), a.Judged, a.Timestamp, a.PrevRandao, a.FeeRecipient, a.Withdrawals,
		a.BeaconRoot, b.IDs, b.Winner,
	})
}

// IsOver reports whether nobody asks for a build any more: two slots after the timestamp of its attributes, or where
// these are of another time than ours, after it was begun.
func (f *Fleet) IsOver(b *session.Build) bool {
	last, now, twoSlots := b.Begun, time.Now(), 2*f.Slot()
	if timestamp := b.Attributes.Timestamp; timestamp < uint64(now.Add(twoSlots).Unix()) {
		last = latest(last, time.Unix(int64(timestamp), 0))
	}
	return now.After(last.Add(twoSlots))
}

// ofNodes are the records but words that name nodes, under ids that are translated.
func (f *Fleet) ofNodes(t names) state.Records {
	records, now := make(state.Records), f.storeTime(time.Now())
	for _, id := range t.of(f.Pool.Drained()) {
		records[drainedKey+"/"+string(id)] = record(rank(now), true)
	}
	for _, b := range f.Controller.Builds.All() {
		if translated := t.build(b); !f.IsOver(&b) {
			key, r := buildRecord(&translated, now)
			records[key] = r
		}
	}
	return records
}

// ofClients are what nodes have told of their clients and methods.
func (f *Fleet) ofClients() state.Records {
	records, now := make(state.Records), f.storeTime(time.Now())
	for id, told := range f.Pool.Told() {
		if told.Client != "" || told.Clients != nil || told.Capabilities != nil {
			records[nodeKey+"/"+string(id)] = record(rank(now), nodeValue{told.Client, told.Clients, told.Capabilities})
		}
	}
	return records
}

// ofMode is the mode, where somebody chose another than is configured.
func (f *Fleet) ofMode() state.Records {
	m := f.modes.chosen.Load()
	if m.Mode == m.configured {
		return nil
	}
	return state.Records{modeKey: record(rank(f.storeTime(time.Now())), modeValue{m.Mode, m.configured})}
}

// ofChain are the records that name no node.
func (f *Fleet) ofChain() state.Records {
	records := make(state.Records)
	home, _ := f.Pool.Followed()
	chain := f.Controller.Chain.State()
	newest := f.Memory.Newest()
	records[chainKey] = record(newest, chainValue{home.ID, home.Genesis, newest, chain.Head, chain.Finalized})
	for _, b := range chain.Valid {
		records[validKey+"/"+b.Hash.Hex()] = record(1, validValue{b.Number})
	}
	if said := f.Controller.Capabilities.Said(); json.Valid(said) {
		records[saidKey] = record(rank(f.storeTime(time.Now())), json.RawMessage(said))
	}
	return records
}
