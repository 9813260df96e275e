package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// ForkReport is what the nodes said of their forks, as it holds at a time.
type ForkReport struct {
	At    time.Time
	Nodes []NodeForks // in configuration order
	Next  forks.Entry // that most know which know of one; Known where there is one
}

// NodeForks is what one node said of its forks.
type NodeForks struct {
	Node        *Node
	Client      string // its name and version; "" where they aren't known
	Config      forks.Config
	Read        time.Time // when it said so last; zero where it hasn't
	Trouble     string    // why something of it isn't known; "" where all is
	Differences []forks.Difference
	Missed      bool // it missed a fork that most implementations have, and is shut out for that

	foreign bool   // it is on another chain, and not compared
	pending bool   // it can be reached, and hasn't been asked yet
	still   string // why it was shut out, where it has told nothing new since; "" where it wasn't
}

// Knows reports whether a node knows of the next fork: whether it can say, and says the same of it. Where its next one
// isn't known it may still be its last. One that is on another chain can't say.
func (nf *NodeForks) Knows(fork forks.Entry) (knows, known bool) {
	next, last := nf.Config.Next, nf.Config.Last
	knows = next == fork || next.State == forks.Unknown && last == fork
	return knows, (knows || next.State != forks.Unknown) && !nf.foreign
}

// Present says how a node's present configuration differs from that of most others; "" where it doesn't.
func (r *ForkReport) Present(n *Node) string {
	var words []string
	for i := range r.Nodes {
		if r.Nodes[i].Node != n {
			continue
		}
		for _, d := range r.Nodes[i].Differences {
			if strings.HasPrefix(d.Field, "current") {
				words = append(words, inWords(d))
			}
		}
	}
	return strings.Join(words, ", ")
}

// told is what the node has told of its forks. Node's lock guards it.
type told struct {
	config  forks.Config
	read    time.Time // when it said so last; zero before
	since   time.Time // when it said so first
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
		t.due = now.Add(never)
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
	p.forking.Lock()
	defer p.forking.Unlock()
	return timestamp == 0 || !p.knowsForks || forks.Near(timestamp, p.activations, after)
}

// forkInterval is how long after it told its forks a node is asked again.
func (p *Pool) forkInterval(now time.Time, told forks.Config) time.Duration {
	p.forking.Lock()
	known := slices.Clone(p.activations)
	p.forking.Unlock()
	return forks.Interval(now, append(known, told.Current.Activation, told.Next.Activation, told.Last.Activation))
}

// clockError is how far a consensus client's clock may be ahead of ours: whose payload is from later is wrong about the
// time, and brings no fork about.
const clockError = 5 * time.Second

// ForkTime is the time at which it is looked which fork holds for a payload of a timestamp, in seconds: now, or the
// payload's own where our clock is a little behind.
func ForkTime(timestamp uint64) time.Time {
	now := time.Now()
	if timestamp > uint64(now.Add(clockError).Unix()) {
		return now
	}
	return later(now, time.Unix(int64(timestamp), 0))
}

