package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// syncing is a consensus client that brings fresh geths to the head of a chain, block after block.
type syncing struct {
	name   string
	blocks int
	slice  int           // how many of them in each round
	slowed time.Duration // how much longer the last of three geths takes over each newPayload
	ways   []syncWay     // the first is the limit
}

// syncWay is how the calls get to geths, which are its own.
type syncWay struct {
	name  string
	geths int
	us    bool // ExecutionBackup stands in between
}

var (
	syncDirect  = syncWay{name: "direct", geths: 1}
	syncDirect3 = syncWay{name: "direct to 3", geths: 3}
	syncUs      = syncWay{name: "ExecutionBackup, 3", geths: 3, us: true}
)

// syncings returns a long one, and a short one with a slow geth.
func syncings(blocks int) []*syncing {
	const slowed = 400 * time.Millisecond
	few := min(200, blocks)
	return []*syncing{{
		name: fmt.Sprintf("sync, %d blocks", blocks), blocks: blocks, slice: 50,
		ways: []syncWay{syncDirect3, syncUs, syncDirect},
	}, {
		name: fmt.Sprintf("sync, %d blocks, one of three slower by %v", few, slowed), blocks: few, slice: few,
		slowed: slowed, ways: []syncWay{syncDirect3, syncUs},
	}}
}

// measureSync adds what it takes geths to sync to the result.
func measureSync(ctx context.Context, o options, r *Result) error {
	var chain []block
	for _, s := range syncings(o.blocks) {
		if s.blocks == 0 || !o.match.MatchString(s.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, s.name)
		if chain == nil {
			var err error
			if chain, err = produce(ctx, s.blocks); err != nil {
				return fmt.Errorf("make a chain: %w", err)
			}
		}
		rows, err := s.measure(ctx, o.program, chain[:s.blocks])
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		r.Sync = append(r.Sync, rows...)
	}
	return nil
}

// measure lets all ways take turns, slice after slice of the chain.
func (s *syncing) measure(ctx context.Context, program string, chain []block) ([]SyncRow, error) {
	var all []*party
	for _, y := range s.ways {
		p, err := y.start(ctx, program, s.slowed)
		defer p.stop()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", y.name, err)
		}
		all = append(all, p)
	}
	round := 0
	for slice := range slices.Chunk(chain, s.slice) {
		for i := range all {
			p := all[(i+round)%len(all)]
			if err := p.sync(ctx, slice); err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
		}
		round++
	}
	var rows []SyncRow
	for _, p := range all {
		rows = append(rows, p.row(s.name, all[0]))
	}
	return rows, nil
}

// party is who takes part in one way, and what it showed.
type party struct {
	syncWay
	geths     []*process
	nodes     []string // their addresses
	us        []*process
	addresses []string // that calls go to
	stops     []func()

	done, followed []time.Duration // of each slice; see SyncRow
	took           []time.Duration // of every block: both calls
	cpu, gethsCPU  time.Duration
}

// start starts fresh geths, and what stands before them.
func (y syncWay) start(ctx context.Context, program string, slowed time.Duration) (*party, error) {
	p := &party{syncWay: y}
	for i := range y.geths {
		var slower time.Duration
		if i == y.geths-1 {
			slower = slowed
		}
		g, address, stop, err := startGeth(slower)
		if err != nil {
			return p, err
		}
		p.geths, p.nodes, p.stops = append(p.geths, g), append(p.nodes, address), append(p.stops, stop)
	}
	p.addresses = p.nodes
	if !y.us {
		return p, nil
	}
	d, err := startDaemon(ctx, program, file("state-"+strings.ReplaceAll(p.nodes[0], ":", "-")), p.nodes)
	if d != nil {
		p.us, p.addresses, p.stops = []*process{d.process}, []string{d.address}, append(p.stops, d.stop)
	}
	return p, err
}

func (p *party) stop() {
	for _, stop := range slices.Backward(p.stops) {
		stop()
	}
}

// sync takes the next blocks of a chain to the geths.
func (p *party) sync(ctx context.Context, slice []block) error {
	client, err := connect(&way{addresses: p.addresses}, false)
	if err != nil {
		return err
	}
	defer client.close()
	before, gethsBefore := cpu(p.us), cpu(p.geths)
	begun := time.Now()
	for _, b := range slice {
		took, err := b.take(client)
		if err != nil {
			return err
		}
		p.took = append(p.took, took)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	p.done = append(p.done, time.Since(begun))
	for _, node := range p.nodes {
		if err := awaitHead(ctx, node, slice[len(slice)-1]); err != nil {
			return err
		}
	}
	p.followed = append(p.followed, time.Since(begun))
	p.cpu += cpu(p.us) - before
	p.gethsCPU += cpu(p.geths) - gethsBefore
	return nil
}

// take makes both calls for a block. Nobody may say anything but VALID.
func (b block) take(client *caller) (time.Duration, error) {
	payload, err := client.call(b.newPayload, `"VALID"`)
	if err != nil {
		return 0, fmt.Errorf("newPayload of block %d: %w", b.number, err)
	}
	forkchoice, err := client.call(b.forkchoice, `"VALID"`)
	if err != nil {
		return 0, fmt.Errorf("forkchoiceUpdated to block %d: %w", b.number, err)
	}
	return payload + forkchoice, nil
}

// row works out what the way showed.
func (p *party) row(name string, limit *party) SyncRow {
	blocks := float64(len(p.took))
	return SyncRow{
		Sync: name, Way: p.name, Done: seconds(p.done), Followed: seconds(p.followed),
		Ratio: quartiles(p.done, limit.done), FollowedRatio: quartiles(p.followed, limit.followed),
		P50: milliseconds(percentile(p.took, 50)), P99: milliseconds(percentile(p.took, 99)),
		CPU: milliseconds(p.cpu) / blocks, GethsCPU: milliseconds(p.gethsCPU) / blocks,
	}
}

func cpu(all []*process) (sum time.Duration) {
	for _, p := range all {
		sum += p.cpu()
	}
	return sum
}

// awaitHead waits until a node has a block as its head.
func awaitHead(ctx context.Context, node string, head block) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	client, err := connect(&way{addresses: []string{node}}, false)
	if err != nil {
		return err
	}
	defer client.close()
	latest := call("eth_getBlockByNumber", "latest", false)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		if _, err = client.call(latest, head.hash.Hex()); err == nil {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%s was left behind %s: %w", node, head.hash, err)
		}
	}
}
