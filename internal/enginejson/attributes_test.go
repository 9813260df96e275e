package enginejson

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
)

// Attributes of any size are read, and hold nothing of the request; what can't be read isn't judged.
func TestAttributes(t *testing.T) {
	hash := common.Hash{1}.Hex()
	attributes := func(withdrawals, root, more string) string {
		return fmt.Sprintf(`{"timestamp":"0x5","prevRandao":%q,"suggestedFeeRecipient":%q,`,
			hash, common.Address{2}.Hex()) +
			fmt.Sprintf(`"withdrawals":%s,"parentBeaconBlockRoot":%s%s}`, withdrawals, root, more)
	}
	one := `{"index":"0x1","validatorIndex":"0x2","address":"` + common.Address{3}.Hex() + `","amount":"0x4"}`
	transactions := `,"transactions":["0x` + strings.Repeat("ab", 1<<20) + `"],"noTxPool":true`
	for _, c := range []struct {
		name, raw   string
		judged      bool
		withdrawals int // -1: null
		root        bool
	}{
		{"Paris", attributes("null", "null", ""), true, -1, false},
		{"Cancun", attributes("["+one+"]", `"`+hash+`"`, ""), true, 1, true},
		{"with 2 MiB of transactions", attributes("[]", `"`+hash+`"`, transactions), true, 0, true},
		{"withdrawals that are none", attributes("[7]", "null", ""), false, 0, false},
		{"more withdrawals than there can be", attributes("["+one+strings.Repeat(","+one, 1<<10)+"]", "null", ""),
			false, -1, false},
		{"a root that is none", attributes("null", `"0x12"`, ""), true, -1, false},
		{"no attributes", `[]`, false, -1, false},
	} {
		raw := []byte(c.raw)
		a, err := readAttributes(raw)
		clear(raw)
		if err != nil || a.Judged != c.judged || (a.BeaconRoot != nil) != c.root ||
			c.root && a.BeaconRoot.Hex() != hash {
			t.Errorf("%s: got %+v, %v", c.name, a, err)
			continue
		}
		if c.judged && (a.Timestamp != 5 || a.PrevRandao.Hex() != hash ||
			(a.Withdrawals == nil) != (c.withdrawals < 0) || len(a.Withdrawals) != max(c.withdrawals, 0)) {
			t.Errorf("%s: got %+v", c.name, a)
		}
		again, _ := readAttributes([]byte(c.raw))
		other, _ := readAttributes([]byte(c.raw + " "))
		if a.Digest != again.Digest || a.Digest == other.Digest {
			t.Errorf("%s: the digest doesn't tell it from others", c.name)
		}
	}
	if _, err := readAttributes([]byte(`{"timestamp":"0x5","Timestamp":"0x6"}`)); err == nil {
		t.Error("ambiguous attributes are accepted")
	}
}
