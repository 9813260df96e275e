package admin

import "executionbackup/internal/health"

// Report is the original's MetricsReport: nodes by URL, times in microseconds.
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

// report reports how the nodes are now.
func (a *API) report() Report {
	r := Report{
		ResponseTimes: map[string]int64{}, AliveNodes: []string{}, SyncingNodes: []string{}, DeadNodes: []string{},
	}
	for _, n := range a.Fleet.Pool.Nodes() {
		s := n.Status()
		switch s.State {
		case health.Alive:
			r.AliveNodes = append(r.AliveNodes, n.URL())
		case health.Dead:
			r.DeadNodes = append(r.DeadNodes, n.URL())
		default: // not probed yet counts as reachable, and nothing more
			r.SyncingNodes = append(r.SyncingNodes, n.URL())
		}
		if s.ResponseTime > 0 {
			r.ResponseTimes[n.URL()] = microseconds(s.ResponseTime)
		}
	}
	if primary := a.Fleet.Pool.Primary(); primary != nil {
		r.PrimaryNode = primary.URL()
	}
	return r
}
