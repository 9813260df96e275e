package forks

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// fork is one of a chain, with nothing in it.
func fork(activation uint64) Entry {
	return Entry{
		State: Known, Activation: activation, ChainID: "1", ForkID: fmt.Sprintf("0x%08x", uint32(activation)),
		BlobSchedule: "none",
	}
}

var unknown, none = Entry{State: Unknown}, Entry{State: None}

// What was read holds until a fork in it begins, and then as much of what comes after it as the node has told.
func TestAt(t *testing.T) {
	other := fork(950)
	other.ForkID = "0x000000ff"
	for _, c := range []struct {
		name      string
		now, read int64
		in, want  Config
	}{
		{"nothing", 1000, 900, Config{}, Config{}},
		{"no next", 1000, 900, Config{fork(10), none, none}, Config{fork(10), none, none}},
		{"next is to come", 1000, 900, Config{fork(10), fork(1001), fork(1001)},
			Config{fork(10), fork(1001), fork(1001)}},
		{"next begins", 1001, 900, Config{fork(10), fork(1001), fork(1001)}, Config{fork(1001), none, none}},
		{"both are to come", 1000, 900, Config{fork(10), fork(2000), fork(3000)},
			Config{fork(10), fork(2000), fork(3000)}},
		{"next of two has begun", 1000, 900, Config{fork(10), fork(950), fork(2000)},
			Config{fork(950), unknown, fork(2000)}},
		{"next of two has begun, read just before", 1000, 949, Config{fork(10), fork(950), fork(2000)},
			Config{fork(950), unknown, fork(2000)}},
		{"next of two had begun, read as it did", 1000, 950, Config{fork(10), fork(950), fork(2000)},
			Config{unknown, unknown, fork(2000)}},
		{"next of two had begun, read later", 1000, 960, Config{fork(10), fork(950), fork(2000)},
			Config{unknown, unknown, fork(2000)}},
		{"the only one had begun, read later", 1000, 960, Config{fork(10), fork(950), fork(950)},
			Config{fork(950), none, none}},
		{"both had begun, read later", 1000, 990, Config{fork(10), fork(950), fork(980)},
			Config{fork(980), none, none}},
		{"both have begun", 1000, 900, Config{fork(10), fork(950), fork(1000)}, Config{fork(1000), none, none}},
		{"last unknown, next to come", 1000, 900, Config{fork(10), fork(1001), unknown},
			Config{fork(10), fork(1001), unknown}},
		{"last unknown, next has begun", 1000, 900, Config{fork(10), fork(950), unknown},
			Config{fork(950), unknown, unknown}},
		{"last unknown, next had begun", 1000, 960, Config{fork(10), fork(950), unknown}, Config{}},
		{"next unknown, last to come", 1000, 900, Config{fork(10), unknown, fork(1001)},
			Config{fork(10), unknown, fork(1001)}},
		{"next unknown, last has begun", 1000, 900, Config{fork(10), unknown, fork(950)},
			Config{fork(950), none, none}},
		{"next and last unknown", 1000, 900, Config{fork(10), unknown, unknown}, Config{fork(10), unknown, unknown}},
		{"current unknown", 1000, 900, Config{unknown, fork(950), fork(950)}, Config{fork(950), none, none}},
		{"the last is always told", 1000, 900, Config{fork(10), none, fork(10)}, Config{fork(10), none, none}},
		{"genesis is the last", 1000, 900, Config{fork(0), none, fork(0)}, Config{fork(0), none, none}},
		{"two of one time", 1000, 900, Config{fork(10), fork(950), other}, Config{other, none, none}},
		{"a last before the next to come", 1000, 900, Config{fork(10), fork(2000), fork(950)},
			Config{fork(10), fork(2000), fork(950)}},
		{"a last before the next that has begun", 1000, 900, Config{fork(10), fork(990), fork(950)},
			Config{fork(990), unknown, unknown}},
		{"a last before the next that had begun", 1000, 995, Config{fork(10), fork(990), fork(950)}, Config{}},
		{"never", 1000, 900, Config{fork(10), fork(math.MaxUint64), fork(math.MaxUint64)},
			Config{fork(10), fork(math.MaxUint64), fork(math.MaxUint64)}},
		{"a clock before 1970", -1, -2, Config{fork(0), fork(0), fork(0)}, Config{fork(0), fork(0), fork(0)}},
	} {
		if got := c.in.At(time.Unix(c.now, 0), time.Unix(c.read, 0)); got != c.want {
			t.Errorf("%s: got %+v\nwant %+v", c.name, got, c.want)
		}
	}
	begins := Config{fork(10), fork(1000), fork(1000)}
	if got := begins.At(time.Unix(999, 999999999), time.Unix(900, 0)); got != begins {
		t.Errorf("a nanosecond before the fork: %+v", got)
	}
}

// The texts of two entries are equal exactly where these are.
func TestText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := someEntries.Draw(t, "a"), someEntries.Draw(t, "b")
		if a.State == Known && b.State == Known && (a == b) != (a.Text() == b.Text()) {
			t.Fatalf("%+v\n%+v\nare both %s", a, b, a.Text())
		}
		if (a.State == Known) != (a.Text() != "") || strings.Contains(a.Text(), "\n") {
			t.Fatalf("%+v: %q", a, a.Text())
		}
	})
}

// someEntries are of so few values that many are equal, or nearly so.
var someEntries = rapid.Custom(func(t *rapid.T) Entry {
	switch rapid.IntRange(0, 5).Draw(t, "state") {
	case 0:
		return unknown
	case 1:
		return none
	}
	return Entry{
		State:      Known,
		Activation: rapid.SampledFrom([]uint64{0, 1742999832, math.MaxUint64}).Draw(t, "activation"),
		ChainID: rapid.SampledFrom([]string{"1", "17000",
			"115792089237316195423570985008687907853269984665640564039457584007913129639935"}).Draw(t, "chain id"),
		ForkID:          rapid.SampledFrom([]string{"0x0929e24e", "0xbef71d30", "0x00000000"}).Draw(t, "fork id"),
		BlobSchedule:    rapid.SampledFrom([]string{"none", blobs(6, 9, 5007716), blobs(0, 0, 0)}).Draw(t, "blobs"),
		Precompiles:     someNames.Draw(t, "precompiles"),
		SystemContracts: someNames.Draw(t, "system contracts"),
	}
})

func blobs(target, most, fraction int) string {
	return fmt.Sprintf("target %d, max %d, baseFeeUpdateFraction %d", target, most, fraction)
}

var someNames = rapid.Custom(func(t *rapid.T) string {
	all := []string{
		"A " + address(1), "A.B-C " + address(0xabcdef), "BLS12_G1ADD " + address(11), "ID " + address(4),
		"P256VERIFY " + address(0x100),
	}
	return strings.Join(slices.DeleteFunc(all, func(string) bool { return rapid.Bool().Draw(t, "without") }), ", ")
})

func address(n uint64) string { return fmt.Sprintf("0x%040x", n) }
