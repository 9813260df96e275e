package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"executionbackup/internal/config"
	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/node"
)

// patience bounds the questions to one node, all together; a node's own timeout may be less.
const patience = 5 * time.Second

// inspection is what a node showed when it was asked once.
type inspection struct {
	node    config.Node
	timeout time.Duration

	reachable bool          // there was an answer, of whatever kind
	accepted  bool          // there was one to a token of ours
	roundTrip time.Duration // of the answer that skew is taken from; 0 = no answer had a date
	skew      time.Duration // how far the node's clock is ahead of ours, give or take half a second

	// Empty where the node didn't tell.
	chain        chain
	head, client string
	syncing      bool
	methods      []string // as engine_exchangeCapabilities lists them

	failures []error // what it answered with errors, or not at all
}

// allCapabilities lists every method that we know: with a shorter list, a client that runs would turn off what its CL uses.
var allCapabilities = `[["` + strings.Join(engine.Methods, `","`) + `"]]`

// errRefused is an answer of 401 or 403.
var errRefused = errors.New("token refused")

// inspect asks a node who and how it is.
func inspect(ctx context.Context, n config.Node) *inspection {
	i := &inspection{node: n, timeout: min(n.Timeout, patience)}
	ctx, cancel := context.WithTimeout(ctx, i.timeout)
	defer cancel()
	transport := &http.Transport{} // no proxy: the daemon uses none either
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: noRedirect}

	var genesis struct{ Hash string }
	var chainID, head string
	var syncing any
	var versions []node.ClientVersion
	var web3 string
	for _, question := range []struct {
		method, params string
		into           any
		optional       bool
	}{
		{"eth_chainId", "[]", &chainID, false},
		{"eth_getBlockByNumber", `["0x0",false]`, &genesis, false},
		{"eth_blockNumber", "[]", &head, false},
		{"eth_syncing", "[]", &syncing, false},
		{"engine_exchangeCapabilities", allCapabilities, &i.methods, false},
		{"engine_getClientVersionV1", `[{"code":"EB","name":"ExecutionBackup","version":"","commit":"00000000"}]`, &versions, true},
		{"web3_clientVersion", "[]", &web3, true},
	} {
		answer, err := i.ask(ctx, client, question.method, question.params)
		if err != nil {
			i.failures = append(i.failures, err)
			break // whatever it is, it will not answer the rest
		}
		if answer.Err != nil {
			err = answer.Err
		} else if json.Unmarshal(answer.Result, question.into) != nil {
			err = errors.New("unexpected result")
		}
		if err != nil && !question.optional {
			i.failures = append(i.failures, fmt.Errorf("%s: %w", question.method, err))
		}
	}
	i.chain = chain{decimal(chainID), strings.ToLower(genesis.Hash)}
	i.head = decimal(head)
	i.syncing = syncing != nil && syncing != false
	i.client = clientOf(versions, web3)
	return i
}

// ask makes one call. An error says that there was no JSON-RPC answer.
func (i *inspection) ask(ctx context.Context, client *http.Client, method, params string) (jsonrpc.Reply, error) {
	body := bytes.NewReader(jsonrpc.NewCall(method, []byte(params)))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.node.URL.String(), body)
	if err != nil {
		return jsonrpc.Reply{}, errors.New("the URL can't be asked")
	}
	sent := time.Now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+i.node.Secret.Token(sent))
	resp, err := client.Do(req)
	if err != nil {
		return jsonrpc.Reply{}, i.noAnswer(err)
	}
	defer resp.Body.Close()
	i.noteClock(resp.Header.Get("Date"), sent, time.Now())
	i.reachable = true
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		return jsonrpc.Reply{}, errRefused
	}
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return jsonrpc.Reply{}, i.noAnswer(err)
	}
	reply, err := jsonrpc.ParseReply(content)
	if err != nil {
		return reply, fmt.Errorf("no JSON-RPC answer (HTTP %d)", resp.StatusCode)
	}
	i.accepted = true
	return reply, nil
}

// noAnswer puts the error of a request in words.
func (i *inspection) noAnswer(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer in %v", i.timeout)
	}
	return withoutURL(err)
}

// noteClock estimates the node's clock by the date of an answer. That has whole seconds only, and was written at some
// moment between sent and received: the quickest answer tells most.
func (i *inspection) noteClock(date string, sent, received time.Time) {
	theirs, err := http.ParseTime(date)
	roundTrip := received.Sub(sent)
	if err != nil || i.roundTrip > 0 && roundTrip >= i.roundTrip {
		return
	}
	i.roundTrip = max(roundTrip, 1)
	i.skew = theirs.Add(time.Second / 2).Sub(sent.Add(roundTrip / 2)).Round(time.Second)
}
