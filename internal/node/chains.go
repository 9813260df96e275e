package node

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"executionbackup/internal/health"
	"executionbackup/internal/identity"
)

// Home returns the chain that we follow, as far as the nodes have told up to their last probes; in a tie the chains
// that it may be, in the nodes' order. The slice is not to be changed.
func (p *Pool) Home() []identity.Chain {
	if home := p.home.Load(); home != nil {
		return *home
	}
	return nil
}

// judgeChains finds the nodes that are on another chain than the one we follow: they get no calls. In a tie nobody
// knows which chain that is, so no node is shut out, and the log and every node's reason say so.
func (p *Pool) judgeChains() {
	p.judging.Lock()
	defer p.judging.Unlock()
	nodes := p.Nodes()
	home := p.homes(nodes)
	p.home.Store(&home)
	tie := ""
	if len(home) > 1 {
		tie = "a tie of chains: " + strings.Join(sides(nodes, home), " against ") +
			"; none is shut out until it is known which is right"
	}
	p.noteTie(tie)
	for _, n := range nodes {
		c, known := n.chain()
		reason := ""
		if known && len(home) == 1 && c != home[0] {
			reason = fmt.Sprintf("wrong chain: %s; the others have %s", c, home[0])
		}
		n.mu.Lock()
		n.otherChain, n.tie = reason, tie
		n.mu.Unlock()
		n.becomeForeign()
	}
}

// becomeForeign has the node's health know why it gets no calls though it may answer, or that it does get them.
func (n *Node) becomeForeign() {
	n.update(func(h *health.Health) { h.Foreign(cmp.Or(n.otherChain, n.missedFork)) })
}

// noteTie keeps what is said of a tie, and logs where that is new. p.judging is held.
func (p *Pool) noteTie(tie string) {
	if tie == p.tie {
		return
	}
	if p.tie = tie; tie != "" {
		p.Log.Error("nodes are on different chains, and we can't tell which is right", "reason", tie)
	} else {
		p.Log.Info("no longer a tie of chains")
	}
}

// RestoreHome notes the chain that nodes followed in another process. It is ours as long as no node follows another,
// and not all that may vote and have told are on others.
func (p *Pool) RestoreHome(c identity.Chain) { p.followed.Store(&c) }

// Followed returns the chain that nodes follow, or did in another process; false where there is none.
func (p *Pool) Followed() (c identity.Chain, known bool) {
	if followed := p.followed.Load(); followed != nil {
		return *followed, true
	}
	return c, false
}

// homes returns the chain of the nodes that have followed it; where none has, the one that was followed before our
// restart, if a node is on it, or hasn't been asked yet; else that of the majority. One that is down for long must not
// shut out all others. In a tie there are several, in the nodes' order.
func (p *Pool) homes(nodes []*Node) []identity.Chain {
	count := make(map[identity.Chain]int)
	// Nodes that are set aside must not shut out the only voter before its first VALID.
	setAside := func(n *Node) bool { s := n.Status(); return !s.MayVote() }
	if voters := slices.DeleteFunc(slices.Clone(nodes), setAside); len(voters) > 0 {
		nodes = voters
	}
	anyFollows := slices.ContainsFunc(nodes, func(n *Node) bool { return n.follows() })
	if before, known := p.Followed(); known && !anyFollows && slices.ContainsFunc(nodes, func(n *Node) bool {
		c, told := n.chain()
		return !told && !p.IsReady() || c == before
	}) {
		return []identity.Chain{before}
	}
	var home []identity.Chain
	most := 0
	for _, n := range nodes {
		if c, known := n.chain(); known && n.follows() == anyFollows {
			if count[c]++; count[c] > most {
				most = count[c]
			}
		}
	}
	for _, n := range nodes {
		if c, _ := n.chain(); count[c] == most && most > 0 && !slices.Contains(home, c) {
			home = append(home, c)
		}
	}
	if anyFollows && len(home) == 1 {
		p.followed.Store(&home[0])
	}
	return home
}

// sides says who is on which chain.
func sides(nodes []*Node, chains []identity.Chain) []string {
	var list []string
	for _, c := range chains {
		var names []string
		for _, n := range nodes {
			if own, known := n.chain(); known && own == c {
				names = append(names, n.Name())
			}
		}
		list = append(list, fmt.Sprintf("%s (%s)", c, strings.Join(names, ", ")))
	}
	return list
}

// chain is Info.Chain of what the node has told last.
func (n *Node) chain() (c identity.Chain, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.info.Chain()
}

// follows reports whether the node has said VALID to a live call while it was on the chain that it is on now.
func (n *Node) follows() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	on, known := n.info.Chain()
	return known && n.provedOn == on
}

// proveChain notes that the node said VALID to a live call: the CL is on its chain.
func (n *Node) proveChain() {
	n.mu.Lock()
	on, known := n.info.Chain()
	proved := known && on != n.provedOn
	if proved {
		n.provedOn = on
	}
	n.mu.Unlock()
	if proved {
		n.pool.judgeChains()
	}
}
