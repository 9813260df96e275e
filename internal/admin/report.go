package admin

import (
	"cmp"
	"math"
	"slices"
	"time"

	"executionbackup/internal/health"
	"executionbackup/internal/node"
)

// Report is the original's MetricsReport: nodes by URL, as they were given; times in microseconds.
type Report struct {
	ResponseTimes map[string]int64 `json:"response_times"`
	AliveNodes    []string         `json:"alive_nodes"`
	SyncingNodes  []string         `json:"syncing_nodes"`
	DeadNodes     []string         `json:"dead_nodes"`
	PrimaryNode   string           `json:"primary_node"`
}

// recheckReport is the original's answer to GET /recheck.
type recheckReport struct {
	Report
	RecheckTime int64 `json:"recheck_time"` // microseconds
}

// silence is how long a node may answer neither call nor probe before it is reported dead: monitors look there. It gets
// every call all the same.
const silence = 10 * time.Second

// report reports how the nodes are now, with the original's three lists: a do-not-use node is no better than syncing
// there, and the fastest alive one comes first. Where no node can be reached, the primary is the one that is asked
// first all the same.
func (a *API) report() Report {
	r := Report{
		ResponseTimes: map[string]int64{}, AliveNodes: []string{}, SyncingNodes: []string{}, DeadNodes: []string{},
	}
	roll, now := a.Fleet.Pool.Roll(), time.Now()
	slices.SortStableFunc(roll, func(a, b node.Present) int { return cmp.Compare(speed(&a.Now), speed(&b.Now)) })
	for _, n := range roll {
		url := n.Node.Given()
		list := &r.SyncingNodes // not probed yet counts as reachable, and nothing more
		switch {
		case n.Now.State == health.Dead || now.Sub(n.Now.Answered) >= silence:
			list = &r.DeadNodes
		case n.Now.State == health.Alive && !n.Now.DoNotUse:
			list = &r.AliveNodes
		}
		*list = append(*list, url)
		if list != &r.DeadNodes && n.Now.ResponseTime > 0 {
			r.ResponseTimes[url] = microseconds(n.Now.ResponseTime)
		}
	}
	if serving := a.Fleet.Pool.Serving(); len(serving) > 0 {
		r.PrimaryNode = serving[0].Given()
	}
	return r
}

// speed orders alive nodes: how long one takes to answer a probe. One that hasn't yet, and others, come last, in the
// order in which they were configured.
func speed(s *node.Status) time.Duration {
	if s.State != health.Alive || s.ResponseTime == 0 {
		return math.MaxInt64
	}
	return s.ResponseTime
}
