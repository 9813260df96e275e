package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/geth"
)

// With --cl a consensus client that knows nothing but what is printed makes the blocks, on a chain of ours and on one
// that it brings. What becomes of them is told, a dispute too.
func TestOwnConsensusClient(t *testing.T) {
	brought := filepath.Join(t.TempDir(), "genesis.json")
	begin := new(uint64)
	genesis := geth.Genesis(geth.Schedule{Shanghai: begin, Cancun: begin, Prague: begin})
	genesis.Config.ChainID = big.NewInt(4242)
	genesis.Timestamp = uint64(time.Now().Unix())
	if err := writeGenesis(brought, genesis); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, args, chain string }{
		{"our chain", "", `chain id +1337`},
		{"its chain", " --genesis " + brought, `chain id +4242`},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			keys, typing := io.Pipe()
			ended := make(chan error, 1)
			out := &watcher{want: "until it sends a block", then: func(said string) {
				err := makeBlocks(ctx, said, typing)
				if err != nil {
					cancel()
				}
				ended <- err
			}}
			last := &watcher{want: "the dispute is over", then: func(string) { typing.Write([]byte("x")) }}
			var complaints bytes.Buffer
			args := strings.Fields("--cl --port 0" + c.args)
			status := run(ctx, args, keys, io.MultiWriter(out, last), &complaints)
			text := out.text.String()
			if status != 0 || complaints.Len() > 0 {
				t.Fatalf("status %d: %s\n%s", status, complaints.String(), text)
			}
			if err := <-ended; err != nil {
				t.Fatalf("the consensus client: %v\n%s", err, text)
			}
			for _, want := range []string{
				c.chain,
				`(?m)^#1 .*VALID .*geth-1 VALID .*geth-2 VALID .*geth-3 VALID .*$`,
				`(?m)^#\d+ .*SYNCING .*geth-1 VALID .*geth-2 VALID .*geth-3 INVALID .*$`,
				`halted: dispute`, `the dispute is over`,
				`(?m)^[1-9]\d* blocks; [1-9]\d* payloads halted by a dispute`,
			} {
				if !regexp.MustCompile(want).MatchString(text) {
					t.Errorf("no line like %q in\n%s", want, text)
				}
			}
		})
	}
}

// makeBlocks is a consensus client that is set up with what the demonstration has said. It makes a geth lie until a
// block of its is in dispute, and puts that one again until it is VALID.
func makeBlocks(ctx context.Context, said string, keys io.Writer) error {
	producer, call, err := setUp(ctx, said)
	if err != nil {
		return err
	}
	slots := time.NewTicker(20 * time.Millisecond)
	defer slots.Stop()
	for number := 1; ; number++ {
		<-slots.C
		if number == 3 {
			keys.Write([]byte("d"))
		}
		payload, err := producer.Produce(ctx, geth.Order{Timestamp: producer.Head.Timestamp + 1})
		_, refused := errors.AsType[*geth.StatusError](err)
		if err != nil && !refused {
			return err
		}
		if !refused {
			continue
		}
		keys.Write([]byte("d"))
		for refused {
			<-slots.C
			err = payload.Import(ctx, call, common.Hash{}, common.Hash{})
			_, refused = errors.AsType[*geth.StatusError](err)
		}
		return err
	}
}

// setUp connects to where the demonstration says, and finds the genesis there that it says.
func setUp(ctx context.Context, said string) (*geth.Producer, geth.Call, error) {
	needs := make(map[string]string)
	row := regexp.MustCompile(`(?m)^ +(Engine API|JWT secret|genesis|hash) +(\S+)$`)
	for _, m := range row.FindAllStringSubmatch(said, -1) {
		needs[m[1]] = m[2]
	}
	text, err := os.ReadFile(needs["JWT secret"])
	if err != nil {
		return nil, nil, err
	}
	var secret [32]byte
	if _, err := hex.Decode(secret[:], bytes.TrimSpace(text)); err != nil {
		return nil, nil, err
	}
	genesis, err := readGenesis(needs["genesis"])
	if err != nil {
		return nil, nil, err
	}
	call, err := geth.Dial(needs["Engine API"], secret)
	if err != nil {
		return nil, nil, err
	}
	producer, err := geth.NewProducer(ctx, genesis.Config, call)
	if err != nil {
		return nil, nil, err
	}
	if head := producer.Head; head.Number != 0 || head.Hash != common.HexToHash(needs["hash"]) {
		return nil, nil, fmt.Errorf("the head is block %d, %s, not %s", head.Number, head.Hash, needs["hash"])
	}
	return producer, call, nil
}

// What is said first is where the page is, and over ssh how to have it at home.
func TestAddressFirst(t *testing.T) {
	t.Setenv("SSH_CONNECTION", "198.51.100.7 51515 192.0.2.1 22")
	var out bytes.Buffer
	args := []string{"--port", "0", "--blocks", "1", "--period", "50ms"}
	if status := run(t.Context(), args, strings.NewReader(""), &out, io.Discard); status != 0 {
		t.Fatalf("status %d:\n%s", status, out.String())
	}
	want := regexp.MustCompile(`^\n  http://127\.0\.0\.1:(\d+)/    the page.*\n` +
		`.*ssh.*\n    ssh -L (\d+):127\.0\.0\.1:(\d+) \S*192\.0\.2\.1\n`)
	m := want.FindStringSubmatch(out.String())
	if m == nil || m[1] != m[2] || m[1] != m[3] {
		t.Errorf("got\n%s", out.String())
	}
}

func TestTunnel(t *testing.T) {
	for _, c := range []struct{ connection, user, want string }{
		{"", "ann", ""},
		{"rubbish", "ann", ""},
		{"198.51.100.7 51515 192.0.2.1 22", "ann", "ssh -L 7000:127.0.0.1:7000 ann@192.0.2.1"},
		{"198.51.100.7 51515 192.0.2.1 2222", "ann", "ssh -L 7000:127.0.0.1:7000 -p 2222 ann@192.0.2.1"},
		{"2001:db8::7 51515 2001:db8::1 22", "", "ssh -L 7000:127.0.0.1:7000 2001:db8::1"},
	} {
		if got := tunnel("http://127.0.0.1:7000", c.connection, c.user); got != c.want {
			t.Errorf("%q: got %q, want %q", c.connection, got, c.want)
		}
	}
}
