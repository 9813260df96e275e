package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"

	"executionbackup/internal/jsonrpc"
)

// A list is what getBlobs, hasBlobs and getPayloadBodies answer with: an array with an entry for each position that
// was asked for. What one node lacks at a position another may have. All of this file is pure.

// entry is what a node has at one position.
type entry struct {
	raw   []byte   // the node's own bytes; nil where the entry is mixed from those of several
	gap   bool     // something is missing that another node may have
	parts [][]byte // what join looks at: see the shape; nil where the node has nothing
	from  int      // which list it is from; means nothing in a mixed one
}

// noNode is where an entry is from that no node sent.
const noNode = math.MaxInt

// shape says how the lists of a method are read and put together.
type shape struct {
	size  uint64 // how many entries were asked for
	short bool   // a list may have fewer: its node knows no later block
	free  bool   // the method is newer than we are: an answer that is no array passes through

	// read finds what is judged of an entry. An error makes the whole list malformed.
	read func(raw []byte) (entry, error)
	// join returns what two nodes have at the same position. a, which comes first, has a gap.
	join func(a, b entry) entry
}

var (
	errNoList = errors.New("not an array")
	errEntry  = errors.New("malformed entry")
)

// list reads a node's list.
func (s shape) list(from int, result []byte) ([]entry, error) {
	if !jsonrpc.IsArray(result) {
		return nil, errNoList
	}
	elements, err := jsonrpc.Elements(result)
	if err != nil {
		return nil, err
	}
	if err := s.fits(len(elements)); err != nil {
		return nil, err
	}
	entries := make([]entry, len(elements))
	for i, raw := range elements {
		if entries[i], err = s.read(raw); err != nil {
			return nil, err
		}
		entries[i].raw, entries[i].from = raw, from
	}
	return entries, nil
}

// fits reports, as an error, that a list has not as many entries as were asked for.
func (s shape) fits(entries int) error {
	if n := uint64(entries); n > s.size || n < s.size && !s.short {
		return fmt.Errorf("%d entries for %d asked for", n, s.size)
	}
	return nil
}

// merge puts lists together, the first list's entries before those of the others. It is as long as the longest of
// them. whole says that nothing is missing.
func (s shape) merge(lists [][]entry) (merged []entry, whole bool) {
	merged = []entry{}
	for _, l := range lists {
		for i, e := range l {
			switch {
			case i == len(merged):
				merged = append(merged, e)
			case merged[i].gap:
				merged[i] = s.join(merged[i], e)
			}
		}
	}
	whole = uint64(len(merged)) == s.size
	for _, e := range merged {
		whole = whole && !e.gap
	}
	return merged, whole
}

// fill fills the gaps of a merged list from what we have ourselves, and adds what comes behind its end without a gap.
func (s shape) fill(merged []entry, own func(i int) (entry, bool)) (filled []entry, whole bool) {
	whole = true
	for i := 0; uint64(i) < s.size; i++ {
		if i < len(merged) && !merged[i].gap {
			continue
		}
		e, have := own(i)
		switch {
		case i == len(merged) && !have:
			return merged, false
		case i == len(merged):
			merged = append(merged, e)
		case have:
			merged[i] = completed(merged[i], e)
		}
		whole = whole && !merged[i].gap
	}
	return merged, whole
}

// completed is what a node has at a position where we know the whole: its own bytes if they say as much.
func completed(node, own entry) entry {
	if node.parts != nil && isEmpty(node.parts[0]) == isEmpty(own.parts[0]) && jsonrpc.IsNull(node.parts[2]) == jsonrpc.IsNull(own.parts[2]) {
		node.gap = false
		return node
	}
	return own
}

// source returns the list that all of the entries are from. What is null could be from any; -1 stands for no list in
// particular.
func source(merged []entry) (from int, single bool) {
	from = -1
	for _, e := range merged {
		switch {
		case e.raw == nil:
			return 0, false
		case jsonrpc.IsNull(e.raw), e.from == from:
		case from >= 0:
			return 0, false
		default:
			from = e.from
		}
	}
	return from, true
}

// What stands between the entries of a list, and between the cells of one.
var (
	openList, comma, closeList         = []byte("["), []byte(","), []byte("]")
	openCells, openProofs, closeProofs = []byte(`{"blob_cells":[`), []byte(`],"proofs":[`), []byte(`]}`)
	null                               = []byte("null")
)

// assemble writes a list. It copies every byte once.
func assemble(entries []entry) []byte {
	pieces := append(make([][]byte, 0, 2*len(entries)+2), openList)
	for i, e := range entries {
		if i > 0 {
			pieces = append(pieces, comma)
		}
		if e.raw != nil {
			pieces = append(pieces, e.raw)
		} else {
			pieces = appendCells(pieces, e.parts)
		}
	}
	return bytes.Join(append(pieces, closeList), nil)
}

// takeNext is the join of entries that a node has or has not.
func takeNext(a, b entry) entry {
	if b.gap {
		return a
	}
	return b
}

// readAny reads an entry that is there or null, and judges nothing in it.
func readAny(raw []byte) (entry, error) { return entry{gap: jsonrpc.IsNull(raw)}, nil }

