package geth

import (
	"crypto/ecdsa"
	"math/big"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
)

const gasLimit = 60_000_000 // of the genesis and the blocks

var (
	chainID = big.NewInt(1337)
	// These keys own all the money. They are no secret. Blobs have an account of their own, because geth's pool holds
	// either blob transactions of an account or others.
	developerKey = newKey("developer")
	blobKey      = newKey("blobs")
	// Developer is the account that this package's transactions come from.
	Developer = crypto.PubkeyToAddress(developerKey.PublicKey)
)

// Schedule says at which time each fork begins, in seconds since the Unix epoch. Nil is never, 0 is from genesis on. A
// fork can't begin before those above it. Paris is there from genesis on.
type Schedule struct {
	Shanghai  *uint64
	Cancun    *uint64
	Prague    *uint64
	Osaka     *uint64
	BPO1      *uint64 // more blobs, nothing else (EIP-7892)
	Amsterdam *uint64
}

// Genesis returns the beginning of a proof-of-stake chain with that schedule, in which Developer has a million ether
// and the contracts are there that forks make system calls to. Its timestamp is 0; a caller may set another.
func Genesis(schedule Schedule) *core.Genesis {
	config := *params.MergedTestChainConfig
	config.ChainID = chainID
	config.ShanghaiTime = schedule.Shanghai
	config.CancunTime = schedule.Cancun
	config.PragueTime = schedule.Prague
	config.OsakaTime = schedule.Osaka
	config.BPO1Time = schedule.BPO1
	config.AmsterdamTime = schedule.Amsterdam
	config.BlobScheduleConfig = &params.BlobScheduleConfig{
		Cancun: params.DefaultCancunBlobConfig,
		Prague: params.DefaultPragueBlobConfig,
		BPO1:   params.DefaultBPO1BlobConfig,
	}
	alloc := core.SystemContractAllocs()
	million := types.Account{Balance: new(big.Int).Mul(big.NewInt(1e6), big.NewInt(params.Ether))}
	alloc[Developer] = million
	alloc[crypto.PubkeyToAddress(blobKey.PublicKey)] = million
	return &core.Genesis{
		Config:     &config,
		GasLimit:   gasLimit,
		BaseFee:    big.NewInt(params.InitialBaseFee),
		Difficulty: new(big.Int),
		Alloc:      alloc,
	}
}

// newKey makes a key that is the same in every run.
func newKey(name string) *ecdsa.PrivateKey {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("ExecutionBackup " + name)))
	if err != nil {
		panic(err) // the name is constant
	}
	return key
}
