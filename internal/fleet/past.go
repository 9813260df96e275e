package fleet

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/config"
	"executionbackup/internal/engine"
	"executionbackup/internal/identity"
	"executionbackup/internal/memory"
	"executionbackup/internal/node"
	"executionbackup/internal/quorum"
	"executionbackup/internal/session"
	"executionbackup/internal/state"
)

// past is what another process kept, as its owners take it.
type past struct {
	memory  memory.State
	chain   session.ChainState
	newest  uint64
	home    identity.Chain
	builds  []session.Build
	said    []byte
	drained map[quorum.NodeID]bool
	since   map[quorum.NodeID]int64 // when what is kept of a node's trust began, in milliseconds
	told    map[quorum.NodeID]identity.Info
	mode    *modeValue // nil where nobody chose one
}

// read reads records. Builds that are over are left out, and so is what nobody can read. Nodes are called as they are
// in the records: see only and rename.
func (f *Fleet) read(records state.Records) *past {
	p := &past{
		drained: make(map[quorum.NodeID]bool), since: make(map[quorum.NodeID]int64),
		told: make(map[quorum.NodeID]identity.Info),
	}
	unread := 0
	for key, r := range records {
		kind, of, _ := strings.Cut(key, "/")
		if take, known := takes[kind]; known && take(p, of, r.Value) != nil {
			unread++
		}
	}
	if unread > 0 {
		f.Log.Warn("records of an earlier run can't be read, and are left out", "records", unread)
	}
	p.builds = slices.DeleteFunc(p.builds, func(b session.Build) bool { return f.IsOver(&b) })
	slices.SortFunc(p.builds, func(a, b session.Build) int { return a.Begun.Compare(b.Begun) })
	return p
}

// takes reads a record of each kind, by what it is of.
var takes = map[string]func(p *past, of string, text []byte) error{
	objectionKey: func(p *past, of string, text []byte) error {
		block, node, _ := strings.Cut(of, "/")
		v, err := value[objectionValue](text)
		if err == nil && v.Number == 0 {
			err = errors.New("an objection without a number")
		}
		if err == nil {
			p.memory.Objections = append(p.memory.Objections, memory.Objection{
				Node: quorum.NodeID(node), Block: common.HexToHash(block), Number: v.Number, Ended: v.Ended,
				Reason: v.Reason, Provisional: v.Provisional, Seconded: v.Seconded,
				Since: v.Since, Config: v.Config, Explained: v.Explained, Accepted: v.Accepted, Died: v.Died,
			})
		}
		return err
	},
	blockKey: func(p *past, of string, text []byte) error {
		v, err := value[blockValue](text)
		b := memory.Block{
			Hash: common.HexToHash(of), Parent: v.Parent, Timestamp: v.Timestamp, Proof: v.Proof,
			Digest: memory.Digest(v.Digest),
		}
		for _, mark := range v.Marks {
			b.Marks = append(b.Marks, memory.Mark(mark))
		}
		if err == nil {
			p.memory.Blocks = append(p.memory.Blocks, b)
		}
		return err
	},
	trustKey: func(p *past, of string, text []byte) error {
		v, err := value[trustValue](text)
		if err == nil {
			p.memory.Trust = append(p.memory.Trust, memory.Trust{Node: quorum.NodeID(of), Qualified: v.Qualified})
			p.since[quorum.NodeID(of)] = v.Since
		}
		return err
	},
	drainedKey: func(p *past, of string, text []byte) error {
		drained, err := value[bool](text)
		if err == nil {
			p.drained[quorum.NodeID(of)] = drained
		}
		return err
	},
	nodeKey: func(p *past, of string, text []byte) error {
		v, err := value[nodeValue](text)
		if err == nil {
			p.told[quorum.NodeID(of)] = identity.Info{Client: v.Client, Clients: v.Versions, Capabilities: v.Methods}
		}
		return err
	},
	buildKey: func(p *past, of string, text []byte) error {
		v, err := value[buildValue](text)
		if err == nil && v.IDs == nil {
			err = errors.New("a build without ids")
		}
		if err == nil {
			p.builds = append(p.builds, session.Build{
				ID: of, Begun: v.Begun, Head: v.Head, IDs: v.IDs, Winner: v.Winner,
				Attributes: &engine.Attributes{
					Digest: v.Digest, Judged: v.Judged, Timestamp: v.Timestamp, PrevRandao: v.PrevRandao,
					FeeRecipient: v.FeeRecipient, Withdrawals: v.Withdrawals, BeaconRoot: v.BeaconRoot,
				},
			})
		}
		return err
	},
	chainKey: func(p *past, _ string, text []byte) error {
		v, err := value[chainValue](text)
		if err == nil {
			p.home, p.newest = identity.Chain{ID: v.ID, Genesis: v.Genesis}, v.Newest
			p.chain.Head, p.chain.Finalized = v.Head, v.Finalized
		}
		return err
	},
	validKey: func(p *past, of string, text []byte) error {
		v, err := value[validValue](text)
		if err == nil {
			p.chain.Valid = append(p.chain.Valid, session.Block{Hash: common.HexToHash(of), Number: v.Number})
		}
		return err
	},
	modeKey: func(p *past, _ string, text []byte) error {
		v, err := value[modeValue](text)
		if err == nil {
			_, err = config.ParseMode(string(v.Mode))
		}
		if err == nil {
			p.mode = &v
		}
		return err
	},
	saidKey: func(p *past, _ string, text []byte) error {
		p.said = text
		return nil
	},
}

// value reads what record wrote.
func value[V any](text []byte) (v V, err error) {
	err = json.Unmarshal(text, &v)
	return v, err
}

// clean returns blocks that no objection covered but those that the records say are covered.
func (p *past) clean() []common.Hash {
	hashes := []common.Hash{p.chain.Head}
	for _, b := range p.chain.Valid {
		hashes = append(hashes, b.Hash)
	}
	return hashes
}

// only leaves out the words of nodes that are no longer configured, or may not vote any more.
func (p *past) only(nodes []*node.Node) *past {
	votes := make(map[quorum.NodeID]bool)
	for _, n := range nodes {
		votes[n.ID] = !n.Status().DoNotUse
	}
	p.memory.Objections = slices.DeleteFunc(p.memory.Objections, func(o memory.Objection) bool {
		return !votes[o.Node]
	})
	p.memory.Trust = slices.DeleteFunc(p.memory.Trust, func(t memory.Trust) bool {
		_, configured := votes[t.Node]
		return !configured
	})
	return p
}

// isDrained are the nodes that were drained.
func (p *past) isDrained() (ids []quorum.NodeID) {
	for id, drained := range p.drained {
		if drained {
			ids = append(ids, id)
		}
	}
	return ids
}

// trusted returns the nodes that had proved themselves.
func (p *past) trusted() (ids []quorum.NodeID) {
	for _, t := range p.memory.Trust {
		if t.Qualified {
			ids = append(ids, t.Node)
		}
	}
	return ids
}
