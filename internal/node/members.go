package node

import (
	"fmt"
	"slices"
	"strings"

	"executionbackup/internal/config"
	"executionbackup/internal/health"
	"executionbackup/internal/identity"
	"executionbackup/internal/quorum"
)

// Add adds nodes at the end, all or none.
func (p *Pool) Add(specs []config.Node) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	nodes := slices.Clone(p.Nodes())
	for _, spec := range specs {
		for _, n := range nodes {
			if n.Name() == spec.Name || n.URL() == spec.Display() {
				return fmt.Errorf("node %s is there already", spec.Display())
			}
		}
		nodes = append(nodes, p.newNode(spec))
	}
	p.replace(nodes)
	return nil
}

// Remove removes the nodes that the words (URL or name) stand for, all or none.
func (p *Pool) Remove(words []string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	gone, err := p.find(words)
	if err != nil {
		return err
	}
	if err := p.Roll().keepsVoter(gone, "removed"); err != nil {
		return err
	}
	p.replace(slices.DeleteFunc(slices.Clone(p.Nodes()), func(n *Node) bool { return slices.Contains(gone, n) }))
	return nil
}

// Drain sets nodes aside or takes them back, all or none. A drained node gets every call and never votes.
func (p *Pool) Drain(words []string, drained bool) error {
	if err := p.setDrained(words, drained); err != nil {
		return err
	}
	p.nodeChanged()
	return nil
}

// setDrained is Drain before anybody hears of it.
func (p *Pool) setDrained(words []string, drained bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	nodes, err := p.find(words)
	if err != nil {
		return err
	}
	if drained {
		if err := p.Roll().keepsVoter(nodes, "drained"); err != nil {
			return err
		}
	}
	what := "node undrained"
	if drained {
		what = "node drained"
	}
	for _, n := range nodes {
		n.setDrained(drained)
		p.Log.Info(what, "node", n.Name())
	}
	return nil
}

// Drained returns the nodes that are set aside.
func (p *Pool) Drained() (ids []quorum.NodeID) {
	for _, n := range p.Roll().those(func(_ *Node, s *Status) bool { return s.Drained }) {
		ids = append(ids, n.ID)
	}
	return ids
}

// RestoreDrained sets nodes aside that were set aside in another process, as far as they are there; none where nobody
// would be left who may vote, because other nodes are configured now.
func (p *Pool) RestoreDrained(ids []quorum.NodeID) {
	drained := p.Roll().those(func(n *Node, _ *Status) bool { return slices.Contains(ids, n.ID) })
	if len(drained) == 0 {
		return
	}
	if err := p.Roll().keepsVoter(drained, "drained"); err != nil {
		p.Log.Warn("drains of an earlier run are not kept", "reason", err)
		return
	}
	for _, n := range drained {
		n.setDrained(true)
	}
	p.Elect()
}

// RestoreAlive notes that nodes followed in another process a moment ago, as far as they are there: that still stands
// against what they say of themselves. It is to be called before Start.
func (p *Pool) RestoreAlive(ids []quorum.NodeID) {
	for _, n := range p.Nodes() {
		if slices.Contains(ids, n.ID) {
			n.update((*health.Health).Followed)
		}
	}
}

// Told returns what the nodes have told of who they are.
func (p *Pool) Told() map[quorum.NodeID]identity.Info {
	told := make(map[quorum.NodeID]identity.Info)
	for _, n := range p.Nodes() {
		told[n.ID] = n.Status().Info
	}
	return told
}

// RestoreTold notes what nodes told in another process of their clients and methods, as far as they are there. It is to
// be called before Start.
func (p *Pool) RestoreTold(told map[quorum.NodeID]identity.Info) {
	for _, n := range p.Nodes() {
		n.mu.Lock()
		info := told[n.ID]
		n.info.Client, n.info.Clients, n.info.Capabilities = info.Client, info.Clients, info.Capabilities
		n.mu.Unlock()
	}
}

