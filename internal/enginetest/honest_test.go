package enginetest

import (
	"encoding/json"
	"fmt"
	"testing"
)

// ask sends a call to a model and returns what it says in short: "VALID 2" is VALID with block 2 of names as the
// latest valid.
func ask(t *testing.T, h *Honest, names map[string]string, method string, params ...any) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Error  *RPCError
		Result struct {
			Status
			PayloadStatus Status
			PayloadID     string
		}
	}
	if err := json.Unmarshal(h.Answer(body), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Error != nil {
		return fmt.Sprint(answer.Error.Code)
	}
	status := answer.Result.Status
	if status.Status == "" {
		status = answer.Result.PayloadStatus
	}
	said := status.Status
	if status.LatestValidHash != "" {
		said += " " + names[status.LatestValidHash]
	}
	if answer.Result.PayloadID != "" {
		said += " and an id"
	}
	return said
}

func TestHonest(t *testing.T) {
	for fork := 1; fork <= 5; fork++ {
		t.Run(fmt.Sprint("fork ", fork), func(t *testing.T) { converse(t, fork) })
	}
}

// converse goes through what an honest client says. Blocks 1 to 4 are a chain, b is a bad child of 2 with the
// descendants c and d.
func converse(t *testing.T, fork int) {
	h := &Honest{Fork: fork, MaxReorg: 2, Forgets: 5}
	chain := Chain(fork, 4, nil)
	b := chain[1].Child(Bad)
	c := b.Child(nil)
	d := c.Child(nil)
	names := map[string]string{GenesisHash: "0", b.Hash(): "b"}
	for i, p := range chain {
		names[p.Hash()] = fmt.Sprint(i + 1)
	}
	send := func(p Payload) string {
		return ask(t, h, names, fmt.Sprint("engine_newPayloadV", p.Version), p.Params()...)
	}
	follow := func(head, finalized string, attributes any) string {
		state := map[string]string{"headBlockHash": head, "safeBlockHash": zeroHash, "finalizedBlockHash": finalized}
		method := fmt.Sprint("engine_forkchoiceUpdatedV", [...]int{1: 1, 2: 2, 3: 3, 4: 3, 5: 4}[fork])
		return ask(t, h, names, method, state, attributes)
	}
	forged := chain[0]
	forged.StateRoot[0] ^= 1
	self := chain[0]
	self.ParentHash = self.BlockHash
	early := chain[1].Child(func(p *Payload) { p.Timestamp = chain[1].Timestamp })
	misnumbered := chain[1].Child(func(p *Payload) { p.Number = 7 })
	late, err := withoutNulls(chain[1].Attributes())
	if err != nil {
		t.Fatal(err)
	}
	old, err := withoutNulls(chain[0].Attributes())
	if err != nil {
		t.Fatal(err)
	}
	unknown := fmt.Sprintf("0x%02d00000000000000", [...]int{1: 1, 2: 2, 3: 3, 4: 3, 5: 4}[fork])
	for i, step := range []struct{ got, want string }{
		{send(forged), "INVALID"},
		{send(self), "INVALID"},
		{send(chain[1]), "SYNCING"},
		{follow(chain[1].Hash(), zeroHash, nil), "SYNCING"},
		{follow(zeroHash, zeroHash, nil), "INVALID"},
		{send(chain[0]), "VALID 1"},
		{send(chain[0]), "VALID 1"},
		{send(forged), "INVALID"},
		{send(chain[1]), "VALID 2"},
		{follow(chain[1].Hash(), zeroHash, nil), "VALID 2"},
		{send(early), "INVALID 2"},
		{send(misnumbered), "INVALID 2"},
		{send(b), "INVALID 2"},
		{follow(b.Hash(), zeroHash, nil), "INVALID 2"},
		{send(d), "SYNCING"},
		{send(c), "INVALID 2"},
		{send(d), "INVALID 2"}, // the fourth reference to b
		{send(c), "SYNCING"},   // and the fifth
		{send(chain[2]), "VALID 3"},
		{send(chain[3]), "VALID 4"},
		{follow(chain[3].Hash(), chain[2].Hash(), nil), "VALID 4"},
		{follow(chain[0].Hash(), zeroHash, nil), "VALID 1"}, // it skips what is finalized
		{follow(chain[1].Hash(), early.Hash(), nil), "VALID 2"},
		{follow(chain[3].Hash(), early.Hash(), nil), "-38002"},
		{follow(chain[3].Hash(), zeroHash, late), "-38003"},
		{follow(chain[3].Hash(), zeroHash, old), "-38003"},
		{ask(t, h, names, "engine_newPayloadV"+fmt.Sprint(fork)), "-32602"},
		{ask(t, h, names, "engine_newPayloadV9"), "-32601"},
		{ask(t, h, names, fmt.Sprint("engine_getPayloadV", [...]int{1: 1, 2: 2, 3: 3, 4: 5, 5: 6}[fork]), unknown),
			"-38001"},
		{ask(t, h, names, "engine_getPayloadV1", "0x0900000000000000"), "-38005"},
	} {
		if step.got != step.want {
			t.Errorf("step %d: got %s, want %s", i, step.got, step.want)
		}
	}
	next, err := withoutNulls(chain[3].Attributes())
	if err != nil {
		t.Fatal(err)
	}
	if got := follow(chain[3].Hash(), zeroHash, next); got != "VALID 4 and an id" {
		t.Errorf("with attributes: %s", got)
	}
	h.Crash(2)
	if got := send(chain[3]); got != "SYNCING" || h.Head() != chain[1].BlockHash {
		t.Errorf("after a crash: %s", got)
	}
	if got := send(chain[2]) + ", " + send(chain[3]); got != "VALID 3, VALID 4" {
		t.Errorf("fed after a crash: %s", got)
	}
}
