package admin

import (
	"net/http"
	"time"

	"executionbackup/internal/health"
	"executionbackup/internal/node"
)

// report is the original's MetricsReport: nodes by URL, times in microseconds.
type report struct {
	ResponseTimes map[string]int64 `json:"response_times"`
	AliveNodes    []string         `json:"alive_nodes"`
	SyncingNodes  []string         `json:"syncing_nodes"`
	DeadNodes     []string         `json:"dead_nodes"`
	PrimaryNode   string           `json:"primary_node"`
}

type recheckReport struct {
	report
	RecheckTime int64 `json:"recheck_time"`
}

func (a *API) report() report {
	r := report{ResponseTimes: map[string]int64{}, AliveNodes: []string{}, SyncingNodes: []string{}, DeadNodes: []string{}}
	for _, n := range a.Pool.Nodes() {
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
	if primary := a.Pool.Primary(); primary != nil {
		r.PrimaryNode = primary.URL()
	}
	return r
}

// nodeReport is all that we know of a node.
type nodeReport struct {
	Name         string               `json:"name"`
	URL          string               `json:"url"`
	State        string               `json:"state"`
	Since        time.Time            `json:"since"`
	Reason       string               `json:"reason,omitempty"` // why it isn't alive
	Primary      bool                 `json:"primary"`
	Laggard      bool                 `json:"laggard"`
	DoNotUse     bool                 `json:"do_not_use"`
	Drained      bool                 `json:"drained"`
	Qualified    bool                 `json:"qualified"`     // its new objections count
	Objections   int                  `json:"objections"`    // blocks that it stands by an INVALID on
	ResponseTime int64                `json:"response_time"` // microseconds, median of the last probes
	ClientName   string               `json:"client"`        // web3_clientVersion
	Versions     []node.ClientVersion `json:"client_versions,omitempty"`
	ChainID      string               `json:"chain_id,omitempty"`
	Genesis      string               `json:"genesis,omitempty"`
	LastError    string               `json:"last_error,omitempty"`
	LaneCalls    int                  `json:"lane_calls"`
	LaneBytes    int64                `json:"lane_bytes"`
	LaneDropped  uint64               `json:"lane_dropped"`
}

func (a *API) nodes(w http.ResponseWriter, _ *http.Request) {
	primary := a.Pool.Primary()
	reports := []nodeReport{}
	for _, n := range a.Pool.Nodes() {
		s := n.Status()
		reports = append(reports, nodeReport{
			Name: n.Name(), URL: n.URL(),
			State: s.State.String(), Since: s.Since, Reason: s.Reason,
			Primary: n == primary, Laggard: s.Laggard, DoNotUse: s.DoNotUse, Drained: s.Drained,
			Qualified: a.Memory.Qualified(n.ID), Objections: a.Memory.Objections(n.ID),
			ResponseTime: microseconds(s.ResponseTime),
			ClientName:   s.Info.Client, Versions: s.Info.Clients, ChainID: s.Info.ChainID, Genesis: s.Info.Genesis,
			LastError: s.LastError, LaneCalls: s.LaneCalls, LaneBytes: s.LaneBytes, LaneDropped: s.LaneDropped,
		})
	}
	writeJSON(w, http.StatusOK, reports)
}

// blockReport is one of the last payloads, and who said what about it.
type blockReport struct {
	Time    time.Time    `json:"time"`
	Method  string       `json:"method"`
	Number  uint64       `json:"number"`
	Hash    string       `json:"hash"`
	Verdict string       `json:"verdict"` // "" while it is being judged
	Took    int64        `json:"took"`    // microseconds until the CL had it
	Dispute bool         `json:"dispute"`
	Votes   []voteReport `json:"votes"`
}

type voteReport struct {
	Node   string `json:"node"`
	Status string `json:"status"` // what it answered; "" where nothing has come yet
	Vote   string `json:"vote"`   // what of it counts
	Took   int64  `json:"took"`   // microseconds
}

func (a *API) blocks(w http.ResponseWriter, _ *http.Request) {
	reports := []blockReport{}
	for _, r := range a.History.Records() {
		b := blockReport{Time: r.Time, Method: r.Method, Number: r.Number, Hash: r.Block.Hex(), Verdict: r.Verdict,
			Took: microseconds(r.Took), Dispute: r.Dispute, Votes: []voteReport{}}
		for _, v := range r.Votes {
			b.Votes = append(b.Votes, voteReport{v.Node, v.Status, v.Vote, microseconds(v.Took)})
		}
		reports = append(reports, b)
	}
	writeJSON(w, http.StatusOK, reports)
}
