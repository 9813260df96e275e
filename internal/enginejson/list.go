package enginejson

import (
	"bytes"
	"errors"

	"executionbackup/internal/engine"
	"executionbackup/internal/rawjson"
)

var (
	errNoList = errors.New("not an array")
	errEntry  = errors.New("malformed entry")
)

// readList reads a node's answer to a call for a list. An answer that is no list passes through where the method is
// newer than we are, and null always: then there are no entries.
func readList(l *engine.List, result []byte) ([]engine.Entry, error) {
	if rawjson.IsNull(result) {
		return nil, nil
	}
	if !rawjson.IsArray(result) {
		if l.Free {
			return nil, nil
		}
		return nil, errNoList
	}
	elements, err := rawjson.Elements(result)
	if err != nil {
		return nil, err
	}
	if err := l.Fits(len(elements)); err != nil {
		return nil, err
	}
	entries := make([]engine.Entry, len(elements))
	for i, raw := range elements {
		if entries[i], err = readEntry(l, raw); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// readEntry reads what is judged of an entry. An error makes the whole list malformed.
func readEntry(l *engine.List, raw []byte) (e engine.Entry, err error) {
	switch null := rawjson.IsNull(raw); {
	case l.Kind == engine.Having:
		e, err = readHaving(raw)
	case null:
		e = engine.Entry{Null: true, Gap: true}
	case l.Kind == engine.Blobs:
		e, err = readBlob(raw)
	case l.Kind == engine.Cells:
		e, err = readCells(l.Cells, raw)
	case l.Kind == engine.Bodies:
		e, err = readBody(raw, false)
	case l.Kind == engine.BodiesSince:
		e, err = readBody(raw, true)
	}
	e.Raw = raw
	return e, err
}

// readHaving reads an entry of hasBlobs.
func readHaving(raw []byte) (engine.Entry, error) {
	switch string(raw) {
	case "true":
		return engine.Entry{}, nil
	case "false":
		return engine.Entry{Gap: true}, nil
	}
	return engine.Entry{}, errEntry
}

var blobMembers = []string{"blob", "proof", "proofs"}

// readBlob reads a BlobAndProofV1 (cancun.md#blobandproofv1) or V2 (osaka.md#blobandproofv2).
func readBlob(raw []byte) (engine.Entry, error) {
	var found [3][]byte
	if err := rawjson.Members(raw, blobMembers, found[:]); err != nil {
		return engine.Entry{}, err
	}
	unproved := rawjson.IsNull(found[1]) && rawjson.IsNull(found[2])
	return engine.Entry{Gap: rawjson.IsNull(found[0]) || unproved}, nil
}

var cellMembers = []string{"blob_cells", "proofs"}

// readCells reads a BlobCellsAndProofsV1 (amsterdam.md#blobcellsandproofsv1) that should have so many cells.
func readCells(cells int, raw []byte) (engine.Entry, error) {
	var found [2][]byte
	if err := rawjson.Members(raw, cellMembers, found[:]); err != nil {
		return engine.Entry{}, err
	}
	var columns [2][][]byte
	for i := range found {
		var err error
		if columns[i], err = rawjson.Elements(found[i]); err != nil {
			return engine.Entry{}, err
		}
		if len(columns[i]) != cells {
			return engine.Entry{}, errEntry
		}
	}
	e := engine.Entry{Parts: make([][]byte, 2*cells)}
	for i := range cells {
		cell, proof := columns[0][i], columns[1][i]
		if rawjson.IsNull(cell) || rawjson.IsNull(proof) {
			e.Gap = true
			continue
		}
		e.Parts[2*i], e.Parts[2*i+1] = cell, proof
	}
	return e, nil
}

var bodyMembers = []string{"transactions", "withdrawals", "blockAccessList"}

// readBody reads an ExecutionPayloadBodyV1 (shanghai.md#executionpayloadbodyv1) or, with the block access list, a V2
// (amsterdam.md#executionpayloadbodyv2).
func readBody(raw []byte, accessList bool) (engine.Entry, error) {
	parts := make([][]byte, engine.BodyParts)
	if err := rawjson.Members(raw, bodyMembers, parts); err != nil {
		return engine.Entry{}, err
	}
	e := bodyEntry(parts)
	e.Gap = e.Empty || accessList && parts[2] == nil
	return e, nil
}

// BodyOf is the body of the payload that a call of newPayload shows, as an entry of getPayloadBodies; told says that
// the call has it.
func BodyOf(c *engine.Call) (e engine.Entry, told bool) {
	parts := make([][]byte, engine.BodyParts)
	args, err := rawjson.Elements(c.Params)
	if err != nil || len(args) == 0 || rawjson.Members(args[0], bodyMembers, parts) != nil {
		return engine.Entry{}, false
	}
	e = bodyEntry(parts)
	return e, parts[0] != nil
}

// bodyEntry is the entry of a body with these members, raw, which it keeps: null is as good as missing, and becomes
// nil.
func bodyEntry(parts [][]byte) engine.Entry {
	for i := range parts {
		if rawjson.IsNull(parts[i]) {
			parts[i] = nil
		}
	}
	return engine.Entry{Parts: parts, Empty: isEmpty(parts[0])}
}

// isEmpty reports whether a body's transactions are none.
func isEmpty(transactions []byte) bool {
	if len(transactions) < 2 || transactions[0] != '[' {
		return transactions == nil
	}
	return len(bytes.TrimSpace(transactions[1:len(transactions)-1])) == 0
}

// What stands around the entries of a list, and around the cells and the proofs of an entry.
var (
	openList, comma, closeList         = []byte("["), []byte(","), []byte("]")
	openCells, openProofs, closeProofs = []byte(`{"blob_cells":[`), []byte(`],"proofs":[`), []byte(`]}`)
)

// writeList writes a list. It copies every byte once.
func writeList(l *engine.List, entries []engine.Entry) []byte {
	pieces := append(make([][]byte, 0, 2*len(entries)+2), openList)
	for i := range entries {
		if i > 0 {
			pieces = append(pieces, comma)
		}
		pieces = AppendEntry(pieces, l.Kind, &entries[i])
	}
	return bytes.Join(append(pieces, closeList), nil)
}

// AppendEntry appends the pieces of an entry of a list.
func AppendEntry(pieces [][]byte, kind engine.ListKind, e *engine.Entry) [][]byte {
	switch {
	case e.Raw != nil:
		return append(pieces, e.Raw)
	case kind == engine.Cells:
		return appendCells(pieces, e.Parts)
	case kind == engine.Bodies: // it has no block access lists
		return appendBody(pieces, e.Parts[:engine.BodyParts-1])
	}
	return appendBody(pieces, e.Parts)
}

// appendCells appends the pieces of a BlobCellsAndProofsV1.
func appendCells(pieces, parts [][]byte) [][]byte {
	for column, open := range [][]byte{openCells, openProofs} {
		pieces = append(pieces, open)
		for i := column; i < len(parts); i += 2 {
			if i > column {
				pieces = append(pieces, comma)
			}
			pieces = append(pieces, orNull(parts[i]))
		}
	}
	return append(pieces, closeProofs)
}

// appendBody appends the pieces of an ExecutionPayloadBody.
func appendBody(pieces, parts [][]byte) [][]byte {
	for i, raw := range parts {
		name := `,"` + bodyMembers[i] + `":`
		if i == 0 {
			name = "{" + name[1:]
		}
		pieces = append(pieces, []byte(name), orNull(raw))
	}
	return append(pieces, []byte{'}'})
}