// ClearObjections takes back what the nodes object to that the words (URL or name) stand for; all nodes where there are
// no words.
func (p *Pool) ClearObjections(words []string) error {
	nodes := p.Nodes()
	if len(words) > 0 {
		var err error
		if nodes, err = p.find(words); err != nil {
			return err
		}
	}
	for _, n := range nodes {
		p.Log.Info("objections cleared", "node", n.Name(), "blocks", p.Memory.Objections(n.ID))
		p.Memory.Clear(n.ID)
	}
	p.Elect()
	return nil
}

// find returns the nodes that URLs or names stand for.
func (p *Pool) find(words []string) ([]*Node, error) {
	var found []*Node
	for _, w := range words {
		i := slices.IndexFunc(p.Nodes(), func(n *Node) bool { return n.Is(w) })
		if i < 0 {
			return nil, fmt.Errorf("node %q is not known", w)
		}
		found = append(found, p.Nodes()[i])
	}
	return found, nil
}

// Reload makes the specifications the set of nodes. A node is its URL as shown: a node that is there already keeps its
// health, its connections, its words, its lane and its builds, whatever else is new about it.
func (p *Pool) Reload(specs []config.Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	nodes := make([]*Node, len(specs))
	for i, spec := range specs {
		j := slices.IndexFunc(p.Nodes(), func(n *Node) bool { return n.URL() == spec.Display() })
		if j < 0 {
			nodes[i] = p.newNode(spec)
			continue
		}
		nodes[i] = p.Nodes()[j]
		p.change(nodes[i], spec)
	}
	p.replace(nodes)
}

// Spec is how the node is configured now.
func (n *Node) Spec() config.Node { return n.setup.Load().Node }

// Specs are the specifications of all nodes, as they are configured now.
func (p *Pool) Specs() (specs []config.Node) {
	for _, n := range p.Nodes() {
		specs = append(specs, n.Spec())
	}
	return specs
}

// change puts another specification in the place of a node's. p.mu is held.
func (p *Pool) change(n *Node, spec config.Node) {
	old := n.setup.Load()
	if sameSpec(old.Node, spec) {
		n.client.Use(spec.URL, spec.Secret, spec.CAs) // the authorities' file may have changed
		return
	}
	n.counting.Lock()
	if spec.Name != old.Name {
		p.Metrics.forget(old.Name)
		if p.events.Renamed != nil {
			p.events.Renamed(old.Name)
		}
	}
	n.setup.Store(p.newSetup(spec))
	n.client.Use(spec.URL, spec.Secret, spec.CAs)
	n.counting.Unlock()
	if spec.DoNotUse {
		p.Memory.Silence(n.ID)
	}
	p.Log.Info("node changed", "node", spec.Name, "was", old.Name, "url", n.URL())
}

// replace makes nodes the set. p.mu is held.
func (p *Pool) replace(nodes []*Node) {
	old := p.Nodes()
	p.members.Store(&nodes)
	for _, n := range old {
		if slices.Contains(nodes, n) {
			continue
		}
		p.Log.Info("node removed", "node", n.Name())
		if stop := p.stops[n]; stop != nil {
			stop()
		}
		delete(p.stops, n)
		delete(p.probed, n)
		p.Memory.Forget(n.ID)
		n.counting.Lock()
		n.removed = true
		n.counting.Unlock()
		p.Metrics.forget(n.Name())
		if p.events.Removed != nil {
			p.events.Removed(n)
		}
		n.close()
	}
	for _, n := range nodes {
		if !slices.Contains(old, n) {
			p.Log.Info("node added", "node", n.Name(), "url", n.URL())
			p.watch(n)
		}
	}
	p.wake()
	p.Elect()
}

// sameSpec reports whether a node needs no change to be what the specification says.
func sameSpec(a, b config.Node) bool {
	return a.URL.String() == b.URL.String() && a.Name == b.Name && a.Secret == b.Secret && a.Timeout == b.Timeout &&
		a.DoNotUse == b.DoNotUse && a.Shadow == b.Shadow && a.Backup == b.Backup
}

// Is reports whether a word (URL or name) stands for the node.
func (n *Node) Is(word string) bool { return n.Name() == word || sameURL(n.URL(), word) }

// sameURL compares addresses without regard to slashes at the end.
func sameURL(a, b string) bool { return strings.TrimRight(a, "/") == strings.TrimRight(b, "/") }
