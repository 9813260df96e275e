package overview

import (
	"encoding/json"
	"math/big"
	"net/http"
	"time"

	"executionbackup/internal/admin"
)

// Source makes overviews of a running ExecutionBackup. Its fields don't change. Safe for concurrent use.
type Source struct {
	API     *admin.API
	Name    string // of the host
	Version string
	Started time.Time
	Flags   func() Flags
	Reload  func() string   // why the last reload failed; "" where it didn't
	Refused func() Refusals // of consensus clients
	Untold  func() bool     // alerts don't reach --webhook-url
}

// State takes what there is to tell now.
func (s *Source) State(now time.Time) State {
	f := s.API.Fleet
	nodes, rules := s.API.Nodes(), f.Settings().ForEvidence(0)
	return State{
		Instance: Instance{
			Name: s.Name, Network: network(nodes), Version: s.Version, Started: s.Started.UTC(),
			Policy: Policy{rules.OnDispute, rules.Threshold, rules.VoteBy, rules.MinValid}, ModeReport: s.API.Mode(),
		},
		Now: now, Nodes: nodes, Blocks: f.History.Records(), Disputes: f.History.Disputes(),
		Proposals: f.Proposals.List(),
		Forks:     s.API.Forks(), Kept: f.Degraded(), Evidence: f.Evidence != nil,
		Reload: s.Reload(), Refused: s.Refused(), Untold: s.Untold(), Decisions: f.ShadowDecisions(), Flags: s.Flags(),
	}
}

// Register adds GET /status to a mux.
func (s *Source) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		b, _ := json.MarshalIndent(Of(s.State(time.Now())), "", "  ") // our own types: they always can be
		w.Header().Set("Content-Type", "application/json")
		w.Write(append(b, '\n'))
	})
}

// networks are those whose chain ids people know by name.
var networks = map[string]string{
	"1": "mainnet", "11155111": "sepolia", "560048": "hoodi", "17000": "holesky", "100": "gnosis", "10200": "chiado",
}

// network names the chain that most nodes are on, the first of those that are on as many; "" until one has told.
func network(nodes []admin.Node) string {
	votes := make(map[string]int)
	best := ""
	for _, n := range nodes {
		votes[n.ChainID]++
	}
	for _, n := range nodes {
		if n.ChainID != "" && (best == "" || votes[n.ChainID] > votes[best]) {
			best = n.ChainID
		}
	}
	id, ok := new(big.Int).SetString(best, 0) // hexadecimal, as a quantity
	if !ok {
		return ""
	}
	if name, known := networks[id.String()]; known {
		return name
	}
	return "chain " + id.String()
}
