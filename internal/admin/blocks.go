package admin

import (
	"math/big"
	"net/http"
	"time"

	"executionbackup/internal/history"
)

// Block is one of the last payloads, and who said what about it, as GET /blocks shows it. Times are in microseconds.
type Block struct {
	ID      uint64    `json:"id"` // counts up since our start
	Time    time.Time `json:"time"`
	Method  string    `json:"method"`
	Number  uint64    `json:"number"`
	Hash    string    `json:"hash"`
	Verdict string    `json:"verdict"`        // "" while it is being judged
	Took    int64     `json:"took"`           // until the CL had it
	Dispute bool      `json:"dispute"`        // the votes conflicted when the CL was answered
	Late    bool      `json:"late_objection"` // a node called it INVALID after that
	Votes   []Vote    `json:"votes"`
}

// Vote is one node's part in it.
type Vote struct {
	Node   string `json:"node"`
	Status string `json:"status"`           // what it answered; "" where nothing has come yet
	Vote   string `json:"vote"`             // what of it counts
	Reason string `json:"reason,omitempty"` // why it says INVALID
	Took   int64  `json:"took"`
}

// Dispute is the call in which it showed that nodes disagree about a block, as GET /disputes shows it. Last and Calls
// tell how long that went on, on the block and its descendants.
type Dispute struct {
	Block
	Last  time.Time `json:"last"`
	Calls int       `json:"calls"`
}

// Blocks reports the last 64 payloads, oldest first.
func (a *API) Blocks() []Block {
	reports := []Block{}
	for _, r := range a.Fleet.History.Records() {
		reports = append(reports, newBlock(&r))
	}
	return reports
}

// Disputes reports the last 32 disputes, oldest first.
func (a *API) Disputes() []Dispute {
	reports := []Dispute{}
	for _, d := range a.Fleet.History.Disputes() {
		reports = append(reports, Dispute{newBlock(d.Record), d.Last, d.Calls})
	}
	return reports
}

func newBlock(r *history.Record) Block {
	b := Block{ID: r.ID, Time: r.Time, Method: r.Method, Number: r.Number, Hash: r.Block.Hex(), Verdict: r.Verdict,
		Took: microseconds(r.Took), Dispute: r.Dispute, Late: r.Late, Votes: []Vote{}}
	for _, v := range r.Votes {
		b.Votes = append(b.Votes, Vote{v.Node, v.Status, v.Vote, v.Reason, microseconds(v.Took)})
	}
	return b
}

// Proposal is one getPayload and what the nodes offered for it, as GET /proposals shows it. Values are in wei, as
// decimal strings; "" where they aren't known.
type Proposal struct {
	ID     uint64    `json:"id"`
	Time   time.Time `json:"time"`
	Method string    `json:"method"`
	Number uint64    `json:"number"`
	Hash   string    `json:"hash"`
	Node   string    `json:"node"` // whose payload the CL got; "" where it got none
	Value  string    `json:"value"`
	Gain   string    `json:"gain"` // what it is worth more than the primary's own
	Offers []Offer   `json:"offers"`
}

// Offer is what one node had.
type Offer struct {
	Node         string `json:"node"`
	Value        string `json:"value"`
	GasUsed      uint64 `json:"gas_used"`
	Transactions int    `json:"transactions"`
	Blobs        int    `json:"blobs"`
	Took         int64  `json:"took"` // microseconds
	Taken        bool   `json:"taken"`
	Fate         string `json:"fate"` // taken, or why not
}

// Proposals reports the last 32 proposals, oldest first.
func (a *API) Proposals() []Proposal {
	reports := []Proposal{}
	for _, p := range a.Fleet.Proposals.List() {
		report := Proposal{ID: p.ID, Time: p.Time, Method: p.Method, Number: p.Number, Hash: p.Block.Hex(), Node: p.Node,
			Value: wei(p.Value), Gain: wei(p.Gain), Offers: []Offer{}}
		for _, o := range p.Offers {
			report.Offers = append(report.Offers, Offer{o.Node, wei(o.Value), o.GasUsed, o.Transactions, o.Blobs, microseconds(o.Took), o.Taken, o.Fate})
		}
		reports = append(reports, report)
	}
	return reports
}

func wei(v *big.Int) string {
	if v == nil {
		return ""
	}
	return v.String()
}

func (a *API) blocks(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, a.Blocks()) }

func (a *API) disputes(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.Disputes())
}

func (a *API) proposals(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.Proposals())
}
