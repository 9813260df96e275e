package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"executionbackup/internal/jsonrpc"
)

// Attributes are payload attributes (paris.md#payloadattributesv1 and its successors): what a built payload must have. They
// are kept with the build, and hold nothing of the request: on other chains it has megabytes of transactions.
type Attributes struct {
	// Digest tells them from others, byte for byte.
	Digest [sha256.Size]byte
	// Judged says that the rest could be read. If not, the nodes will say what is wrong.
	Judged       bool
	Timestamp    uint64
	PrevRandao   common.Hash
	FeeRecipient common.Address
	Withdrawals  []types.Withdrawal // nil before Shanghai
	BeaconRoot   []byte             // raw; nil before Cancun
}

var attributeMembers = []string{"timestamp", "prevRandao", "suggestedFeeRecipient", "withdrawals", "parentBeaconBlockRoot"}

// maxWithdrawals is the size of withdrawals that are judged, in bytes: far above the 16 of a payload.
const maxWithdrawals = 64 << 10

// parseAttributes fails only where a member could be read in two ways.
func parseAttributes(raw []byte) (*Attributes, error) {
	a := &Attributes{Digest: sha256.Sum256(raw)}
	var found [5][]byte
	if err := jsonrpc.Members(raw, attributeMembers, found[:]); err != nil {
		var ambiguous *jsonrpc.AmbiguousError
		if errors.As(err, &ambiguous) {
			return nil, err
		}
		return a, nil
	}
	var timestamp, randao, recipient, withdrawals bool
	a.Timestamp, timestamp = ParseQuantity(found[0])
	a.PrevRandao, randao = ParseHash(found[1])
	recipient = json.Unmarshal(orNull(found[2]), &a.FeeRecipient) == nil && !jsonrpc.IsNull(found[2])
	if len(found[3]) <= maxWithdrawals {
		list, err := ParseWithdrawals(found[3])
		a.Withdrawals, withdrawals = list, err == nil
	}
	if _, ok := ParseHash(found[4]); ok {
		a.BeaconRoot = bytes.Clone(found[4])
	}
	a.Judged = timestamp && randao && recipient && withdrawals
	return a, nil
}

// ParseWithdrawals reads a list of WithdrawalV1 (shanghai.md#withdrawalv1); nil for null.
func ParseWithdrawals(raw []byte) (list []types.Withdrawal, err error) {
	err = json.Unmarshal(orNull(raw), &list)
	return list, err
}

func orNull(raw []byte) []byte {
	if raw == nil {
		return []byte("null")
	}
	return raw
}