// readBool reads an entry of hasBlobs.
func readBool(raw []byte) (entry, error) {
	switch string(raw) {
	case "true":
		return entry{}, nil
	case "false":
		return entry{gap: true}, nil
	}
	return entry{}, errEntry
}

var blobMembers = []string{"blob", "proof", "proofs"}

// readBlob reads a BlobAndProofV1 (cancun.md#blobandproofv1) or V2 (osaka.md#blobandproofv2).
func readBlob(raw []byte) (entry, error) {
	if jsonrpc.IsNull(raw) {
		return entry{gap: true}, nil
	}
	var found [3][]byte
	if err := jsonrpc.Members(raw, blobMembers, found[:]); err != nil {
		return entry{}, err
	}
	return entry{gap: jsonrpc.IsNull(found[0]) || jsonrpc.IsNull(found[1]) && jsonrpc.IsNull(found[2])}, nil
}

var cellMembers = []string{"blob_cells", "proofs"}

// readCells returns the read of a BlobCellsAndProofsV1 (amsterdam.md#blobcellsandproofsv1) for that many cells. Its
// parts are the cells, each with its proof behind it; both are nil where either is missing.
func readCells(cells int) func(raw []byte) (entry, error) {
	return func(raw []byte) (entry, error) {
		if jsonrpc.IsNull(raw) {
			return entry{gap: true}, nil
		}
		var found [2][]byte
		if err := jsonrpc.Members(raw, cellMembers, found[:]); err != nil {
			return entry{}, err
		}
		var columns [2][][]byte
		for i := range found {
			var err error
			if columns[i], err = jsonrpc.Elements(found[i]); err != nil {
				return entry{}, err
			}
			if len(columns[i]) != cells {
				return entry{}, errEntry
			}
		}
		e := entry{parts: make([][]byte, 2*cells)}
		for i := range cells {
			cell, proof := columns[0][i], columns[1][i]
			if jsonrpc.IsNull(cell) || jsonrpc.IsNull(proof) {
				e.gap = true
				continue
			}
			e.parts[2*i], e.parts[2*i+1] = cell, proof
		}
		return e, nil
	}
}

// joinCells puts the cells of two nodes together. A proof stays with its cell.
func joinCells(a, b entry) entry {
	switch {
	case a.parts == nil:
		return b
	case b.parts == nil:
		return a
	}
	mixed, more := entry{parts: slices.Clone(a.parts)}, false
	for i, part := range b.parts {
		if mixed.parts[i] == nil {
			mixed.parts[i], more = part, more || part != nil
		}
		mixed.gap = mixed.gap || mixed.parts[i] == nil
	}
	if !more {
		return a
	}
	return mixed
}

// appendCells appends the pieces of a BlobCellsAndProofsV1.
func appendCells(pieces, parts [][]byte) [][]byte {
	for column, open := range [][]byte{openCells, openProofs} {
		pieces = append(pieces, open)
		for i := column; i < len(parts); i += 2 {
			if i > column {
				pieces = append(pieces, comma)
			}
			if parts[i] == nil {
				pieces = append(pieces, null)
			} else {
				pieces = append(pieces, parts[i])
			}
		}
	}
	return append(pieces, closeProofs)
}

var bodyMembers = []string{"transactions", "withdrawals", "blockAccessList"}

// readBody returns the read of an ExecutionPayloadBodyV1 (shanghai.md#executionpayloadbodyv1) or, with the block
// access list, of a V2 (amsterdam.md#executionpayloadbodyv2). Its parts are the three members.
func readBody(accessList bool) func(raw []byte) (entry, error) {
	return func(raw []byte) (entry, error) {
		if jsonrpc.IsNull(raw) {
			return entry{gap: true}, nil
		}
		parts := make([][]byte, len(bodyMembers))
		if err := jsonrpc.Members(raw, bodyMembers, parts); err != nil {
			return entry{}, err
		}
		return entry{gap: isEmpty(parts[0]) || accessList && jsonrpc.IsNull(parts[2]), parts: parts}, nil
	}
}

// isEmpty reports whether a body's transactions are none: it may be a block without any, or one that its node has pruned.
func isEmpty(transactions []byte) bool {
	return jsonrpc.IsNull(transactions) || len(transactions) >= 2 && transactions[0] == '[' && len(bytes.TrimSpace(transactions[1:len(transactions)-1])) == 0
}

// joinBodies prefers a body with transactions to one without, and a body with its block access list to the same body without
// it. Bodies that differ otherwise are of different blocks, or of clients that write JSON differently: the first one stays. No
// body is made of two.
func joinBodies(a, b entry) entry {
	switch {
	case a.parts == nil:
		return b
	case b.parts == nil:
		return a
	case isEmpty(a.parts[0]) && !isEmpty(b.parts[0]):
		return b
	case !bytes.Equal(a.parts[0], b.parts[0]), !bytes.Equal(a.parts[1], b.parts[1]):
		return a
	case jsonrpc.IsNull(a.parts[2]) && !jsonrpc.IsNull(b.parts[2]):
		return b
	}
	return a
}
