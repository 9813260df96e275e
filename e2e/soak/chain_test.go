//go:build e2e

package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/params"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/geth"
)

// chain is the consensus client: it makes a block in every slot, as far as it hears VALID. Its fields may be read when
// run has returned.
type chain struct {
	producer *geth.Producer
	call     geth.Call
	ahead    atomic.Int64   // nanoseconds by which its clock is ahead of the machine's: whole slots
	network  geth.Call      // a node that somebody else's validators drive
	other    apptest.Client // another beacon node, which forges
	forge    atomic.Bool    // whether that one does

	valid     geth.Payload   // the last block that it heard VALID to
	doubted   []geth.Payload // under its head, which it heard SYNCING to, and the network doesn't have
	doubtful  int            // slots for which the head has been one of which it hears SYNCING
	ancestors []common.Hash  // of the head, the last ones
	outcomes  []outcome
	pauses    pauses

	mu    sync.Mutex
	wrong []string // what it should never have heard
}

func newChain(t testing.TB, url string, network *node, config *params.ChainConfig) *chain {
	t.Helper()
	c := &chain{other: apptest.NewClient(t, url, clSecret)}
	client := apptest.NewClient(t, url, clSecret)
	client.Token = func() string { return enginetest.Token(clSecret, c.byItsClock(time.Now())) }
	c.call = client.Call
	var err error
	if c.network, err = network.dial(); err != nil {
		t.Fatal(err)
	}
	if c.producer, err = geth.NewProducer(t.Context(), config, c.call); err != nil {
		t.Fatal(err)
	}
	c.valid = c.producer.Head
	return c
}

// byItsClock is what its clock shows at a time.
func (c *chain) byItsClock(at time.Time) time.Time { return at.Add(time.Duration(c.ahead.Load())) }

// run makes blocks for so many slots, or until ctx ends.
func (c *chain) run(ctx context.Context, begin time.Time, slots int) {
	var watching sync.WaitGroup
	defer watching.Wait()
	watch, stop := context.WithCancel(ctx)
	defer stop()
	watching.Go(func() { c.pauses.watch(watch) })
	for i := range slots {
		o := outcome{start: begin.Add(time.Duration(i) * slot)}
		select {
		case <-time.After(time.Until(o.start)):
		case <-ctx.Done():
			return
		}
		c.pauses.take()
		timestamp := uint64(c.byItsClock(o.start).Unix())
		if timestamp <= c.producer.Head.Timestamp {
			continue // its clock was put back, and this slot has a block
		}
		limited, cancel := context.WithDeadline(ctx, o.start.Add(slot))
		if err := c.slot(limited, &o, timestamp); err != nil {
			o.lost = err.Error()
		} else {
			c.publish(ctx)
			c.transact(limited) // into the next block
		}
		cancel()
		o.pause = c.pauses.take()
		c.outcomes = append(c.outcomes, o)
	}
}

// buildTime is how long the nodes may build. It is short, for the block is to come early in its slot; but not as short
// as what ExecutionBackup, when it ends, waits for the next call on a connection, or that would meet its end.
const buildTime = 200 * time.Millisecond

// mostDoubtful is after how many slots the network would have left a block that nobody can attest to.
const mostDoubtful = 10

// slot makes a block and makes it the head, as a consensus client does: one that it hears SYNCING to becomes its head,
// too, and it asks about that again and again. When it heard VALID goes into o.
func (c *chain) slot(ctx context.Context, o *outcome, timestamp uint64) error {
	order := geth.Order{Timestamp: timestamp, FeeRecipient: common.Address{19: 0xfe}, BuildTime: buildTime}
	payload, err := c.producer.Build(ctx, order)
	if err != nil {
		if c.doubtful++; c.producer.Head.Hash == c.valid.Hash {
			c.doubtful = 0
		} else if c.doubtful > mostDoubtful {
			c.producer.Head, c.doubted, c.doubtful = c.valid, nil, 0
		}
		return c.judge(err)
	}
	c.doubtful = 0
	var forging sync.WaitGroup
	defer forging.Wait()
	if c.forge.Load() {
		c.sendForged(ctx, payload)
		forging.Go(func() { c.sendForged(ctx, payload) })
	}
	begun := time.Now()
	status, err := payload.NewPayload(ctx, c.call)
	if err != nil {
		return err
	}
	if status.Status != "VALID" {
		if status.Status == "SYNCING" {
			c.producer.Head, c.doubted = payload, append(c.doubted, payload)
			head, err := payload.ForkchoiceUpdated(ctx, c.call, c.producer.Safe, c.producer.Finalized)
			if err == nil {
				c.judge(&geth.StatusError{Method: "forkchoiceUpdated", Status: head})
			}
		}
		return c.judge(&geth.StatusError{Method: payload.Method, Status: status})
	}
	o.took, o.answered = time.Since(begun), time.Since(o.start)
	if c.forge.Load() {
		forging.Go(func() { c.sendForged(ctx, payload) })
	}
	head, err := payload.ForkchoiceUpdated(ctx, c.call, c.producer.Safe, c.producer.Finalized)
	if err != nil {
		return err
	}
	if head.Status != "VALID" {
		return c.judge(&geth.StatusError{Method: "forkchoiceUpdated", Status: head})
	}
	c.follow(payload)
	return nil
}

