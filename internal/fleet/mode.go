package fleet

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"executionbackup/internal/config"
	"executionbackup/internal/node"
)

// modes say who answers the CL: what the configuration says, unless somebody chose another mode since. Safe for
// concurrent use.
type modes struct {
	choosing sync.Mutex // held while another is chosen
	changed  func()     // is told when that is done; nil: nobody is. It must not choose one itself
	chosen   atomic.Pointer[chosenMode]

	decisions *prometheus.CounterVec

	counting sync.Mutex // guards counts
	counts   []ShadowDecision
}

// ShadowDecision is how many calls in shadow mode were answered in one way where we would have answered in another, or
// in the same.
type ShadowDecision struct {
	Would, Did string
	Calls      uint64
}

// chosenMode is a mode, and who answers alone where it isn't active.
type chosenMode struct {
	config.Mode
	configured config.Mode // what the configuration said when the mode was chosen
	alone      string      // the node's name or URL; "" where none is configured
	node       *node.Node  // that it stood for when the mode was chosen; nil in mode active
}

// observe registers what is shown of the mode.
func (m *modes) observe(r prometheus.Registerer) {
	m.decisions = promauto.With(r).NewCounterVec(prometheus.CounterOpts{
		Namespace: Namespace, Name: "shadow_decisions_total",
		Help: "Calls in shadow mode, by what the consensus client would have heard and what it did hear: a status or " +
			"error; payload, better_payload (worth 1 % more) or no_payload.",
	}, []string{"would", "did"})
	for _, would := range []string{"VALID", "INVALID", "SYNCING", "error"} {
		for _, did := range []string{"VALID", "INVALID", "SYNCING", "error"} {
			m.decisions.WithLabelValues(would, did) // so that the first one is an increase
		}
	}
	for _, would := range []string{"payload", "better_payload", "no_payload"} {
		m.decisions.WithLabelValues(would, "payload")
		m.decisions.WithLabelValues(would, "no_payload")
	}
	for _, mode := range config.Modes() {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: Namespace, Name: "mode", ConstLabels: prometheus.Labels{"mode": string(mode)},
			Help: "1 for what becomes of the consensus client's calls, 0 for the others: active (all nodes are " +
				"asked, and we decide), shadow (one node answers, and what we would have said is counted), " +
				"off (one is asked).",
		}, func() float64 { return one(m.chosen.Load().Mode == mode) }))
	}
}

// Mode returns what becomes of a call: Active, or another mode with the node that alone answers. It is to be read once
// for each call. Between the parts of a reload the node may have another name already, or be removed.
func (f *Fleet) Mode() (config.Mode, *node.Node) {
	m := f.modes.chosen.Load()
	return m.Mode, m.node
}

// settle finds the node that alone answers in the mode. Where there is none, the mode is Active.
func (m *chosenMode) settle(nodes []*node.Node) {
	m.node = nil
	if m.Mode == config.Active {
		return
	}
	i := slices.IndexFunc(nodes, func(n *node.Node) bool { return n.Is(m.alone) })
	if i < 0 {
		m.Mode = config.Active
		return
	}
	m.node = nodes[i]
}

// CountShadow counts a call in shadow mode, by what the CL would have heard and what it did hear.
func (f *Fleet) CountShadow(would, did string) {
	m := &f.modes
	m.decisions.WithLabelValues(would, did).Inc()
	m.counting.Lock()
	defer m.counting.Unlock()
	i := slices.IndexFunc(m.counts, func(d ShadowDecision) bool { return d.Would == would && d.Did == did })
	if i < 0 {
		i, m.counts = len(m.counts), append(m.counts, ShadowDecision{Would: would, Did: did})
	}
	m.counts[i].Calls++
}

// ShadowDecisions returns what CountShadow has counted, in the order in which it came first.
func (f *Fleet) ShadowDecisions() []ShadowDecision {
	f.modes.counting.Lock()
	defer f.modes.counting.Unlock()
	return slices.Clone(f.modes.counts)
}

// ConfiguredMode is what the configuration says: Mode is that, unless somebody has chosen another.
func (f *Fleet) ConfiguredMode() config.Mode { return f.modes.chosen.Load().configured }

