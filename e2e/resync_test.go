//go:build e2e

package e2e

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"

	"executionbackup/internal/apptest"
	"executionbackup/internal/geth"
)

// A geth whose data directory was emptied fetches slow blocks from its peers, and while it is at that another one is
// restarted: the third one alone knows the head. No slot is lost, and in the end all vote.
func TestResyncBesideARestart(t *testing.T) {
	if testing.Short() {
		t.Skip("part of the whole form only")
	}
	const before = 40 // slow blocks
	work := newToil(t)
	genesis := genesisNow()
	genesis.Timestamp -= 3600
	genesis.GasLimit = 100_000_000
	work.fund(genesis)
	var peers []*peer
	var nodes []string
	for i := range 3 {
		p := newPeer(t, genesis, byte(i+1))
		peers = append(peers, p)
		nodes = append(nodes, fmt.Sprintf("%s#name=n%d#jwt-secret=%s", p.url(), i+1, p.secretFile))
	}
	work.lay(genesis, peers, before)

	h := newHouse(t, genesis, nodes, "slot: 4s")
	h.slot, h.building = 4*time.Second, 500*time.Millisecond
	again := peers[2]
	h.slotWith(func() {
		work.send(h.Call)
		again.wipe()
		again.meet(peers[0], peers[1])
	})
	work.until(h, func() bool { return again.number() > 0 })
	h.slotWith(func() {
		work.send(h.Call)
		peers[1].terminate()
	})
	if n := again.number(); n >= h.producer.Head.Number-3 {
		t.Errorf("it has %d of %d blocks when another goes down: it isn't syncing any more", n, h.producer.Head.Number)
	}
	h.slotWith(func() {
		work.send(h.Call)
		peers[1].start()
	})
	work.until(h, func() bool { return h.Node(t, "n3").State == "alive" })
	h.slots(2)
	h.votes("VALID", "VALID", "VALID")
	h.wantAll()
}

// peer is the geth that e2e/clients/install.sh builds, which may have peers.
type peer struct {
	t                        *testing.T
	dir, secretFile, genesis string
	secret                   [32]byte
	auth, http, port         int
	process                  *apptest.Process
}

func newPeer(t *testing.T, genesis *core.Genesis, n byte) *peer {
	t.Helper()
	text, err := json.Marshal(genesis)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := &peer{
		t: t, dir: filepath.Join(dir, "data"), genesis: filepath.Join(dir, "genesis.json"),
		secret: [32]byte{n}, secretFile: filepath.Join(dir, "jwt.hex"),
		auth: freePort(t), http: freePort(t), port: freePort(t),
	}
	write(t, p.genesis, string(text))
	write(t, p.secretFile, hex.EncodeToString(p.secret[:]))
	p.wipe()
	return p
}

func (p *peer) program() string { return apptest.Installed(p.t, "bin/geth") }

func (p *peer) url() string { return "http://127.0.0.1:" + strconv.Itoa(p.auth) }

// wipe starts the geth with an empty data directory.
func (p *peer) wipe() {
	p.t.Helper()
	p.terminate()
	if err := os.RemoveAll(p.dir); err != nil {
		p.t.Error(err)
	}
	init := exec.Command(p.program(), "--datadir", p.dir, "--state.scheme", "path", "init", p.genesis)
	if said, err := init.CombinedOutput(); err != nil {
		p.t.Errorf("geth init: %v: %s", err, said)
	}
	p.start()
}

// start starts the geth and returns when it serves.
func (p *peer) start() {
	p.t.Helper()
	config := p.dir + ".toml" // geth has no flag for p2p on one address
	write(p.t, config,
		fmt.Sprintf("[Node.P2P]\nListenAddr = \"127.0.0.1:%d\"\nNoDiscovery = true\nMaxPeers = 5\n", p.port))
	p.process = apptest.StartProcess(p.t, exec.Command(p.program(), "--config", config, "--datadir", p.dir,
		"--networkid", "1337", "--syncmode", "full", "--state.scheme", "path", "--nat", "none", "--ipcdisable",
		"--cache", "128", "--authrpc.port", strconv.Itoa(p.auth), "--authrpc.jwtsecret", p.secretFile,
		"--http", "--http.port", strconv.Itoa(p.http), "--http.api", "eth,admin"))
	apptest.Try(p.t, apptest.Patience, func() error {
		_, err := p.ask("eth_chainId")
		return err
	})
}

