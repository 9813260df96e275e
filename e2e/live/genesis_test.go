//go:build e2e

package live

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/core"

	"executionbackup/internal/geth"
)

const (
	validators    = 64
	slotsPerEpoch = 32
)

// chainConfig is Prysm's configuration of the network: Electra from genesis on, Fulu from an epoch on. %d are the epoch
// and three times the length of a slot: in seconds, milliseconds and seconds. Late blocks are not reorganised away:
// late is a third of a slot, slots are a third of mainnet's here, and so a busy machine would be enough.
const chainConfig = `PRESET_BASE: mainnet
CONFIG_NAME: e2e
MIN_GENESIS_ACTIVE_VALIDATOR_COUNT: 64
MIN_GENESIS_TIME: 1700000000
GENESIS_DELAY: 0
TERMINAL_TOTAL_DIFFICULTY: 0
GENESIS_FORK_VERSION: 0x20000089
ALTAIR_FORK_VERSION: 0x20000090
ALTAIR_FORK_EPOCH: 0
BELLATRIX_FORK_VERSION: 0x20000091
BELLATRIX_FORK_EPOCH: 0
CAPELLA_FORK_VERSION: 0x20000092
CAPELLA_FORK_EPOCH: 0
DENEB_FORK_VERSION: 0x20000093
DENEB_FORK_EPOCH: 0
ELECTRA_FORK_VERSION: 0x20000094
ELECTRA_FORK_EPOCH: 0
FULU_FORK_VERSION: 0x20000095
FULU_FORK_EPOCH: %d
SECONDS_PER_SLOT: %d
SLOT_DURATION_MS: %d
SECONDS_PER_ETH1_BLOCK: %d
SLOTS_PER_EPOCH: 32
ETH1_FOLLOW_DISTANCE: 8
MIN_VALIDATOR_WITHDRAWABILITY_DELAY: 1
SHARD_COMMITTEE_PERIOD: 4
EJECTION_BALANCE: 16000000000
MIN_PER_EPOCH_CHURN_LIMIT: 4
CHURN_LIMIT_QUOTIENT: 65536
PROPOSER_SCORE_BOOST: 40
REORG_PARENT_WEIGHT_THRESHOLD: 1000000
DEPOSIT_CHAIN_ID: 1337
DEPOSIT_NETWORK_ID: 1337
DEPOSIT_CONTRACT_ADDRESS: 0x4242424242424242424242424242424242424242
BLOB_SCHEDULE: []
`

// genesis is where a chain begins: the files that clients read.
type genesis struct {
	time      time.Time
	slot      time.Duration
	fuluEpoch int    // at least 1: Prysm selects no proposers where Fulu begins at genesis
	chain     string // Prysm's configuration
	beacon    string // the beacon state
	execution string // the execution clients' genesis
}

// newGenesis makes the genesis of a chain that begins at a time.
func newGenesis(t testing.TB, dir string, at time.Time, slot time.Duration, fuluEpoch int) genesis {
	t.Helper()
	file := func(name string) string { return filepath.Join(dir, name) }
	g := genesis{
		time: at, slot: slot, fuluEpoch: fuluEpoch, chain: file("chain.yaml"),
		beacon: file("genesis.ssz"), execution: file("genesis.json"),
	}
	seconds := int(slot / time.Second)
	config := fmt.Sprintf(chainConfig, fuluEpoch, seconds, 1000*seconds, seconds)
	if err := os.WriteFile(g.chain, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	// Prysm knows the deposit contract and the times of the forks; we know whose money there is. So: its genesis, our
	// additions, and its genesis again, whose state has the hash of the execution genesis.
	prysms, ours := file("genesis.prysm.json"), file("genesis.ours.json")
	g.generate(t, "--geth-genesis-json-out", prysms)
	endow(t, prysms, ours)
	g.generate(t, "--geth-genesis-json-in", ours, "--geth-genesis-json-out", g.execution)
	return g
}

// generate runs prysmctl, which writes the beacon state and what the flags say.
func (g genesis) generate(t testing.TB, flags ...string) {
	t.Helper()
	args := append([]string{
		"testnet", "generate-genesis", "--fork", "electra", "--num-validators", strconv.Itoa(validators),
		"--genesis-time", strconv.FormatInt(g.time.Unix(), 10), "--chain-config-file", g.chain,
		"--output-ssz", g.beacon,
	}, flags...)
	if out, err := exec.Command(program(t, "prysmctl"), args...).CombinedOutput(); err != nil {
		t.Fatalf("prysmctl: %v\n%s", err, out)
	}
}

// endow adds to a genesis of Prysm's what internal/geth's transactions need: money, system contracts, room for blobs.
func endow(t testing.TB, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	var g core.Genesis
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatalf("Prysm's genesis: %v", err)
	}
	ours := geth.Genesis(geth.Schedule{})
	maps.Copy(g.Alloc, ours.Alloc)
	g.BaseFee, g.GasLimit, g.Difficulty = ours.BaseFee, ours.GasLimit, ours.Difficulty
	g.Config.TerminalTotalDifficulty = ours.Config.TerminalTotalDifficulty
	g.Config.BlobScheduleConfig = ours.Config.BlobScheduleConfig
	g.Config.BlobScheduleConfig.BPO1 = nil
	if text, err = json.MarshalIndent(&g, "", "  "); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// slotAt is the slot at a time.
func (g genesis) slotAt(at time.Time) int {
	return int(at.Sub(g.time).Nanoseconds() / g.slot.Nanoseconds())
}

// startOf is when a slot begins.
func (g genesis) startOf(slot int) time.Time { return g.time.Add(time.Duration(slot) * g.slot) }
