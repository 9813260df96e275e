package proxy

import (
	"bytes"
	"context"
	"sync"

	"executionbackup/internal/engine"
	"executionbackup/internal/jsonrpc"
	"executionbackup/internal/rawjson"
)

// maxBatch is how many calls a batch may hold, as in go-ethereum's Engine API.
const maxBatch = 2000

// batchWidth is how many calls of a batch are made at a time: as many as connections to a node are kept.
const batchWidth = 64

// answerBatch returns the answer to a batch; nothing where the CL wants none.
func (p *Proxy) answerBatch(ctx context.Context, body []byte) []byte {
	entries, err := rawjson.Elements(body)
	switch {
	case err != nil:
		return refuse(engine.CodeParse, err.Error())
	case len(entries) == 0:
		return refuse(engine.CodeInvalidRequest, "empty batch")
	case len(entries) > maxBatch:
		return refuse(engine.CodeInvalidRequest, "batch too large")
	}
	batch := make([]call, len(entries))
	for i := range entries {
		batch[i] = decode(apart(entries[i], body))
	}
	return join(batch, p.answerEach(ctx, batch))
}

// refuse is the answer to a batch as a whole.
func refuse(code int, message string) []byte {
	return jsonrpc.AppendReply(nil, nil, jsonrpc.Reply{Err: &engine.Error{Code: code, Message: message}})
}

// answerEach makes the calls of a batch side by side, but for those whose order means something: these wait for the
// answers to those before them, as an execution client makes them one after another.
func (p *Proxy) answerEach(ctx context.Context, batch []call) []engine.Answer {
	answers := make([]engine.Answer, len(batch))
	var running sync.WaitGroup
	slots := make(chan struct{}, batchWidth) // taken by the calls that are being made
	before := make(chan struct{})            // closed when the last ordered call has its answer
	close(before)
	for i := range batch {
		c := &batch[i]
		ordered := c.refusal == nil && c.Method.Ordered()
		after, done := before, make(chan struct{})
		if ordered {
			before = done
		}
		running.Go(func() {
			defer close(done)
			if ordered {
				<-after
			}
			slots <- struct{}{}
			defer func() { <-slots }()
			answers[i], _ = p.answer(ctx, c, nil)
		})
	}
	running.Wait()
	return answers
}

// join writes the answers to a batch in its order, but for those that the CL doesn't want; nothing where it wants none.
func join(batch []call, answers []engine.Answer) []byte {
	all := []byte{'['}
	for i := range batch {
		c := &batch[i]
		if c.isNotification() {
			continue
		}
		if len(all) > 1 {
			all = append(all, ',')
		}
		if a := &answers[i]; isVerbatim(c.Call, c.id, a) {
			all = append(all, bytes.TrimSpace(a.Whole)...)
		} else {
			all = jsonrpc.AppendReply(all, c.id, reply(c.Call, a))
		}
	}
	if len(all) == 1 {
		return nil
	}
	return append(all, ']')
}
