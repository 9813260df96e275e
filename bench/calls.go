package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"executionbackup/internal/enginetest"
)

// workload is one kind of call.
type workload struct {
	name     string
	callers  int  // that call side by side
	single   bool // one node's answer is enough: the limit is a direct call, not the fan-out
	slice    int  // calls of a caller in each round
	want     string
	body     []byte
	next     func() // makes the body another call; nil where they may be the same
	prepare  []byte // to be called once before, and what must be in the answer
	prepared string
	pause    time.Duration // before each call
	past     int           // how many calls an ExecutionBackup has got before, the first of them about an invalid block
}

// head is the block that everything builds on.
var head = enginetest.Chain(4, 1, nil)[0]

// stateWorkloads returns the kinds of calls that show what keeping state costs.
func stateWorkloads() []*workload {
	return []*workload{forkchoice(), newPayload(150e3), disputed(), underObjection(2000)}
}

// shadowWorkloads returns the kinds of calls for which shadow mode works out a verdict. It does so after the answer: a
// pause keeps that out of the next call, as the seconds between two calls of a consensus client do.
func shadowWorkloads() []*workload {
	list := []*workload{forkchoice(), newPayload(150e3), newPayload(1e6)}
	for _, w := range list {
		w.slice, w.pause = min(w.slice, 100), 3*time.Millisecond
	}
	return list
}

// workloads returns all kinds of calls.
func workloads() []*workload {
	list := []*workload{forkchoice()}
	for _, size := range []int{150e3, 1e6, 10e6, 20e6} {
		list = append(list, newPayload(size))
	}
	list = append(list, afterInvalid(8000))
	for _, blobs := range []int{0, 6, 21} {
		list = append(list, getPayload(blobs))
	}
	for _, blobs := range []int{21, 72} {
		list = append(list, getBlobs(blobs))
	}
	for _, callers := range []int{1, 16, 64} {
		list = append(list, &workload{
			name: fmt.Sprintf("eth_blockNumber, %d callers", callers), callers: callers, single: true,
			slice: 2000 / callers, want: `"0x1234567"`,
			body: call("eth_blockNumber"),
		})
	}
	return list
}