// OnMode sets who is told when a mode has been chosen, perhaps the same. It is to be called before the first call.
func (f *Fleet) OnMode(told func()) { f.modes.changed = told }

// SetMode chooses a mode until the configuration says another, also after a restart. It is an error where no node is
// configured that would answer alone, or it is set aside.
func (f *Fleet) SetMode(mode config.Mode) error {
	f.modes.choosing.Lock()
	defer f.modes.choosing.Unlock()
	m := *f.modes.chosen.Load()
	if err := config.CheckShadowNode(mode, m.alone, f.Pool.Specs()); err != nil {
		if m.alone != "" {
			err = fmt.Errorf("--shadow-node: %w", err)
		}
		return err
	}
	was := m.Mode
	m.Mode = mode
	if m.settle(f.Pool.Nodes()); m.node != nil && m.node.Status().Drained {
		return fmt.Errorf("%s is drained, and can't answer for all", m.node.Name())
	}
	f.modes.chosen.Store(&m)
	f.tellMode(was)
	return nil
}

// useMode takes in what the configuration says. What somebody chose stands as long as that is the same mode as before,
// and a node is configured that answers alone.
func (f *Fleet) useMode(configured config.Mode, alone string) {
	f.modes.choosing.Lock()
	defer f.modes.choosing.Unlock()
	if configured == "" {
		configured = config.Active
	}
	m := chosenMode{Mode: configured, configured: configured, alone: alone}
	was := config.Active
	if before := f.modes.chosen.Load(); before != nil {
		was = before.Mode
		if before.configured == configured {
			m.Mode = before.Mode
		}
	}
	m.settle(f.Pool.Nodes())
	f.modes.chosen.Store(&m)
	f.tellMode(was)
}

// restoreMode is useMode for what somebody chose in another process.
func (f *Fleet) restoreMode(was modeValue) {
	if f.modes.chosen.Load().configured != was.Configured {
		return
	}
	if err := f.SetMode(was.Mode); err != nil {
		f.Log.Warn("the mode of an earlier run is not kept", "mode", was.Mode, "reason", err)
	}
}

// tellMode logs the mode, where it was another one before, and tells that one has been chosen.
func (f *Fleet) tellMode(was config.Mode) {
	if f.modes.changed != nil {
		defer f.modes.changed()
	}
	m := f.modes.chosen.Load()
	switch {
	case m.Mode == was:
	case m.Mode == config.Active:
		f.Log.Info("mode active: all nodes are asked, and we decide", "was", was)
	case m.Mode == config.Shadow:
		f.Log.Warn("mode shadow: one node alone answers the consensus client, which is protected from nothing",
			"node", m.alone, "was", was)
	default:
		f.Log.Warn("mode off: one node alone is asked, and the consensus client is protected from nothing",
			"node", m.alone, "was", was)
	}
}

// RemoveNodes removes the nodes that the words (URL or name) stand for, all or none. The one that alone answers stays.
func (f *Fleet) RemoveNodes(words []string) error {
	f.modes.choosing.Lock() // lest a node be chosen to answer alone meanwhile
	defer f.modes.choosing.Unlock()
	if err := f.keepsAlone(words, "removed"); err != nil {
		return err
	}
	return f.Pool.Remove(words)
}

// DrainNodes sets nodes aside, or takes them back, all or none. The one that alone answers isn't set aside: whoever
// drains a node is about to stop it.
func (f *Fleet) DrainNodes(words []string, drained bool) error {
	f.modes.choosing.Lock()
	defer f.modes.choosing.Unlock()
	if drained {
		if err := f.keepsAlone(words, "drained"); err != nil {
			return err
		}
	}
	return f.Pool.Drain(words, drained)
}

// keepsAlone returns an error where the words stand for the node that alone answers, among others.
func (f *Fleet) keepsAlone(words []string, done string) error {
	mode, alone := f.Mode()
	if alone == nil {
		return nil
	}
	if slices.ContainsFunc(words, alone.Is) {
		return fmt.Errorf("%s can't be %s: in mode %s it alone answers the consensus client", alone.Name(), done, mode)
	}
	return nil
}
