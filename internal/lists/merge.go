package lists

import (
	"bytes"
	"math"
	"slices"

	"executionbackup/internal/engine"
)

// A list is what getBlobs, hasBlobs and getPayloadBodies answer with: an entry for each position that was asked for.
// What one node lacks at a position another may have. All of this file is pure.

// noNode is the From of an entry that no node sent.
const noNode = math.MaxInt

// merge puts the lists of nodes together, the first list's entries before those of the others. The result is as long as
// the longest of them. whole says that nothing is missing.
func merge(asked *engine.List, lists [][]engine.Entry) (merged []engine.Entry, whole bool) {
	merged = []engine.Entry{}
	for from, l := range lists {
		for i, e := range l {
			e.From = from
			switch {
			case i == len(merged):
				merged = append(merged, e)
			case merged[i].Gap:
				merged[i] = join(asked.Kind, merged[i], e)
			}
		}
	}
	gap := func(e engine.Entry) bool { return e.Gap }
	return merged, uint64(len(merged)) == asked.Size && !slices.ContainsFunc(merged, gap)
}

// fill fills the gaps of a merged list with what we have ourselves, and lengthens it as far as we have what comes next.
func fill(asked *engine.List, merged []engine.Entry, own func(i int) (engine.Entry, bool)) (
	filled []engine.Entry, whole bool) {
	whole = true
	for i := 0; uint64(i) < asked.Size; i++ {
		if i < len(merged) && !merged[i].Gap {
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
		whole = whole && !merged[i].Gap
	}
	return merged, whole
}

// completed returns the body at a position where a node's has a gap and we know the whole: the node's own if nothing is
// missing in it after all, else ours.
func completed(node, own engine.Entry) engine.Entry {
	if node.Parts != nil && node.Empty == own.Empty && (node.Parts[2] == nil) == (own.Parts[2] == nil) {
		node.Gap = false
		return node
	}
	return own
}

// source returns the index of the list that all entries are from, if there is a single one. An entry that is null could
// be from any; -1 stands for no list in particular.
func source(merged []engine.Entry) (from int, single bool) {
	from = -1
	for i := range merged {
		switch e := &merged[i]; {
		case e.Raw == nil:
			return 0, false
		case e.Null, e.From == from:
		case from >= 0:
			return 0, false
		default:
			from = e.From
		}
	}
	return from, true
}

// join returns what two nodes have at the same position. a, which has precedence, has a gap.
func join(kind engine.ListKind, a, b engine.Entry) engine.Entry {
	switch kind {
	case engine.Cells:
		return joinCells(a, b)
	case engine.Bodies, engine.BodiesSince:
		return joinBodies(a, b)
	}
	if b.Gap {
		return a
	}
	return b
}

// joinCells puts the cells of two nodes together. A proof stays with its cell.
func joinCells(a, b engine.Entry) engine.Entry {
	switch {
	case a.Parts == nil:
		return b
	case b.Parts == nil:
		return a
	}
	mixed, more := engine.Entry{Parts: slices.Clone(a.Parts)}, false
	for i, part := range b.Parts {
		if mixed.Parts[i] == nil {
			mixed.Parts[i], more = part, more || part != nil
		}
		mixed.Gap = mixed.Gap || mixed.Parts[i] == nil
	}
	if !more {
		return a
	}
	return mixed
}

// joinBodies prefers a body with transactions to one without, and a body with its block access list to the same body
// without it. Bodies that differ otherwise are of different blocks, or of clients that write JSON differently: the
// first one stays. No body is made of two.
func joinBodies(a, b engine.Entry) engine.Entry {
	switch {
	case a.Parts == nil:
		return b
	case b.Parts == nil:
		return a
	case a.Empty && !b.Empty:
		return b
	case !bytes.Equal(a.Parts[0], b.Parts[0]), !bytes.Equal(a.Parts[1], b.Parts[1]):
		return a
	case a.Parts[2] == nil && b.Parts[2] != nil:
		return b
	}
	return a
}
