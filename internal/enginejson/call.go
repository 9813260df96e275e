package enginejson

import (
	"encoding/json"
	"math/bits"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/rawjson"
)

// ReadCall reads what is judged of a call. Parameters that can't be read are the node's to judge; the error is that of
// a member which could be read in two ways.
func ReadCall(r *jsonrpc.Request) (*engine.Call, error) {
	m := engine.ParseMethod(string(r.Method))
	c := &engine.Call{Method: m, Body: r.Raw, ID: r.ID, Params: r.Params}
	switch m.Family {
	case engine.NewPayload:
		return c, readPayload(r, c)
	case engine.ForkchoiceUpdated:
		return c, readForkchoice(r, c)
	case engine.GetPayload:
		c.PayloadID, _ = rawjson.String(r.Arg(0))
	case engine.GetBlobs, engine.HasBlobs:
		c.List = readBlobList(r, m)
	case engine.GetPayloadBodies:
		c.List = readBodyList(r, m)
	case engine.SendRawTransaction:
		var b hexutil.Bytes
		if json.Unmarshal(r.Arg(0), &b) == nil {
			c.Transaction = b
		}
	}
	return c, nil
}

var payloadMembers = []string{"blockHash", "parentHash", "blockNumber", "timestamp"}

// readPayload reads newPayload's first parameter. Without two hashes there is nothing to judge.
func readPayload(r *jsonrpc.Request, c *engine.Call) error {
	var found [4][]byte
	if err := r.ArgMembers(payloadMembers, found[:]); err != nil {
		return err
	}
	p := &c.Payload
	var hash, parent bool
	p.Hash, hash = parseHash(found[0])
	p.Parent, parent = parseHash(found[1])
	p.Number, _ = parseQuantity(found[2])
	p.Timestamp, _ = parseQuantity(found[3])
	c.Block, c.Named = p.Hash, hash && parent
	return nil
}

var forkchoiceStateMembers = []string{"headBlockHash", "safeBlockHash", "finalizedBlockHash"}

// readForkchoice reads forkchoiceUpdated's parameters. The zero hash names no block: clients have different words for
// it.
func readForkchoice(r *jsonrpc.Request, c *engine.Call) (err error) {
	var found [3][]byte
	if err := r.ArgMembers(forkchoiceStateMembers, found[:]); err != nil {
		return err
	}
	f := &c.Forkchoice
	f.State = r.Arg(0)
	f.Head, c.Named = parseHash(found[0])
	f.Safe, _ = parseHash(found[1])
	f.Finalized, _ = parseHash(found[2])
	c.Block, c.Named = f.Head, c.Named && f.Head != common.Hash{}
	if a := r.Arg(1); !rawjson.IsNull(a) {
		if f.Attributes, err = readAttributes(a); err != nil {
			return err
		}
	}
	if columns := r.Arg(2); !rawjson.IsNull(columns) {
		f.CustodyColumns = columns
	}
	return nil
}

// lastGetBlobs is the latest version of getBlobs whose entries we know.
const lastGetBlobs = 4

// readBlobList says what list a call of getBlobs or hasBlobs asks for: it needs an array of hashes, and in V4 cells to
// choose.
func readBlobList(r *jsonrpc.Request, m engine.Method) engine.List {
	hashes, err := rawjson.Elements(r.Arg(0))
	if err != nil {
		return engine.List{}
	}
	l := engine.List{Kind: engine.Blobs, Size: uint64(len(hashes))}
	switch {
	case m.Family == engine.HasBlobs:
		l.Kind = engine.Having
	case m.Version == lastGetBlobs:
		cells, ok := countCells(r.Arg(1))
		if !ok {
			return engine.List{}
		}
		l.Kind, l.Cells = engine.Cells, cells
	case m.Version == 0 || m.Version > lastGetBlobs:
		l.Kind, l.Free = engine.Anything, true
	}
	return l
}

// countCells counts the ones in a bit array in hex.
func countCells(raw []byte) (n int, ok bool) {
	text, ok := rawjson.String(raw)
	if !ok {
		return 0, false
	}
	set, err := hexutil.Decode(text)
	for _, b := range set {
		n += bits.OnesCount8(b)
	}
	return n, err == nil
}

// lastGetBodies is the latest version of getPayloadBodies whose entries we know.
const lastGetBodies = 2

// readBodyList says what list a call of getPayloadBodies asks for: hashes, or a range
// (shanghai.md#engine_getpayloadbodiesbyrangev1), of which a node leaves out what is beyond its latest block.
func readBodyList(r *jsonrpc.Request, m engine.Method) engine.List {
	l := engine.List{Kind: engine.BodiesSince, Free: m.Version > lastGetBodies}
	if m.Version == 1 {
		l.Kind = engine.Bodies
	}
	if rawjson.IsArray(r.Arg(0)) {
		hashes, err := rawjson.Elements(r.Arg(0))
		if err != nil {
			return engine.List{}
		}
		l.Size, l.Hashes = uint64(len(hashes)), make([]common.Hash, len(hashes))
		for i, raw := range hashes {
			l.Hashes[i], _ = parseHash(raw)
		}
		return l
	}
	var from, count bool
	l.First, from = parseQuantity(r.Arg(0))
	l.Size, count = parseQuantity(r.Arg(1))
	l.Short = true
	if !from || !count {
		return engine.List{}
	}
	return l
}
