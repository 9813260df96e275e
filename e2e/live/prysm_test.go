//go:build e2e

package live

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/bits"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/apptest"
)

// prysm is the consensus client with all validators of the network, and what it tells about the chain.
type prysm struct {
	beacon, validator *apptest.Process
	rest              string // its REST API
}

// startPrysm starts Prysm's two programs.
func startPrysm(t testing.TB, dir string, g genesis, ports *ports, endpoint, secretFile string) *prysm {
	t.Helper()
	rest, rpc := ports.next(), ports.next()
	p := &prysm{rest: "http://127.0.0.1:" + rest}
	feeRecipient := "0x00000000000000000000000000000000000fee01"
	p.beacon = launch(t, filepath.Join(dir, "beacon.log"), program(t, "beacon-chain"),
		"--datadir", filepath.Join(dir, "beacon"), "--genesis-state", g.beacon, "--chain-config-file", g.chain,
		"--contract-deployment-block", "0", "--execution-endpoint", endpoint, "--jwt-secret", secretFile,
		"--accept-terms-of-use", "--suggested-fee-recipient", feeRecipient, "--log-format", "json",
		"--bootstrap-node=", "--no-discovery", "--disable-quic", "--p2p-local-ip", "127.0.0.1",
		"--p2p-host-ip", "127.0.0.1",
		"--p2p-tcp-port", ports.next(), "--p2p-udp-port", ports.next(), "--min-sync-peers", "0",
		"--minimum-peers-per-subnet", "0",
		"--rpc-host", "127.0.0.1", "--rpc-port", rpc, "--http-host", "127.0.0.1", "--http-port", rest,
		"--monitoring-port", ports.next())
	p.validator = launch(t, filepath.Join(dir, "validator.log"), program(t, "validator"),
		"--datadir", filepath.Join(dir, "validator"), "--wallet-dir", filepath.Join(dir, "validator", "wallet"),
		"--chain-config-file", g.chain, "--accept-terms-of-use", "--log-format", "json", "--disable-monitoring",
		"--interop-num-validators", strconv.Itoa(validators), "--interop-start-index", "0",
		"--beacon-rpc-provider", "127.0.0.1:"+rpc, "--beacon-rest-api-provider", p.rest,
		"--http-port", ports.next(), "--rpc-port", ports.next(), "--suggested-fee-recipient", feeRecipient)
	return p
}

// beaconBlock is what the report wants to know of a block.
type beaconBlock struct {
	Slot         int
	Transactions int
	Blobs        int
	attested     map[int]uint64 // by slot: whose attestations it includes, as bits of the committee
}

// signedBlock is a block as Prysm's REST API has it. A blinded one has no payload.
type signedBlock struct {
	Data struct {
		Message struct {
			Slot string
			Body struct {
				Attestations []struct {
					AggregationBits string `json:"aggregation_bits"`
					Data            struct{ Slot string }
				}
				Payload struct {
					Transactions []string
				} `json:"execution_payload"`
				Commitments []string `json:"blob_kzg_commitments"`
			}
		}
	}
}

// block returns the block of a slot, or nil if it has none. Prysm asks its execution client for the payload; where that
// lost it, as after a crash, the transactions are not counted.
func (p *prysm) block(slot any) (*beaconBlock, error) {
	var answer signedBlock
	found, err := p.get(fmt.Sprintf("/eth/v2/beacon/blocks/%v", slot), &answer)
	if err != nil {
		found, err = p.get(fmt.Sprintf("/eth/v1/beacon/blinded_blocks/%v", slot), &answer)
	}
	if err != nil || !found {
		return nil, err
	}
	m := answer.Data.Message
	b := &beaconBlock{
		Transactions: len(m.Body.Payload.Transactions), Blobs: len(m.Body.Commitments), attested: map[int]uint64{},
	}
	if b.Slot, err = strconv.Atoi(m.Slot); err != nil {
		return nil, err
	}
	for _, a := range m.Body.Attestations {
		at, err := strconv.Atoi(a.Data.Slot)
		if err != nil {
			return nil, err
		}
		who, err := bitlist(a.AggregationBits)
		if err != nil {
			return nil, err
		}
		b.attested[at] |= who
	}
	return b, nil
}

