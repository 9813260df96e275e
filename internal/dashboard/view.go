package dashboard

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"executionbackup/internal/overview"
)

// view is what is shown at one moment, as JSON.
type view struct {
	at        time.Time
	status    json.RawMessage
	nodes     []entry
	blocks    []entry
	disputes  []entry
	proposals []entry
}

// entry is one node, block, dispute or proposal. Its key says which.
type entry struct {
	key  string
	json json.RawMessage
}

// look returns what is to be shown now. However many ask, it is made once in half an interval.
func (d *Dashboard) look() view {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Sub(d.seen.at) >= interval/2 {
		d.seen = d.newView(now)
	}
	return d.seen
}

func (d *Dashboard) newView(now time.Time) view {
	f, s := d.source.API.Fleet, d.source.State(now)
	v := view{at: now, status: encode(overview.Of(s))}
	for _, n := range s.Nodes {
		v.nodes = append(v.nodes, entry{n.Name, encode(n)})
	}
	for _, b := range s.Blocks {
		v.blocks = append(v.blocks, entry{id(b.ID), encode(b)})
	}
	for _, b := range s.Disputes {
		v.disputes = append(v.disputes, entry{id(b.ID), encode(b)})
	}
	for _, p := range f.Proposals.List() {
		v.proposals = append(v.proposals, entry{id(p.ID), encode(p)})
	}
	return v
}

func id(n uint64) string { return strconv.FormatUint(n, 10) }

func encode(v any) json.RawMessage {
	b, _ := json.Marshal(v) // our own types: they always can be
	return b
}

// message is a snapshot, or what changed of one: then the lists have new and changed entries only, and Order only
// stands there where nodes came or went.
type message struct {
	Now       time.Time         `json:"now"`              // by our clock, for what is told in ages
	Status    json.RawMessage   `json:"status,omitempty"` // as GET /status has it
	Order     []string          `json:"order,omitempty"`  // all nodes, by name
	Nodes     []json.RawMessage `json:"nodes,omitempty"`
	Blocks    []json.RawMessage `json:"blocks,omitempty"`
	Disputes  []json.RawMessage `json:"disputes,omitempty"`
	Proposals []json.RawMessage `json:"proposals,omitempty"`
}

// since returns what v has and old hasn't, and whether that is anything.
func (v view) since(old view) (m message, any bool) {
	m = message{Now: v.at, Nodes: changed(v.nodes, old.nodes), Blocks: changed(v.blocks, old.blocks),
		Disputes: changed(v.disputes, old.disputes), Proposals: changed(v.proposals, old.proposals)}
	if !bytes.Equal(v.status, old.status) {
		m.Status = v.status
	}
	if names := keys(v.nodes); !slices.Equal(names, keys(old.nodes)) {
		m.Order = names
	}
	return m, m.Status != nil || m.Order != nil || m.Nodes != nil || m.Blocks != nil ||
		m.Disputes != nil || m.Proposals != nil
}

// changed returns the entries that are new, or other than they were.
func changed(now, old []entry) (out []json.RawMessage) {
	was := make(map[string]json.RawMessage, len(old))
	for _, e := range old {
		was[e.key] = e.json
	}
	for _, e := range now {
		if !bytes.Equal(e.json, was[e.key]) {
			out = append(out, e.json)
		}
	}
	return out
}

func keys(entries []entry) (keys []string) {
	for _, e := range entries {
		keys = append(keys, e.key)
	}
	return keys
}
