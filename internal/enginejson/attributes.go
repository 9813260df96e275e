package enginejson

import (
	"crypto/sha256"
	"encoding/json"
	"errors"

	"github.com/ethereum/go-ethereum/core/types"

	"executionbackup/internal/engine"
	"executionbackup/internal/rawjson"
)

var attributeMembers = []string{
	"timestamp", "prevRandao", "suggestedFeeRecipient", "withdrawals", "parentBeaconBlockRoot",
}

// maxWithdrawals is the size of withdrawals that are judged, in bytes: far above the 16 of a payload.
const maxWithdrawals = 64 << 10

// readAttributes reads payload attributes. It fails only where a member could be read in two ways; what is malformed
// isn't Judged.
func readAttributes(raw []byte) (*engine.Attributes, error) {
	a := &engine.Attributes{Digest: sha256.Sum256(raw)}
	var found [5][]byte
	if err := rawjson.Members(raw, attributeMembers, found[:]); err != nil {
		var ambiguous *rawjson.AmbiguousError
		if errors.As(err, &ambiguous) {
			return nil, err
		}
		return a, nil
	}
	var timestamp, randao, recipient, withdrawals bool
	a.Timestamp, timestamp = parseQuantity(found[0])
	a.PrevRandao, randao = parseHash(found[1])
	recipient = json.Unmarshal(orNull(found[2]), &a.FeeRecipient) == nil && !rawjson.IsNull(found[2])
	if len(found[3]) <= maxWithdrawals {
		list, err := readWithdrawals(found[3])
		a.Withdrawals, withdrawals = list, err == nil
	}
	if root, ok := parseHash(found[4]); ok {
		a.BeaconRoot = &root
	}
	a.Judged = timestamp && randao && recipient && withdrawals
	return a, nil
}

// readWithdrawals reads a list of WithdrawalV1 (shanghai.md#withdrawalv1); nil for null.
func readWithdrawals(raw []byte) (list []types.Withdrawal, err error) {
	err = json.Unmarshal(orNull(raw), &list)
	return list, err
}
