package enginetest

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
)

func TestChainIsLinked(t *testing.T) {
	if got := Genesis(4).Hash(); got != GenesisHash {
		t.Errorf("genesis: got %s, want %s", got, GenesisHash)
	}
	parent := Genesis(4)
	for i, p := range Chain(4, 3, nil) {
		if p.ParentHash != parent.BlockHash || p.Number != uint64(i+1) || p.Timestamp <= parent.Timestamp {
			t.Errorf("payload %d: got %+v after %+v", i, p, parent)
		}
		if _, err := engine.ExecutableDataToBlock(p.ExecutableData, nil, &p.BeaconRoot, [][]byte{}); err != nil {
			t.Errorf("payload %d: %v", i, err)
		}
		parent = p
	}
}

func TestSiblingsDiffer(t *testing.T) {
	parent := Chain(3, 1, nil)[0]
	plain, again := parent.Child(nil), parent.Child(nil)
	other := parent.Child(func(p *Payload) { p.ExtraData = []byte("b") })
	if plain.Hash() != again.Hash() || plain.Hash() == other.Hash() || other.ParentHash != parent.BlockHash {
		t.Errorf("got the children %s, %s and %s", plain.Hash(), again.Hash(), other.Hash())
	}
	upgraded := parent.Child(func(p *Payload) { p.Version = 5 })
	if upgraded.SlotNumber == nil || len(upgraded.BlockAccessList) == 0 {
		t.Errorf("got %+v, want an Amsterdam payload", upgraded)
	}
}

func TestShapeOfEachVersion(t *testing.T) {
	for version, added := range map[int][]string{
		1: nil,
		2: {"withdrawals"},
		3: {"withdrawals", "blobGasUsed", "excessBlobGas"},
		4: {"withdrawals", "blobGasUsed", "excessBlobGas"},
		5: {"withdrawals", "blobGasUsed", "excessBlobGas", "blockAccessList", "slotNumber"},
	} {
		p := Chain(version, 1, nil)[0]
		if got, want := len(p.Params()), map[int]int{1: 1, 2: 1, 3: 3, 4: 4, 5: 4}[version]; got != want {
			t.Errorf("V%d: got %d params, want %d", version, got, want)
		}
		raw, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		json.Unmarshal(raw, &members)
		for _, name := range []string{"withdrawals", "blobGasUsed", "excessBlobGas", "blockAccessList", "slotNumber"} {
			if _, ok := members[name]; ok != slices.Contains(added, name) {
				t.Errorf("V%d: has %s: %t", version, name, ok)
			}
		}
		if len(members) != 14+len(added) {
			t.Errorf("V%d: got %d members, want %d", version, len(members), 14+len(added))
		}
	}
}

func TestLargePayload(t *testing.T) {
	p := Chain(4, 1, Pad(1<<18))[0]
	if raw, _ := json.Marshal(p); len(raw) < 2<<18 {
		t.Errorf("got %d bytes, want half a MiB of hex", len(raw))
	}
	if _, err := engine.ExecutableDataToBlock(p.ExecutableData, nil, &p.BeaconRoot, [][]byte{}); err != nil {
		t.Error(err)
	}
}

func TestWrongHash(t *testing.T) {
	p := Chain(4, 1, nil)[0]
	p.BlockHash = common.HexToHash("0xbad")
	if _, err := engine.ExecutableDataToBlock(p.ExecutableData, nil, &p.BeaconRoot, [][]byte{}); err == nil {
		t.Error("got a right hash")
	}
	if child := p.Child(nil); child.ParentHash != p.BlockHash {
		t.Errorf("got the parent %s, want %s", child.ParentHash, p.BlockHash)
	}
}