func call(method string, params ...any) []byte {
	if params == nil {
		params = []any{}
	}
	raw, err := json.Marshal(params)
	if err != nil {
		panic(err)
	}
	return []byte(`{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + string(raw) + `}`)
}

func forkchoice() *workload {
	return &workload{
		name: "forkchoiceUpdated", callers: 1, slice: 400, want: `"VALID"`,
		body: call("engine_forkchoiceUpdatedV3", engine.ForkchoiceStateV1{HeadBlockHash: head.BlockHash}, nil),
	}
}

// newPayload has a call of about that many bytes. Each is another block, under its right hash.
func newPayload(size int) *workload {
	p := head.Child(func(p *enginetest.Payload) { p.Transactions = transactions((size - 1500) / 2) })
	w := &workload{
		name: "newPayload " + sizeName(size), callers: 1, slice: max(2, min(200, 20e6/size)), want: `"VALID"`,
		body: call("engine_newPayloadV4", p.Params()...),
	}
	w.next = another(w.body, headerOf(p))
	return w
}

// another makes a newPayload that of another block, each time it is called.
func another(body []byte, header *types.Header) func() {
	randao, hash := member(body, "prevRandao"), member(body, "blockHash")
	return func() {
		for i := range header.MixDigest { // as a counter
			if header.MixDigest[i]++; header.MixDigest[i] != 0 {
				break
			}
		}
		hex.Encode(randao, header.MixDigest[:])
		h := header.Hash()
		hex.Encode(hash, h[:])
	}
}

func headerOf(p enginetest.Payload) *types.Header {
	block, err := engine.ExecutableDataToBlockNoHash(p.ExecutableData, p.VersionedHashes, &p.BeaconRoot, [][]byte{})
	if err != nil {
		panic(err)
	}
	return block.Header()
}

// badBlock marks a payload that every node calls INVALID, disputedBlock one that one node does.
const (
	badBlock      = `"extraData":"0xbad0"`
	disputedBlock = `"extraData":"0xd150"`
)

// disputed has newPayload calls to each of which one node objects.
func disputed() *workload {
	p := head.Child(func(p *enginetest.Payload) { p.ExtraData = []byte{0xd1, 0x50} })
	w := &workload{
		name: "newPayload, an objection to each", callers: 1, slice: 40, want: `"SYNCING"`, past: 1,
		pause:   10 * time.Millisecond, // what is saved behind the last answer is on disk then
		body:    call("engine_newPayloadV4", p.Params()...),
		prepare: call("engine_newPayloadV4", head.Child(nil).Params()...), prepared: `"VALID"`,
	}
	w.next = another(w.body, headerOf(p))
	return w
}

// underObjection has newPayload calls, each of a child of the one before it, when there have been so many since a node
// objected; it objects to each of them, too.
func underObjection(blocks int) *workload {
	w := disputed()
	w.name, w.past = fmt.Sprintf("newPayload, %d blocks after an objection", blocks), blocks
	p := head.Child(func(p *enginetest.Payload) { p.ExtraData = []byte{0xd1, 0x50} })
	w.next = child(w.body, headerOf(p))
	return w
}

// afterInvalid has newPayload calls, each of a child of the one before it, after one that was invalid and so many good
// ones.
func afterInvalid(blocks int) *workload {
	bad := head.Child(func(p *enginetest.Payload) { p.ExtraData = []byte{0xba, 0xd0} })
	p := head.Child(nil)
	w := &workload{
		name: fmt.Sprintf("newPayload, one invalid block in the last %d", blocks), callers: 1, slice: 200,
		body: call("engine_newPayloadV4", p.Params()...), want: `"VALID"`, past: blocks,
		prepare: call("engine_newPayloadV4", bad.Params()...), prepared: `"INVALID"`,
	}
	w.next = child(w.body, headerOf(p))
	return w
}

// child makes a newPayload that of a child of its block, each time it is called.
func child(body []byte, header *types.Header) func() {
	parent, hash := member(body, "parentHash"), member(body, "blockHash")
	return func() {
		header.ParentHash = header.Hash()
		hex.Encode(parent, header.ParentHash[:])
		h := header.Hash()
		hex.Encode(hash, h[:])
	}
}

func sizeName(size int) string {
	if size < 1e6 {
		return fmt.Sprintf("%d KB", size/1e3)
	}
	return fmt.Sprintf("%d MB", size/1e6)
}

// member returns where in a call the hex digits of a hash stand.
func member(body []byte, name string) []byte {
	mark := []byte(`"` + name + `":"0x`)
	i := bytes.Index(body, mark) + len(mark)
	return body[i : i+2*common.HashLength]
}

// transactions returns some of 500 bytes, of that many bytes in all.
func transactions(bytes int) (list [][]byte) {
	const size = 500
	for n := range uint64(bytes / (size + 30)) {
		raw, err := types.NewTx(&types.DynamicFeeTx{Nonce: n, Data: random(size)}).MarshalBinary()
		if err != nil {
			panic(err)
		}
		list = append(list, raw)
	}
	return list
}

// source makes every run the same.
var source = rand.NewChaCha8([32]byte{1})

func random(n int) []byte {
	b := make([]byte, n)
	source.Read(b)
	return b
}

// getPayload asks for a block of 150 KB with so many blobs.
func getPayload(blobs int) *workload {
	attributes := head.Attributes()
	attributes.SuggestedFeeRecipient = recipient(blobs)
	return &workload{
		name: fmt.Sprintf("getPayload, %d blobs", blobs), callers: 1, slice: max(4, 60/(blobs+1)),
		want: `"executionPayload"`,
		body: call("engine_getPayloadV5", payloadID(recipient(blobs).Hex())),
		prepare: call("engine_forkchoiceUpdatedV3",
			engine.ForkchoiceStateV1{HeadBlockHash: head.BlockHash}, withdrawing(attributes)),
		prepared: "payloadId",
	}
}

