package engine

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"executionbackup/internal/jsonrpc"
)

// Attributes are payload attributes (paris.md#payloadattributesv1 and its successors): what a built payload must have.
type Attributes struct {
	Raw []byte
	// Judged says that the rest could be read. If not, the nodes will say what is wrong.
	Judged       bool
	Timestamp    uint64
	PrevRandao   common.Hash
	FeeRecipient common.Address
	Withdrawals  []types.Withdrawal // nil before Shanghai
	BeaconRoot   []byte             // raw; nil before Cancun
}

var attributeMembers = []string{"timestamp", "prevRandao", "suggestedFeeRecipient", "withdrawals", "parentBeaconBlockRoot"}

// maxAttributes bounds payload attributes, in bytes: far above withdrawals and inclusion lists. They are kept with the
// build.
const maxAttributes = 1 << 20

var errAttributes = errors.New("payload attributes are larger than 1 MiB")

// parseAttributes fails only where a member could be read in two ways, or where there is too much.
func parseAttributes(raw []byte) (*Attributes, error) {
	if len(raw) > maxAttributes {
		return nil, errAttributes
	}
	raw = bytes.Clone(raw) // the rest of the body isn't kept for their sake
	a := &Attributes{Raw: raw}
	var found [5][]byte
	if err := jsonrpc.Members(raw, attributeMembers, found[:]); err != nil {
		var ambiguous *jsonrpc.AmbiguousError
		if errors.As(err, &ambiguous) {
			return nil, err
		}
		return a, nil
	}
	var timestamp, randao, recipient bool
	a.Timestamp, timestamp = ParseQuantity(found[0])
	a.PrevRandao, randao = ParseHash(found[1])
	recipient = json.Unmarshal(orNull(found[2]), &a.FeeRecipient) == nil && !jsonrpc.IsNull(found[2])
	withdrawals, err := ParseWithdrawals(found[3])
	a.Withdrawals = withdrawals
	if !jsonrpc.IsNull(found[4]) {
		a.BeaconRoot = found[4]
	}
	a.Judged = timestamp && randao && recipient && err == nil
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
