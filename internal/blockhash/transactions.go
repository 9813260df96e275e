package blockhash

import (
	"bytes"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"
)

// readTransactions reads the transactions one at a time, so that their number and size don't matter, and keeps their
// root and their blob hashes. They are opaque bytes, but for a blob transaction's list of versioned hashes.
func (p *payload) readTransactions(c *cursor) {
	root := types.NewListHashStream(trie.NewStackTrie(nil))
	count := 0
	c.array(func() {
		tx := c.data()
		if c.err != nil {
			return
		}
		if err := p.readTransaction(tx); err != nil && p.badTransaction == "" {
			p.badTransaction = fmt.Sprintf("transaction %d %v", count, err)
		}
		root.Update(transaction(tx))
		count++
	})
	p.header.TxHash = root.Hash()
}

// readTransaction takes the blob hashes out of a transaction.
func (p *payload) readTransaction(tx []byte) error {
	if len(tx) == 0 {
		return fmt.Errorf("is empty")
	}
	if p.version < 3 || tx[0] != types.BlobTxType {
		return nil
	}
	hashes, err := blobHashes(tx[1:])
	if err != nil {
		return fmt.Errorf("is not a blob transaction: %w", err)
	}
	p.blobHashes = append(p.blobHashes, hashes...)
	return nil
}

// blobHashes returns blob_versioned_hashes, the eleventh item of a blob transaction's payload
// (https://eips.ethereum.org/EIPS/eip-4844#blob-transaction).
func blobHashes(payload []byte) ([]common.Hash, error) {
	items, _, err := rlp.SplitList(payload)
	if err != nil {
		return nil, err
	}
	for range 10 {
		if _, _, items, err = rlp.Split(items); err != nil {
			return nil, err
		}
	}
	list, _, err := rlp.SplitList(items)
	if err != nil {
		return nil, err
	}
	var hashes []common.Hash
	for len(list) > 0 {
		var hash []byte
		if hash, list, err = rlp.SplitString(list); err != nil {
			return nil, err
		}
		if len(hash) != common.HashLength {
			return nil, fmt.Errorf("a versioned hash has %d bytes", len(hash))
		}
		hashes = append(hashes, common.Hash(hash))
	}
	return hashes, nil
}

// transaction is the one element that a ListHashStream is up to, in the encoding that goes into the trie.
type transaction []byte

// Len is part of types.DerivableList.
func (t transaction) Len() int { return 1 }

// EncodeIndex is part of types.DerivableList. The index is the stream's count; there is only this element.
func (t transaction) EncodeIndex(_ int, w *bytes.Buffer) { w.Write(t) }
