package catchup

import (
	"github.com/ethereum/go-ethereum/common"

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