func (p *peer) terminate() {
	p.t.Helper()
	if err := p.process.Terminate(); err != nil {
		p.t.Error(err)
	}
}

// ask calls a method at the port that needs no token.
func (p *peer) ask(method string, params ...any) (json.RawMessage, error) {
	call, err := geth.Dial("http://127.0.0.1:"+strconv.Itoa(p.http), [32]byte{})
	if err != nil {
		return nil, err
	}
	return call(p.t.Context(), method, params...)
}

// meet makes others its peers.
func (p *peer) meet(others ...*peer) {
	p.t.Helper()
	for _, other := range others {
		apptest.Try(p.t, apptest.Patience, func() error {
			raw, err := other.ask("admin_nodeInfo")
			var info struct{ Enode string }
			if err == nil {
				err = json.Unmarshal(raw, &info)
			}
			if err == nil {
				_, err = p.ask("admin_addPeer", info.Enode)
			}
			return err
		})
	}
}

// number is that of its latest block.
func (p *peer) number() uint64 {
	p.t.Helper()
	raw, err := p.ask("eth_blockNumber")
	var n hexutil.Uint64
	if err == nil {
		err = json.Unmarshal(raw, &n)
	}
	if err != nil {
		p.t.Error(err)
	}
	return uint64(n)
}

// toil makes blocks slow: transactions with a contract that hashes until its gas is used up.
type toil struct {
	t     *testing.T
	nonce uint64
}

// toilGas is what one such transaction may use: about a fifth of a second.
const toilGas = 15_000_000

var (
	toilContract = common.Address{0x1a, 0xb0}
	toilKey, _   = crypto.ToECDSA(crypto.Keccak256([]byte("toil")))
)

func newToil(t *testing.T) *toil { return &toil{t: t} }

// fund gives it money and a contract: JUMPDEST, PUSH2 32768, PUSH1 0, KECCAK256, POP, PUSH1 0, JUMP.
func (w *toil) fund(genesis *core.Genesis) {
	million := new(big.Int).Mul(big.NewInt(1e6), big.NewInt(params.Ether))
	genesis.Alloc[crypto.PubkeyToAddress(toilKey.PublicKey)] = types.Account{Balance: million}
	genesis.Alloc[toilContract] = types.Account{Balance: new(big.Int), Code: common.FromHex("0x5b61800060002050600056")}
}

func (w *toil) next() *types.Transaction {
	chain := big.NewInt(1337)
	tx := types.MustSignNewTx(toilKey, types.LatestSignerForChainID(chain), &types.DynamicFeeTx{
		ChainID: chain, Nonce: w.nonce, To: &toilContract, Gas: toilGas,
		GasTipCap: big.NewInt(params.GWei), GasFeeCap: big.NewInt(50 * params.GWei),
	})
	w.nonce++
	return tx
}

// send sends the next one.
func (w *toil) send(call geth.Call) *types.Transaction {
	tx := w.next()
	raw, err := tx.MarshalBinary()
	if err == nil {
		_, err = call(w.t.Context(), "eth_sendRawTransaction", hexutil.Bytes(raw))
	}
	if err != nil {
		w.t.Error(err)
	}
	return tx
}

// until lets slots with slow blocks go by until something holds.
func (w *toil) until(h *house, holds func() bool) {
	w.t.Helper()
	for range 60 {
		h.slotWith(func() { w.send(h.Call) })
		if holds() {
			return
		}
	}
	w.t.Fatal("it doesn't sync")
}

// lay makes the first blocks with one peer, and gives them to all.
func (w *toil) lay(genesis *core.Genesis, peers []*peer, blocks int) {
	w.t.Helper()
	var calls []geth.Call
	for _, p := range peers {
		call, err := geth.Dial(p.url(), p.secret)
		if err != nil {
			w.t.Fatal(err)
		}
		calls = append(calls, call)
	}
	producer, err := geth.NewProducer(w.t.Context(), genesis.Config, calls[0])
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	for range blocks {
		tx := w.send(calls[0])
		order := geth.Order{Transactions: []*types.Transaction{tx}, BuildTime: 300 * time.Millisecond}
		p, err := producer.Produce(ctx, order)
		for _, call := range calls[1:] {
			if err == nil {
				err = p.Import(ctx, call, common.Hash{}, common.Hash{})
			}
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
}
