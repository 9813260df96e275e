package main

import (
	"errors"
	"fmt"

	"executionbackup/internal/geth"
)

// node is a geth behind its gate. Only one goroutine may call its methods.
type node struct {
	name   string
	gate   *gate
	config geth.Config
	geth   *geth.Node // nil while it is stopped
}

// start starts the node, or starts it again out of its data directory.
func (n *node) start() (err error) {
	if n.geth, err = geth.Start(n.config); err != nil {
		return fmt.Errorf("%s: %w", n.name, err)
	}
	n.gate.lead(n.geth.AuthURL())
	return nil
}

// switchTo makes the node behave in another way and returns when it does.
func (n *node) switchTo(m mode) error {
	if n.geth == nil && m != stopped {
		if err := n.start(); err != nil {
			return err
		}
	}
	if err := n.gate.set(m); err != nil {
		return err
	}
	if n.geth == nil || m != stopped {
		return nil
	}
	running := n.geth
	n.geth = nil
	// Not Kill: a geth that has so little to do writes no state to its disk by itself, and would come back at its first
	// blocks, which after some minutes are further back than payloads are kept.
	if err := running.Stop(); err != nil {
		return fmt.Errorf("stop %s: %w", n.name, err)
	}
	return nil
}

// stop ends the node in peace.
func (n *node) stop() error {
	err := n.gate.set(stopped)
	if n.geth == nil {
		return err
	}
	return errors.Join(err, n.geth.Stop())
}
