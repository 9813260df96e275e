package blockhash_test

import (
	"fmt"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"

	"executionbackup/internal/blockhash"
)

// BenchmarkCheck measures calls of three sizes (of their JSON): usual, large, and about what the gas limit allows.
func BenchmarkCheck(b *testing.B) {
	for _, size := range []int{150e3, 1e6, 10e6} {
		const txSize = 500 // bytes; twice that in JSON
		var txs types.Transactions
		for range size / (2 * txSize) {
			data := make([]byte, txSize)
			for i := range data {
				data[i] = byte(i)
			}
			txs = append(txs, types.NewTx(&types.DynamicFeeTx{Nonce: uint64(len(txs)), Data: data}))
		}
		c := newCall(b, 4, txs)
		c.rest[0] = []byte("[]")
		params := c.params(b)
		b.Run(fmt.Sprintf("%dkB", len(params)/1000), func(b *testing.B) {
			b.SetBytes(int64(len(params)))
			b.ReportAllocs()
			for b.Loop() {
				if got := blockhash.Check(b.Context(), method(4), params); got != match {
					b.Fatalf("%+v, want %+v", got, match)
				}
			}
		})
	}
}