// bitlist reads an SSZ bitlist of less than 64 bits: its highest bit only marks its length.
func bitlist(text string) (uint64, error) {
	raw, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil || len(raw) == 0 || len(raw) > 8 {
		return 0, fmt.Errorf("bitlist %q: %v", text, err)
	}
	var v uint64
	for i, b := range raw {
		v |= uint64(b) << (8 * i)
	}
	if v == 0 {
		return 0, fmt.Errorf("bitlist %q has no end", text)
	}
	return v &^ (1 << (bits.Len64(v) - 1)), nil
}

// finalized is the last finalized epoch, as the head's state has it.
func (p *prysm) finalized() (int, error) {
	var answer struct {
		Data struct{ Finalized struct{ Epoch string } }
	}
	if _, err := p.get("/eth/v1/beacon/states/head/finality_checkpoints", &answer); err != nil {
		return 0, err
	}
	return strconv.Atoi(answer.Data.Finalized.Epoch)
}

// optimistic reports whether the head's payload has not been called VALID.
func (p *prysm) optimistic() (bool, error) {
	var answer struct {
		Data struct {
			Optimistic bool `json:"is_optimistic"`
		}
	}
	_, err := p.get("/eth/v1/node/syncing", &answer)
	return answer.Data.Optimistic, err
}

// get reads from the REST API. found is false for 404.
func (p *prysm) get(path string, v any) (found bool, err error) {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(p.rest + path)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return false, err
	case resp.StatusCode == http.StatusNotFound:
		return false, nil
	case resp.StatusCode != http.StatusOK:
		return false, fmt.Errorf("%s: %s: %s", path, resp.Status, body)
	}
	return true, json.Unmarshal(body, v)
}

// logTime is the time of a log line in ExecutionBackup's form or in Prysm's, which is local.
type logTime struct{ time.Time }

func (t *logTime) UnmarshalJSON(raw []byte) (err error) {
	text := strings.Trim(string(raw), `"`)
	if t.Time, err = time.Parse(time.RFC3339, text); err != nil {
		t.Time, err = time.ParseInLocation(time.DateTime, text, time.Local)
	}
	return err
}

// logLine is one line of a log in JSON: Prysm's, or ExecutionBackup's.
type logLine struct {
	Program string
	Time    logTime
	Level   string
	Msg     string
	Error   string
	Reason  string
	Node    string
}

// isError reports whether the program calls it an error.
func (l logLine) isError() bool {
	switch strings.ToLower(l.Level) {
	case "error", "fatal", "panic", "critical":
		return true
	}
	return false
}

// String is the line as the report shows it.
func (l logLine) String() string {
	text := l.Program + " " + strings.ToLower(l.Level) + ": " + l.Msg
	for _, more := range []string{l.Node, l.Reason, l.Error} {
		if more != "" {
			text += ": " + more
		}
	}
	return text
}

// chatter begins warnings that Prysm gives in each slot of a young chain, or in each epoch of a small one.
var chatter = regexp.MustCompile(`^(Voting period before genesis|Number per slot is 0)`)

// complaints returns the warnings and errors in a log between two times, and what it says of reorganisations.
func complaints(name, file string, from, to time.Time) ([]logLine, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var found []logLine
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		line := logLine{Program: name}
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			continue // not all that they print is in JSON
		}
		told := !strings.EqualFold(line.Level, "info") || strings.Contains(line.Msg, "reorg")
		if told && !chatter.MatchString(line.Msg) && !line.Time.Before(from) && line.Time.Before(to) {
			found = append(found, line)
		}
	}
	return found, lines.Err()
}
