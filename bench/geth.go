package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"

	"executionbackup/internal/geth"
)

// transfers are how many transactions each block of produce has.
const transfers = 50

// block is a block as a consensus client that syncs hands it over: two calls.
type block struct {
	number                 uint64
	hash                   common.Hash
	newPayload, forkchoice []byte
}

// genesis is the beginning of a chain whose slots were long ago.
func genesis() *core.Genesis {
	return geth.Genesis(geth.Schedule{
		Shanghai: new(uint64), Cancun: new(uint64), Prague: new(uint64), Osaka: new(uint64),
	})
}

// produce has a geth make a chain of n blocks.
func produce(ctx context.Context, n int) ([]block, error) {
	node, err := geth.Start(geth.Config{Genesis: genesis(), DataDir: file("producer")})
	if err != nil {
		return nil, err
	}
	defer node.Stop()
	dial, err := node.Dial()
	if err != nil {
		return nil, err
	}
	producer, err := geth.NewProducer(ctx, genesis().Config, dial)
	if err != nil {
		return nil, err
	}
	const behind = 64 // blocks, of the finalized one
	var blocks []block
	for i := range n {
		var order geth.Order
		for j := range transfers {
			order.Transactions = append(order.Transactions, geth.Transfer(uint64(i*transfers+j)))
		}
		if err := node.AddTransactions(order.Transactions...); err != nil {
			return nil, err
		}
		payload, err := producer.Produce(ctx, order)
		if err != nil {
			return nil, err
		}
		state := engine.ForkchoiceStateV1{HeadBlockHash: payload.Hash}
		if i >= behind {
			state.SafeBlockHash, state.FinalizedBlockHash = blocks[i-behind].hash, blocks[i-behind].hash
		}
		var params []any
		for _, p := range payload.Params {
			params = append(params, p)
		}
		blocks = append(blocks, block{payload.Number, payload.Hash,
			call(payload.Method, params...), call("engine_forkchoiceUpdatedV3", state, nil)})
	}
	return blocks, nil
}

// startGeth runs a geth at genesis in a process of its own, which takes longer over each newPayload.
func startGeth(slowed time.Duration) (p *process, address string, stop func(), err error) {
	dir, err := os.MkdirTemp(directory, "geth-")
	if err != nil {
		return nil, "", nil, err
	}
	cmd, addresses, stop, err := startSelf(1, "-geth", dir, "-slowed", slowed.String())
	if err != nil {
		return nil, "", nil, err
	}
	return &process{cmd}, addresses[0], stop, nil
}

// serveGeth is that process.
func serveGeth(dir string, slowed time.Duration) error {
	config := geth.Config{Genesis: genesis(), DataDir: dir}
	if _, err := hex.Decode(config.Secret[:], []byte(secret)); err != nil {
		return err
	}
	node, err := geth.Start(config)
	if err != nil {
		return err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(node.Config().AuthPort))
	if slowed > 0 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		go http.Serve(l, slow(address, slowed))
		address = l.Addr().String()
	}
	fmt.Println(address)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// slow passes calls on to a node, each newPayload later.
func slow(address string, by time.Duration) http.Handler {
	node := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if bytes.Contains(body[:min(len(body), 100)], []byte(`"engine_newPayload`)) {
			time.Sleep(by)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		node.ServeHTTP(w, r)
	})
}