// Reach notes the timestamp of a payload, in seconds. With the first one of a fork it is judged at once which nodes
// missed it: so that these get no call in which they could object to it.
func (p *Pool) Reach(timestamp uint64) {
	next := p.nextFork.Load()
	if at := ForkTime(timestamp); next > 0 && timestamp >= next && uint64(at.Unix()) >= next {
		p.judgeForks(at)
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// maxActivations is how many forks are remembered: those of one chain, and those that a node on another tells of.
const maxActivations = 32

// judgeForks compares what nodes said of their forks, says what is new of that, and finds the nodes that missed one.
func (p *Pool) judgeForks(now time.Time) {
	p.forking.Lock()
	defer p.forking.Unlock()
	now = later(now, p.reached) // what has begun by a payload's time doesn't end by our clock
	p.reached = now
	report := &ForkReport{At: now}
	var said, mayVote []forks.Said
	for _, n := range p.Nodes() {
		nf, one := n.forksAt(now)
		report.Nodes = append(report.Nodes, nf)
		if nf.foreign {
			continue
		}
		said = append(said, one)
		if !n.setup.Load().DoNotUse {
			mayVote = append(mayVote, one)
		}
		p.remember(one.Config)
	}
	report.Next, _ = forks.Next(said, now)
	p.nextFork.Store(p.earliest(now))
	differences, missed := forks.Compare(said, now), []string(nil)
	if p.ExcludeMissed() {
		missed = forks.Missed(mayVote)
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
		case p.ExcludeMissed() && nf.differsIn("current.forkId"): // the next fork brings it no nearer to the others
			reason = nf.still
		}
		nf.Missed = reason != ""
		nf.Node.shutOut(reason)
	}
	p.forks.Store(report)
	p.sayForks(report)
}

// forksAt is what the node said of its forks, as it holds at a time.
func (n *Node) forksAt(now time.Time) (NodeForks, forks.Said) {
	n.mu.Lock()
	defer n.mu.Unlock()
	config, trouble, still := n.forks.config.At(now, n.forks.since), n.forks.trouble, n.missedFork
	if n.forks.config != n.missedWith {
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
		forks.Said{Node: n.URL(), Client: n.info.Implementation(), Config: config}
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

// differsIn reports whether a node differs from most others in a field.
func (nf *NodeForks) differsIn(field string) bool {
	return slices.ContainsFunc(nf.Differences, func(d forks.Difference) bool { return d.Field == field })
}

// missedReason says why a node that missed a fork is shut out.
func (r *ForkReport) missedReason(nf *NodeForks) string {
	own := nf.Config.Current
	var missed forks.Entry // the first later one that others are at
	for i := range r.Nodes {
		other := r.Nodes[i].Config.Current
		if !r.Nodes[i].foreign && other.Activation > own.Activation &&
			(missed.State != forks.Known || other.Activation < missed.Activation) {
			missed = other
		}
	}
	return fmt.Sprintf("it missed a fork that most clients have, of %s (fork id %s): its present one is of %s "+
		"(fork id %s); --fork-mismatch=exclude shuts it out",
		missed.Date(), missed.ForkID, own.Date(), own.ForkID)
}

// remember keeps the times of forks. p.forking is held.
func (p *Pool) remember(c forks.Config) {
	for _, e := range []forks.Entry{c.Current, c.Next, c.Last} {
		if e.State != forks.Known {
			continue
		}
		p.knowsForks = true
		if e.Activation > 0 && !slices.Contains(p.activations, e.Activation) {
			p.activations = append(p.activations, e.Activation)
			slices.Sort(p.activations)
			p.activations = p.activations[max(0, len(p.activations)-maxActivations):]
		}
	}
}

// earliest returns when the next fork is that any node knows of, in seconds; 0 where none does. p.forking is held.
func (p *Pool) earliest(now time.Time) uint64 {
	for _, activation := range p.activations {
		if activation > uint64(now.Unix()) {
			return activation
		}
	}
	return 0
}

// forkMarks are how long before a fork the log tells who knows of it.
var forkMarks = []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour}

// sayForks logs what is new in a report. p.forking is held.
func (p *Pool) sayForks(r *ForkReport) {
	if slices.ContainsFunc(r.Nodes, func(nf NodeForks) bool { return nf.pending }) {
		return // who differs from most is seen when all have been asked
	}
	for i := range r.Nodes {
		p.sayDifferences(&r.Nodes[i])
	}
	if r.Next.State != forks.Known {
		return
	}
	left := r.Next.Until(r.At)
	if r.Next.Activation != p.announced.fork {
		p.announced.fork, p.announced.left = r.Next.Activation, 1<<63-1
	}
	for _, mark := range slices.Backward(forkMarks) {
		if left <= mark && mark < p.announced.left {
			p.announced.left = mark
			p.announce(r, left)
			return
		}
	}
}

// announced says which fork was announced last, and how long before it at the most.
type announced struct {
	fork uint64
	left time.Duration
}

// announce tells of the next fork, and what each node says of it.
func (p *Pool) announce(r *ForkReport, left time.Duration) {
	level := slog.LevelInfo
	attrs := []any{"fork_id", r.Next.ForkID, "at", r.Next.Date(), "in", left.Round(time.Minute)}
	for i := range r.Nodes {
		nf := &r.Nodes[i]
		knows, known := nf.Knows(r.Next)
		word := "ready"
		switch {
		case !known:
			word = "unknown: " + cmp.Or(nf.Trouble, "it hasn't told its forks")
		case !knows:
			word, level = "NOT READY: "+forks.Instead(nf.Config.Next, r.Next), slog.LevelError
		}
		attrs = append(attrs, slog.String(nf.Node.Name(), cmp.Or(nf.Client, "unknown client")+": "+word))
	}
	p.Log.Log(context.Background(), level, "a fork is near", attrs...)
}

// sayDifferences logs how a node's forks differ from the others', once per change.
func (p *Pool) sayDifferences(nf *NodeForks) {
	n := nf.Node
	if nf.Config == (forks.Config{}) {
		return // nothing is known of it
	}
	var fields, words []string
	for _, d := range nf.Differences {
		fields = append(fields, d.Field)
		words = append(words, inWords(d))
	}
	n.mu.Lock()
	was := n.differed
	c := &nf.Config
	n.differed = difference{strings.Join(fields, " "), c.Current, c.Next, c.Last}
	if len(fields) == 0 {
		n.differed = difference{}
	}
	is := n.differed
	n.mu.Unlock()
	log := n.setup.Load().log
	switch {
	case is == was:
	case is.fields != "":
		log.Error("a node's fork configuration differs from that of the others", "client", nf.Client,
			"difference", strings.Join(words, ". "))
	default:
		log.Info("the node's fork configuration differs no longer", "client", nf.Client)
	}
}

// inWords says what a difference is.
func inWords(d forks.Difference) string { return d.Field + ": " + d.Own + ", the others: " + d.Others }

// difference is how a node's forks differed last; the zero value where they don't.
type difference struct {
	fields              string
	current, next, last forks.Entry
}
