package node

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"executionbackup/internal/health"
	"executionbackup/internal/identity"
)

// on puts a node on a chain, named by a letter; "-" is one that it hasn't told.
func (n *Node) on(chain string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.info = (identity.Info{}); chain != "-" {
		n.info = identity.Info{ChainID: "0x" + chain, Genesis: "0xgenesis" + chain}
	}
}

// Which nodes are shut out, by the chains that they are on, one letter each, and by who has said VALID to a live call.
func TestChains(t *testing.T) {
	for _, test := range []struct {
		chains, follows string
		want            string // x shut out
		tie             string
	}{
		{"aaa", "", "...", ""},
		{"aab", "", "..x", ""},
		{"baa", "", "x..", ""},
		{"a", "", ".", ""},
		{"-", "", ".", ""},
		{"a-b", "", "...",
			"a tie of chains: chain id 0xa, genesis 0xgenesisa (n1) against chain id 0xb, genesis 0xgenesisb (n3)"},
		{"ab", "", "..", "(n1) against chain id 0xb"},
		{"baab", "", "....", "a tie of chains: chain id 0xb, genesis 0xgenesisb (n1, n4) " +
			"against chain id 0xa, genesis 0xgenesisa (n2, n3)"},
		{"baabc", "", ".....", "against"}, // nor is c, which is not even one side of it
		{"ba", ".f", "x.", ""},
		{"bba", "..f", "xx.", ""},
		{"bbaa", "f.f.", "....", "against"},
		{"bbba", "f..f", "....", "against"}, // those who follow are equal in number
		{"-a", "f.", "..", ""},
	} {
		p := pooled(t, len(test.chains))
		for i, n := range p.Nodes() {
			n.become("fast")
			n.on(test.chains[i : i+1])
			if test.follows != "" && test.follows[i] == 'f' {
				n.Followed()
			}
		}
		p.judgeChains()
		got := ""
		for i, n := range p.Nodes() {
			s := n.Status()
			if s.WrongChain != strings.HasPrefix(s.Reason, "wrong chain: chain id 0x"+test.chains[i:i+1]) ||
				s.WrongChain != (s.State == health.Dead) {
				t.Errorf("%s: n%d is %s: %s", test.chains, i+1, s.State, s.Reason)
			}
			if (test.tie != "") != strings.Contains(s.Reason, "tie") || !strings.Contains(s.Reason, test.tie) {
				t.Errorf("%s, %s: n%d: %q, want %q", test.chains, test.follows, i+1, s.Reason, test.tie)
			}
			got += map[bool]string{true: "x", false: "."}[s.WrongChain]
		}
		if got != test.want {
			t.Errorf("%s, %s: got %s, want %s", test.chains, test.follows, got, test.want)
		}
	}
}

// A tie ends with the first VALID to a live call, at once, and is logged once.
func TestChainTieEnds(t *testing.T) {
	var logged bytes.Buffer
	p := pooled(t, 2)
	p.Log = slog.New(slog.NewTextHandler(&logged, nil))
	n := p.Nodes()
	n[0].on("b")
	n[1].on("a")
	p.judgeChains()
	p.judgeChains()
	if got := strings.Count(logged.String(), "level=ERROR"); got != 1 {
		t.Errorf("%d errors are logged: %s", got, logged.String())
	}
	n[1].Followed()
	if s := n[0].Status(); !s.WrongChain || s.Reachable() {
		t.Errorf("n1 is %s: %s", s.State, s.Reason)
	}
	if s := n[1].Status(); s.State != health.Alive || s.Reason != "" {
		t.Errorf("n2 is %s: %s", s.State, s.Reason)
	}
	// It has followed that chain, whatever it says now.
	n[1].on("b")
	p.judgeChains()
	if s := n[0].Status(); s.WrongChain {
		t.Errorf("n1, which is on the only chain that there is, is %s: %s", s.State, s.Reason)
	}
}

// What is set aside doesn't shut out the only voter before it has followed anything.
func TestChainOfTheOnlyVoter(t *testing.T) {
	p := pooled(t, 3)
	n := p.Nodes()
	for i, id := range []string{"0x1", "0x5", "0x5"} {
		n[i].info.ChainID, n[i].info.Genesis = id, "0xaa"
		n[i].become("fast")
	}
	if err := p.Drain([]string{"n2", "n3"}, true); err != nil {
		t.Fatal(err)
	}
	p.judgeChains()
	if n[0].Status().WrongChain || !n[1].Status().WrongChain {
		t.Errorf("n1: %s; n2: %s", n[0].Status().Reason, n[1].Status().Reason)
	}
}