// recipient tells builds apart: see payloadID.
func recipient(blobs int) common.Address { return common.BytesToAddress([]byte{0xfe, byte(blobs)}) }

// withdrawing writes attributes as a consensus client does, without members that the version doesn't have.
func withdrawing(a *engine.PayloadAttributes) json.RawMessage {
	raw, err := json.Marshal(a)
	if err != nil {
		panic(err)
	}
	absent := strings.NewReplacer(`,"slotNumber":null`, "", `,"targetGasLimit":null`, "")
	return json.RawMessage(absent.Replace(string(raw)))
}

// getBlobs asks for so many blobs, all of which the node has.
func getBlobs(blobs int) *workload {
	return &workload{
		name: fmt.Sprintf("getBlobs, %d blobs", blobs), callers: 1, single: true,
		slice: max(2, 200/blobs), want: `"blob"`,
		body: call("engine_getBlobsV2", make([]common.Hash, blobs)),
	}
}

// answers are the large answers of a node, by what it is asked for.
func answers() map[string][]byte {
	all := make(map[string][]byte)
	for _, blobs := range []int{0, 6, 21} {
		all[payloadID(recipient(blobs).Hex())] = reply(built(blobs))
	}
	for _, blobs := range []int{21, 72} {
		type blobAndProofs struct {
			Blob   hexutil.Bytes   `json:"blob"`
			Proofs []hexutil.Bytes `json:"proofs"`
		}
		list := make([]blobAndProofs, blobs)
		for i := range list {
			list[i] = blobAndProofs{random(blobSize), proofs(1)}
		}
		raw, err := json.Marshal(list)
		if err != nil {
			panic(err)
		}
		all[fmt.Sprint(blobs, " blobs")] = reply(string(raw))
	}
	return all
}

const blobSize = 128 << 10 // bytes

// proofs returns the cell proofs of so many blobs.
func proofs(blobs int) []hexutil.Bytes {
	list := make([]hexutil.Bytes, 128*blobs)
	for i := range list {
		list[i] = random(48)
	}
	return list
}

// built is what getPayload returns: a payload with the attributes and the blobs that it was asked for.
func built(blobs int) string {
	bundle := struct {
		Commitments []hexutil.Bytes `json:"commitments"`
		Proofs      []hexutil.Bytes `json:"proofs"`
		Blobs       []hexutil.Bytes `json:"blobs"`
	}{[]hexutil.Bytes{}, proofs(blobs), []hexutil.Bytes{}}
	p := head.Child(func(p *enginetest.Payload) {
		p.FeeRecipient = recipient(blobs)
		p.Transactions = transactions(75e3)
		for range blobs {
			commitment := random(48)
			hash := sha256.Sum256(commitment)
			hash[0] = 1
			p.VersionedHashes = append(p.VersionedHashes, hash)
			bundle.Commitments = append(bundle.Commitments, commitment)
			bundle.Blobs = append(bundle.Blobs, random(blobSize))
		}
		if blobs > 0 {
			raw, err := types.NewTx(&types.BlobTx{BlobHashes: p.VersionedHashes}).MarshalBinary()
			if err != nil {
				panic(err)
			}
			p.Transactions = append(p.Transactions, raw)
		}
	})
	raw, err := json.Marshal(struct {
		ExecutionPayload      any      `json:"executionPayload"`
		BlockValue            string   `json:"blockValue"`
		BlobsBundle           any      `json:"blobsBundle"`
		ShouldOverrideBuilder bool     `json:"shouldOverrideBuilder"`
		ExecutionRequests     []string `json:"executionRequests"`
	}{p, "0x1", bundle, false, []string{}})
	if err != nil {
		panic(err)
	}
	return string(raw)
}
