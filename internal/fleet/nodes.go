package fleet

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"executionbackup/internal/health"
	"executionbackup/internal/identity"
	"executionbackup/internal/node"
)

// nodeMetrics tells Prometheus how each node is at the moment it asks.
type nodeMetrics struct{ fleet *Fleet }

// nodeDesc describes a metric of each node.
func nodeDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("executionbackup_node_"+name, help, append([]string{"node"}, labels...), nil)
}

var (
	stateDesc = nodeDesc("state",
		"1 for the state that a node is in, 0 for the others: unknown, alive, syncing, dead.", "state")
	sinceDesc = nodeDesc("state_since_timestamp_seconds", "Since when a node is in its state.")
	headDesc  = nodeDesc("head", "Number of the block that a node says is its latest; absent until it has said.")
	roleDesc  = nodeDesc("role",
		"Always 1; what a node's specification makes it: voter, backup, shadow or do-not-use.", "role")
	drainedDesc     = nodeDesc("drained", "1 where the operator has set a node aside: it has no vote.")
	voterDesc       = nodeDesc("voter", "1 where a node is alive and votes: a backup only where it is needed.")
	restsDesc       = nodeDesc("resting", "1 where a node is a backup that isn't needed: another is alive and timely.")
	primaryDesc     = nodeDesc("primary", "1 for the node that answers what one node can answer.")
	laggardDesc     = nodeDesc("laggard", "1 where nobody waits for a node's answers.")
	responseDesc    = nodeDesc("response_time_seconds", "Median time that a node took over the last probes.")
	laneCallsDesc   = nodeDesc("lane_calls", "Calls in a node's lane: waiting, or being answered.")
	laneBytesDesc   = nodeDesc("lane_bytes", "Size of the calls that wait in a node's lane.")
	laneDroppedDesc = nodeDesc("lane_dropped_total", "Calls left to catching up because a node's lane was full.")
	objectionsDesc  = nodeDesc("objections", "Blocks that a node stands by an INVALID on.")
	mayObjectDesc   = nodeDesc("may_object",
		"1 where a node has followed since its last break, so that its new INVALIDs count.")
	lacksMethodsDesc = nodeDesc("lacking_methods",
		"Engine methods that other nodes have and a node lacks, as far as they were asked.")
	infoDesc = nodeDesc("info",
		"Always 1; its labels say where a node is and which client it runs.", "url", "client", "version")
)

// Methods is the union of the engine methods that the nodes have shown to have in this run.
func (f *Fleet) Methods() []string {
	var infos []identity.Info
	for _, n := range f.Pool.Nodes() {
		infos = append(infos, n.Status().Info)
	}
	return identity.Methods(infos)
}

// Describe implements prometheus.Collector.
func (c nodeMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		stateDesc, sinceDesc, headDesc, roleDesc, drainedDesc, voterDesc, restsDesc, primaryDesc, laggardDesc,
		responseDesc,
		laneCallsDesc, laneBytesDesc, laneDroppedDesc, objectionsDesc, mayObjectDesc, lacksMethodsDesc, infoDesc,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c nodeMetrics) Collect(ch chan<- prometheus.Metric) {
	primary, union := c.fleet.Pool.Primary(), c.fleet.Methods()
	voters, resting := c.fleet.Pool.Voters(), c.fleet.Pool.Resting()
	for _, n := range c.fleet.Pool.Nodes() {
		s := n.Status()
		gauge := func(d *prometheus.Desc, value float64, labels ...string) {
			labels = append([]string{n.Name()}, labels...)
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
		}
		for _, state := range []health.State{health.Unknown, health.Alive, health.Syncing, health.Dead} {
			gauge(stateDesc, one(s.State == state), state.String())
		}
		gauge(sinceDesc, float64(s.Since.UnixMilli())/1000)
		if head := n.Head(); head != (node.Head{}) {
			gauge(headDesc, float64(head.Number))
		}
		gauge(roleDesc, 1, role(&s))
		gauge(drainedDesc, one(s.Drained))
		gauge(voterDesc, one(s.State == health.Alive && slices.Contains(voters, n)))
		gauge(restsDesc, one(slices.Contains(resting, n)))
		gauge(primaryDesc, one(n == primary))
		gauge(laggardDesc, one(s.Laggard))
		gauge(responseDesc, s.ResponseTime.Seconds())
		gauge(laneCallsDesc, float64(s.LaneCalls))
		gauge(laneBytesDesc, float64(s.LaneBytes))
		ch <- prometheus.MustNewConstMetric(laneDroppedDesc, prometheus.CounterValue, float64(s.LaneDropped), n.Name())
		gauge(objectionsDesc, float64(c.fleet.Memory.Objections(n.ID)))
		gauge(mayObjectDesc, one(c.fleet.Memory.Qualified(n.ID)))
		gauge(lacksMethodsDesc, float64(len(s.Info.Lacks(union))))
		client := s.Info.Identity()
		gauge(infoDesc, 1, n.URL(), label(client.Name), label(client.Version))
	}
}

// role is what a node's specification makes it.
func role(s *node.Status) string {
	switch {
	case s.Shadow:
		return "shadow"
	case s.DoNotUse:
		return "do-not-use"
	case s.Backup:
		return "backup"
	}
	return "voter"
}

// one is 1 for true, and 0 for false.
func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// maxLabel bounds what a node says of itself in a label, in bytes.
const maxLabel = 64

// label is a text that a node said of itself, fit for a label.
func label(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxLabel)], "") }
