//go:build e2e

package live

import (
	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
)

// scenario is a story that is told on a running chain.
type scenario struct {
	name     string
	about    string
	short    bool // part of the short form, too
	halts    bool // slots are missed, rightly
	spotless bool // no slot may be missed, whatever the baseline missed
	quick    bool // a crash and a return, which cost the consensus client no grace
	amid     bool // it begins amid a dispute: not every node says VALID
	play     func(r *run)
}

// terminate ends a node as an operator does.
func (r *run) terminate(n *node) {
	r.t.Helper()
	if err := n.Terminate(); err != nil {
		r.fail("%s: %v", n.name, err)
	}
}

// proxy starts a proxy before a node. Who calls the node must be told.
func (r *run) proxy(v *victim) {
	v.proxy = enginetest.Proxy(r.t, v.url(), r.secret[:])
	v.via = v.proxy.URL
}

// cable puts a node into a network of its own. Who calls the node must be told.
func (r *run) cable(v *victim) {
	r.t.Helper()
	v.cable = newCable(r.t)
	if v.cable.refused != "" {
		r.note("%s", v.cable.refused)
	}
	r.terminate(v.node)
	v.host, v.enter = v.cable.far, v.cable.enter()
	v.start()
}

// divert puts a proxy before a node until the scenario is over.
func (r *run) divert(v *victim) {
	r.t.Helper()
	r.proxy(v)
	r.reload()
	r.t.Cleanup(func() {
		v.via = ""
		r.reload()
	})
	r.settle()
}

// move puts a node into a network of its own until the scenario is over.
func (r *run) move(v *victim) {
	r.t.Helper()
	home := v.host
	r.cable(v)
	r.reload()
	r.t.Cleanup(func() {
		r.terminate(v.node)
		v.host, v.enter = home, nil
		v.start()
		r.reload()
	})
	r.settle()
}

// leave removes a node from ExecutionBackup's configuration until the scenario is over.
func (r *run) leave(n *node) {
	r.t.Helper()
	n.left = true
	r.reload()
	r.t.Cleanup(func() {
		n.left = false
		r.reload()
	})
}

// introduce makes another geth the peer of one, if there is another.
func (r *run) introduce(n *node) {
	r.t.Helper()
	apptest.Until(r.t, n.name+" listens", n.listens)
	r.back(n.name)
	for _, other := range r.nodes {
		if other != n && other.kind == "geth" {
			apptest.Until(r.t, n.name+" has a peer", func() bool { return n.meet(other) == nil })
		}
	}
}