// follow makes a block that it heard VALID to the head. Four blocks back are safe and eight are final.
func (c *chain) follow(p geth.Payload) {
	c.producer.Head, c.valid = p, p
	if c.ancestors = append(c.ancestors, p.Hash); len(c.ancestors) > 8 {
		c.producer.Safe, c.producer.Finalized = c.ancestors[4], c.ancestors[0]
		c.ancestors = c.ancestors[1:]
	}
}

// judge notes an error that no fault excuses, and returns it.
func (c *chain) judge(err error) error {
	var status *geth.StatusError
	if errors.As(err, &status) && status.Status.Status == "INVALID" {
		c.fault("the consensus client heard INVALID, which it can't take back: %v", err)
	}
	return err
}

func (c *chain) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

// sendForged sends another content under a payload's hash, with the same token, over another connection. What it gets
// may be any status but VALID.
func (c *chain) sendForged(ctx context.Context, p geth.Payload) {
	var block map[string]json.RawMessage
	if err := json.Unmarshal(p.Params[0], &block); err != nil {
		c.fault("decode a payload: %v", err)
		return
	}
	block["gasUsed"] = json.RawMessage(`"0x1"`)
	args := []any{block}
	for _, param := range p.Params[1:] {
		args = append(args, param)
	}
	var status struct{ Status string }
	raw, err := c.other.Call(ctx, p.Method, args...)
	if err == nil && json.Unmarshal(raw, &status) == nil && status.Status == "VALID" {
		c.fault("another content under the hash of block %d is VALID", p.Number)
	}
}

// publish gives the network the head, and the blocks under it that were in doubt until now. Nothing happens to the
// network, so what fails there is the test's. It has a slot's time, however late in its slot the block was VALID.
func (c *chain) publish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, slot)
	defer cancel()
	for _, p := range append(c.doubted, c.valid) {
		if err := p.Import(ctx, c.network, c.producer.Safe, c.producer.Finalized); err != nil {
			c.fault("the network doesn't take block %d: %v", p.Number, err)
			break
		}
	}
	c.doubted = nil
}

// transact sends three transfers for the next block. What doesn't arrive because of a fault is sent again later.
func (c *chain) transact(ctx context.Context) {
	var nonce hexutil.Uint64
	raw, err := c.call(ctx, "eth_getTransactionCount", geth.Developer, "latest")
	if err != nil || json.Unmarshal(raw, &nonce) != nil {
		return
	}
	for i := range uint64(3) {
		if encoded, err := geth.Transfer(uint64(nonce) + i).MarshalBinary(); err == nil {
			c.call(ctx, "eth_sendRawTransaction", hexutil.Bytes(encoded)) // a node that has it already says so
		}
	}
}

// pauses are times for which the machine lets nobody run.
type pauses struct{ longest atomic.Int64 }

// watch measures them until ctx ends.
func (p *pauses) watch(ctx context.Context) {
	const period = 10 * time.Millisecond
	tick := time.NewTicker(period)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		if late := int64(now.Sub(last) - period); late > p.longest.Load() {
			p.longest.Store(late) // a take in between loses nothing but this one
		}
		last = now
	}
}

// take returns the longest since the last take.
func (p *pauses) take() time.Duration { return time.Duration(p.longest.Swap(0)) }
