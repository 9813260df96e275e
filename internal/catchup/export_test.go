package catchup

import (
	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/engine"
	"executionbackup/internal/node"
	"executionbackup/internal/quorum"
)

// Deaths returns how often a node died under a payload.
func (c *CatchUp) Deaths(id quorum.NodeID, block common.Hash) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.patient(id).deaths[block]; d != nil {
		return d.n
	}
	return 0
}

// Withholds reports whether a way over these payloads isn't fed to a node, because it has died under one too often.
func (c *CatchUp) Withholds(n *node.Node, way ...common.Hash) bool {
	var steps []step
	for _, block := range way {
		steps = append(steps, step{Call: &engine.Call{Block: block}})
	}
	_, err := c.harmless(n, steps)
	return err != nil
}
