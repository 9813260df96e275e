package admin

import (
	"net/http"
	"slices"
	"time"

	"executionbackup/internal/identity"
	"executionbackup/internal/node"
)

// Node is all that we know of a node, as GET /nodes shows it. Times are in microseconds.
type Node struct {
	Name         string                   `json:"name"`
	URL          string                   `json:"url"`
	State        string                   `json:"state"`
	Since        time.Time                `json:"since"`
	Reason       string                   `json:"reason,omitempty"` // why it isn't alive
	Primary      bool                     `json:"primary"`
	Laggard      bool                     `json:"laggard"`
	DoNotUse     bool                     `json:"do_not_use"`
	Shadow       bool                     `json:"shadow"` // it is tried: do_not_use, and what it says is counted
	Backup       bool                     `json:"backup"`
	Alone        bool                     `json:"alone"` // it alone answers, in modes shadow and off
	Drained      bool                     `json:"drained"`
	Votes        bool                     `json:"votes"`          // as things are now
	Qualified    bool                     `json:"qualified"`      // its new objections count
	Objections   int                      `json:"objections"`     // blocks that it stands by an INVALID on
	Head         *Head                    `json:"head,omitempty"` // its latest block, as it says
	ResponseTime int64                    `json:"response_time"`  // median of the last probes
	NewPayload   NewPayloadTimes          `json:"new_payload"`
	VotesWon     uint64                   `json:"votes_won"`  // those that were what the CL heard
	VotesLost    uint64                   `json:"votes_lost"` // those that stood against it: see history.Figures
	ClientName   string                   `json:"client"`     // web3_clientVersion
	Versions     []identity.ClientVersion `json:"client_versions,omitempty"`
	ChainID      string                   `json:"chain_id,omitempty"`
	Genesis      string                   `json:"genesis,omitempty"`
	Lacks        []string                 `json:"lacks,omitempty"` // engine methods that others have
	Forks        *Readiness               `json:"forks,omitempty"` // nil until it has been probed
	LastError    string                   `json:"last_error,omitempty"`
	LastErrorAt  time.Time                `json:"last_error_at,omitzero"`
	LaneCalls    int                      `json:"lane_calls"`   // that wait in its lane, or are being answered
	LaneBytes    int64                    `json:"lane_bytes"`   // of those that wait
	LaneDropped  uint64                   `json:"lane_dropped"` // calls, for want of room
}

// Head names a block.
type Head struct {
	Number uint64 `json:"number"`
	Hash   string `json:"hash"`
}

// NewPayloadTimes are what newPayloads took on a node: median and 99th percentile of the last ten minutes (0 where
// there was none), and the last 64, oldest first.
type NewPayloadTimes struct {
	Median int64   `json:"median"`
	P99    int64   `json:"p99"`
	Recent []int64 `json:"recent"`
}

// Nodes reports all nodes, in configuration order.
func (a *API) Nodes() []Node {
	_, alone := a.Fleet.Mode()
	primary, now := a.Fleet.Pool.Primary(), time.Now()
	voters := a.Fleet.Pool.Voters()
	methods, forks := a.Fleet.Methods(), a.Fleet.Pool.Forks()
	reports := []Node{}
	for _, n := range a.Fleet.Pool.Nodes() {
		s, t := n.Status(), n.Track.Figures(now)
		report := Node{
			Name: n.Name(), URL: n.URL(),
			State: s.State.String(), Since: s.Since, Reason: s.Reason,
			Primary: n == primary, Alone: n == alone, Laggard: s.Laggard, DoNotUse: s.DoNotUse, Shadow: s.Shadow,
			Backup: s.Backup, Drained: s.Drained, Votes: slices.Contains(voters, n),
			Qualified: a.Fleet.Memory.Qualified(n.ID), Objections: a.Fleet.Memory.Objections(n.ID),
			ResponseTime: microseconds(s.ResponseTime),
			NewPayload:   NewPayloadTimes{microseconds(t.Median), microseconds(t.P99), []int64{}},
			VotesWon:     t.Won, VotesLost: t.Lost,
			ClientName: s.Info.Client, Versions: s.Info.Clients, ChainID: s.Info.ChainID, Genesis: s.Info.Genesis,
			Lacks: s.Info.Lacking(methods), Forks: readinessIn(forks, n), LastError: s.LastError,
			LastErrorAt: t.LastErrorAt,
			LaneCalls:   s.LaneCalls, LaneBytes: s.LaneBytes, LaneDropped: s.LaneDropped,
		}
		if head := n.Head(); head != (node.Head{}) {
			report.Head = &Head{head.Number, head.Hash.Hex()}
		}
		for _, took := range t.Recent {
			report.NewPayload.Recent = append(report.NewPayload.Recent, microseconds(took))
		}
		reports = append(reports, report)
	}
	return reports
}

// nodes shows all nodes.
func (a *API) nodes(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, a.Nodes()) }
