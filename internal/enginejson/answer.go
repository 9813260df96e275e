package enginejson

import (
	"encoding/json"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/rawjson"
)

// ReadAnswer reads what is judged of a node's answer to a call. An error says that the result is none that the method
// has; its bytes are in the answer all the same. A payload that getPayload returns is read by a BuiltReader.
func ReadAnswer(c *engine.Call, r jsonrpc.Reply) (a engine.Answer, err error) {
	if r.Err != nil {
		return engine.Answer{Err: r.Err, Whole: r.Whole}, nil
	}
	a = engine.Answer{Raw: r.Result, Whole: r.Whole, Null: rawjson.IsNull(r.Result)}
	switch c.Method.Family {
	case engine.NewPayload:
		a.PayloadStatus, err = readStatus(r.Result)
	case engine.ForkchoiceUpdated:
		a.PayloadStatus, a.PayloadID, err = readForkchoiceResult(r.Result)
	case engine.GetBlobs, engine.HasBlobs, engine.GetPayloadBodies:
		if c.List.Kind != engine.NoList {
			a.Entries, err = readList(&c.List, r.Result)
		}
	case engine.GetClientVersion:
		a.Entries = readElements(r.Result)
	case engine.ExchangeCapabilities:
		a.Methods = readMethods(r.Result)
	case engine.GetInclusionList:
		a.InclusionList = readInclusionList(r.Result)
	}
	return a, err
}

// readElements returns the elements of an array as they stand there; nil where it is none.
func readElements(result []byte) []engine.Entry {
	elements, err := rawjson.Elements(result)
	if err != nil {
		return nil
	}
	entries := make([]engine.Entry, len(elements))
	for i, raw := range elements {
		entries[i].Raw = raw
	}
	return entries
}

// readMethods returns the methods that a node lists; nil where the result is no such list. A longer one would be kept,
// and compared with all others.
func readMethods(result []byte) (methods []string) {
	if len(result) > engine.MaxCapabilities || json.Unmarshal(result, &methods) != nil {
		return nil
	}
	return methods
}

// maxInclusionListJSON is more than a valid list has in JSON, in bytes, be each transaction a single byte.
const maxInclusionListJSON = 16 * engine.MaxInclusionList

// readInclusionList returns the transactions of a list; nil where it isn't one of hexadecimal strings.
func readInclusionList(result []byte) [][]byte {
	if len(result) > maxInclusionListJSON {
		return nil
	}
	elements, err := rawjson.Elements(result)
	if err != nil {
		return nil
	}
	list := make([][]byte, len(elements))
	for i, raw := range elements {
		text, _ := rawjson.String(raw)
		if list[i], err = hexutil.Decode(text); err != nil {
			return nil
		}
	}
	return list
}

// Result writes an answer's result: a node's own bytes, changed only where the answer says something anew.
func Result(c *engine.Call, a *engine.Answer) []byte {
	switch {
	case a.Raw != nil && a.Anew == 0:
		return a.Raw
	case a.Status != engine.None && c.Method.Family == engine.ForkchoiceUpdated:
		return forkchoiceResult(a)
	case a.Status != engine.None:
		return status(a)
	case a.Entries != nil:
		return writeList(&c.List, a.Entries)
	case a.Methods != nil:
		return raw(a.Methods)
	case a.Transaction != nil:
		return hashOrNull(a.Transaction)
	}
	return null
}

// forkchoiceResult writes the result of forkchoiceUpdated.
func forkchoiceResult(a *engine.Answer) []byte {
	outer := a.Raw
	if outer == nil {
		outer = []byte(`{"payloadStatus":null,"payloadId":null}`)
	}
	if a.Raw == nil || a.Anew&^engine.AnewPayloadID != 0 {
		outer = setMember(outer, "payloadStatus", status(a))
	}
	id := null
	if a.PayloadID != "" {
		id = raw(a.PayloadID)
	}
	return setMember(outer, "payloadId", id)
}

// status writes a payload status: a node's own bytes, changed only where the answer says something anew.
func status(a *engine.Answer) []byte {
	p := &a.PayloadStatus
	if p.Raw == nil {
		return ownStatus(p)
	}
	s := p.Raw
	if a.Anew&engine.AnewValidationError != 0 {
		s = setMember(s, "validationError", raw(p.ValidationError))
	}
	if a.Anew&engine.AnewLatestValidHash != 0 {
		s = setMember(s, "latestValidHash", hashOrNull(p.LatestValidHash))
	}
	if a.Anew&engine.AnewInclusionList != 0 {
		s = setMember(s, "inclusionListSatisfied", raw(p.InclusionListSatisfied))
	}
	return s
}

// ownStatus writes a payload status of our own.
func ownStatus(p *engine.PayloadStatus) []byte {
	s := struct {
		Status          string       `json:"status"`
		LatestValidHash *common.Hash `json:"latestValidHash"`
		ValidationError *string      `json:"validationError"`
	}{Status: p.Word(), LatestValidHash: p.LatestValidHash}
	if p.WrongHash {
		s.Status = "INVALID_BLOCK_HASH"
	}
	if p.ValidationError != "" {
		s.ValidationError = &p.ValidationError
	}
	return raw(s)
}

// setMember is rawjson.SetMember for an object that has been read before, and so has no errors.
func setMember(object []byte, name string, raw []byte) []byte {
	out, err := rawjson.SetMember(object, name, raw)
	if err != nil {
		return object
	}
	return out
}

// raw writes what can always be written: strings, booleans, hashes and structs of them.
func raw(v any) []byte {
	b, _ := json.Marshal(v)
	return b
}

// hashOrNull writes a hash; null for nil.
func hashOrNull(hash *common.Hash) []byte {
	if hash == nil {
		return null
	}
	return raw(hash)
}
