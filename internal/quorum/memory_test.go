package quorum
import "github.com/ethereum/go-ethereum/common"
func hash(n int) common.Hash { return common.BytesToHash([]byte{byte(n >> 16), byte(n >> 8), byte(n)}) }
