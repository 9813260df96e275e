package node

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"executionbackup/internal/engine"
	"executionbackup/internal/forks"
	"executionbackup/internal/health"
	"executionbackup/internal/wire"
)

// What nodes say of their forks (eth_config) tells apart two that look alike by chain id and genesis: one may lack the
// next fork, or have another configuration for it.

// told is what the node has told of its forks. Node's lock guards it.
type told struct {
	config  forks.Config
	read    time.Time // when it said so last; zero before
	since   time.Time // when it said so first
	stale   bool      // it may have been restarted since
	lacks   bool      // it doesn't have the method
	asked   bool      // it has been, be it in vain
	due     time.Time // when it is asked again; zero where that is with the next probe
	trouble string    // why something isn't known
}

// AskForks asks the node for its forks. The error says what is wrong with the answer, or that there was none.
func (n *Node) AskForks(ctx context.Context) error {
	reply, err := n.ask(ctx, "eth_config", "[]")
	if err == nil && reply.Err != nil {
		err = reply.Err
	}
	var config forks.Config
	if err == nil {
		config, err = forks.Read(reply.Result)
	}
	now := time.Now()
	due := now.Add(n.pool.forkInterval(now, config))
	n.mu.Lock()
	defer n.mu.Unlock()
	t := &n.forks
	if f, failed := err.(*wire.Failure); failed {
		t.asked, t.due = true, now.Add(time.Minute)
		if t.read.IsZero() {
			t.trouble = f.Reason
		}
		return err // what it said last is the best that we have
	}
	since := now
	if config == t.config {
		since = t.since // its head may be before a fork that has begun meanwhile: it may have told nothing new
	}
	*t = told{config: config, read: now, since: since, asked: true, due: due}
	if err != nil {
		t.trouble = engine.Excerpt(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	var refused *engine.Error
	if errors.As(err, &refused) && refused.Code == engine.CodeMethodNotFound {
		t.lacks, t.due = true, now.Add(never)
	}
	return err
}

// never is when a node that doesn't have the method is asked again, unless it comes back before.
const never = 100 * 365 * 24 * time.Hour

// needsForks reports whether the node in this state is to be asked for its forks. One that is shut out for them is with
// every probe: it is dead to us, so that nobody sees it return.
func (n *Node) needsForks(state health.State) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.missedFork != "" || state != health.Dead && !time.Now().Before(n.forks.due)
}

// Fork is the configuration that holds on the node at a time, in a text that is equal where configurations are; ""
// where it isn't known.
func (n *Node) Fork(at time.Time) string {
	n.mu.Lock()
	t := n.forks
	n.mu.Unlock()
	if t.stale || time.Since(t.read) > outdated {
		return ""
	}
	return t.config.At(at, t.since).Current.Text()
}

// Forks returns what the nodes said of their forks, as it was last judged. It is not to be changed.
func (p *Pool) Forks() *ForkReport {
	if r := p.forks.Load(); r != nil {
		return r
	}
	return new(ForkReport)
}

// NearFork reports whether a block of a timestamp, in seconds, is of the time around a fork: from 15 minutes before one
// until a span after it. It is where that can't be told: for a timestamp of 0, and where no node has said when its
// forks are.
func (p *Pool) NearFork(timestamp uint64, after time.Duration) bool {
	known := p.activations.Load() // without the lock: the log is written under that
	return timestamp == 0 || known == nil || forks.Near(timestamp, *known, after)
}

// ForkBetween reports whether there was a fork after a time and up to another, in seconds, as far as we know.
func (p *Pool) ForkBetween(after, upTo uint64) bool {
	known := p.activations.Load()
	return known != nil && slices.ContainsFunc(*known, func(at uint64) bool { return after < at && at <= upTo })
}

// forkInterval is how long after it told its forks a node is asked again.
func (p *Pool) forkInterval(now time.Time, told forks.Config) time.Duration {
	activations := []uint64{told.Current.Activation, told.Next.Activation, told.Last.Activation}
	if known := p.activations.Load(); known != nil {
		activations = append(activations, *known...)
	}
	return forks.Interval(now, activations)
}

// clockError is how far a consensus client's clock may be ahead of ours: whose payload is from later is wrong about the
// time, and brings no fork about.
const clockError = 5 * time.Second

// ForkTime is the time at which it is looked which fork holds for a payload of a timestamp, in seconds: now, or the
// payload's own where our clock is behind, so far as that is believed.
func ForkTime(timestamp uint64, believed time.Duration) time.Time {
	now := time.Now()
	if timestamp > uint64(now.Add(believed).Unix()) {
		return now
	}
	return later(now, time.Unix(int64(timestamp), 0))
}

// Reach notes the timestamp of a payload, in seconds. With the first one of a fork it is judged at once which nodes
// missed it: so that these get no call in which they could object to it.
func (p *Pool) Reach(timestamp uint64) {
	next := p.nextFork.Load()
	if next == 0 || timestamp < next {
		return
	}
	if at := ForkTime(timestamp, clockError); uint64(at.Unix()) >= next {
		p.judgeForks(at)
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// maxActivations is how many forks are remembered: those nearest to now.
const maxActivations = 32

// judgeForks compares what nodes said of their forks, says what is new of that, and finds the nodes that missed one.
func (p *Pool) judgeForks(now time.Time) {
	p.forking.Lock()
	defer p.forking.Unlock()
	now = later(now, p.reached) // what has begun by a payload's time doesn't end by our clock
	p.reached = now
	report := &ForkReport{At: now}
	var said []forks.Said
	for _, n := range p.Nodes() {
		nf, one := n.forksAt(now)
		report.Nodes = append(report.Nodes, nf)
		if nf.foreign {
			continue
		}
		said = append(said, one)
		p.remember(one.Config, now)
	}
	report.Next, _ = forks.Next(said, now)
	differences, missed := forks.Compare(said, now), []string(nil)
	if p.ExcludeMissed() {
		missed = forks.Missed(said, now)
	}
	for i := range report.Nodes {
		nf := &report.Nodes[i]
		for _, d := range differences {
			if d.Node == nf.Node.URL() {
				nf.Differences = append(nf.Differences, d)
			}
		}
		reason := ""
		switch {
		case slices.Contains(missed, nf.Node.URL()):
			reason = report.missedReason(nf)
		case p.ExcludeMissed() && (nf.Config.Current.State != forks.Known || nf.differsIn("current.forkId")):
			reason = nf.still // silence is no repair, and the next fork brings it no nearer to the others
		}
		nf.Missed = reason != ""
		nf.Node.shutOut(reason)
	}
	p.forks.Store(report)
	p.nextFork.Store(p.earliest(now)) // from here on calls go by what has been judged
	p.sayForks(report)
}

// forksAt is what the node said of its forks, as it holds at a time.
func (n *Node) forksAt(now time.Time) (NodeForks, forks.Said) {
	n.mu.Lock()
	defer n.mu.Unlock()
	config, trouble, still := n.forks.config.At(now, n.forks.since), n.forks.trouble, n.missedFork
	if t := &n.forks; t.lacks || t.config.Current.State == forks.Known && t.config != n.missedWith {
		still = ""
	}
	if now.Sub(n.forks.read) > outdated {
		config, trouble = forks.Config{}, cmp.Or(trouble, "it hasn't told its forks")
	}
	return NodeForks{
			Node: n, Client: n.info.Label(), Config: config, Read: n.forks.read, Trouble: trouble,
			foreign: n.otherChain != "",
			pending: !n.forks.asked && n.health.State() != health.Dead,
			still:   still,
		},
		forks.Said{
			Node: n.URL(), Client: n.info.Implementation(), Config: config,
			Votes: !n.drained && !n.setup.Load().DoNotUse,
		}
}

// shutOut notes why the node is shut out for having missed a fork; "" where it isn't.
func (n *Node) shutOut(reason string) {
	n.mu.Lock()
	same := n.missedFork == reason
	if n.missedFork == "" {
		n.missedWith = n.forks.config
	}
	n.missedFork = reason
	n.mu.Unlock()
	if !same {
		n.becomeForeign()
	}
}

// outdated is how old a reading is compared at the most: that of a node which has been away for longer may be from
// before a fork that it doesn't name.
const outdated = time.Hour

// remember keeps the times of forks. p.forking is held.
func (p *Pool) remember(c forks.Config, now time.Time) {
	old := p.activations.Load()
	var known []uint64 // a slice of our own where it differs from the old one, which others read
	if old != nil {
		known = *old
	}
	told := false
	for _, e := range []forks.Entry{c.Current, c.Next, c.Last} {
		if e.State != forks.Known {
			continue
		}
		told = true
		if e.Activation > 0 && !slices.Contains(known, e.Activation) {
			known = slices.Sorted(slices.Values(append(slices.Clone(known), e.Activation)))
		}
		if n := len(known); n > maxActivations { // a node tells of ever others
			if (forks.Entry{Activation: known[n-1]}).Until(now) > now.Sub(time.Unix(int64(known[0]), 0)) {
				known = known[:n-1]
			} else {
				known = known[1:]
			}
		}
	}
	if told {
		p.activations.Store(&known)
	}
}

// earliest returns when the next fork is that any node knows of, in seconds; 0 where none does.
func (p *Pool) earliest(now time.Time) uint64 {
	if known := p.activations.Load(); known != nil {
		for _, activation := range *known {
			if activation > uint64(now.Unix()) {
				return activation
			}
		}
	}
	return 0
}
