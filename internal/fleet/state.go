package fleet

import (
	"executionbackup/internal/memory"
	"executionbackup/internal/quorum"
	"executionbackup/internal/session"
)

// State is what outlives a process. This file is the one place that takes it from its owners and gives it back to them;
// how it is kept is neither their business nor the fleet's.
type State struct {
	Memory       memory.State
	Chain        session.ChainState // of the controller
	Builds       []session.Build
	Capabilities []byte // raw: what the CL said last in exchangeCapabilities
	Drained      []quorum.NodeID
}

// State returns what is to be kept now.
func (f *Fleet) State() State {
	return State{
		Memory: f.Memory.Records(), Chain: f.Controller.Chain.State(), Builds: f.Controller.Builds.All(),
		Capabilities: f.Controller.Capabilities.Said(), Drained: f.Pool.Drained(),
	}
}

// Restore takes in what another process kept. It is to be called before the pool is started and before the first call.
func (f *Fleet) Restore(s State) {
	f.Memory.Restore(s.Memory)
	f.Controller.Chain.Restore(s.Chain)
	f.Controller.Builds.Restore(s.Builds)
	if s.Capabilities != nil {
		f.Controller.Capabilities.Say(s.Capabilities)
	}
	f.Pool.RestoreDrained(s.Drained)
}
