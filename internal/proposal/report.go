package proposal

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"executionbackup/internal/engine"
	"executionbackup/internal/evidence"
	"executionbackup/internal/fleet"
	"executionbackup/internal/history"
	"executionbackup/internal/node"
)

// metrics count what was proposed, and what was offered for it.
type metrics struct {
	proposals  *prometheus.CounterVec
	value      prometheus.Gauge
	gain       prometheus.Counter
	offers     *prometheus.GaugeVec
	candidates *prometheus.CounterVec
}

// newMetrics registers the metrics of a proposer.
func newMetrics(r prometheus.Registerer) *metrics {
	return &metrics{
		proposals: fleet.Outcomes(r, "proposals_total",
			"Payloads asked for, by outcome: best, wrong_fee_recipient, doubtful (all were), none.",
			"outcome", "best", "wrong_fee_recipient", "doubtful", "none"),
		value: promauto.With(r).NewGauge(prometheus.GaugeOpts{
			Namespace: fleet.Namespace, Name: "proposal_value_eth",
			Help: "Value of the last payload that was proposed.",
		}),
		gain: promauto.With(r).NewCounter(prometheus.CounterOpts{
			Namespace: fleet.Namespace, Name: "proposal_gain_eth_total",
			Help: "What proposals were worth more than the primary's own payloads.",
		}),
		offers: promauto.With(r).NewGaugeVec(prometheus.GaugeOpts{
			Namespace: fleet.Namespace, Name: "node_payload_value_eth",
			Help: "Value of the last payload that a node built.",
		}, []string{"node"}),
		candidates: promauto.With(r).NewCounterVec(prometheus.CounterOpts{
			Namespace: fleet.Namespace, Name: "candidates_total",
			Help: "What became of the payloads that nodes were asked for, by node and outcome: taken, outbid, " +
				"out (not what was asked for, or objected to), wrong_fee_recipient, none (no payload).",
		}, []string{"node", "outcome"}),
	}
}

// forget drops what is counted under a node's name.
func (m *metrics) forget(name string) {
	is := prometheus.Labels{"node": name}
	m.offers.DeletePartialMatch(is)
	m.candidates.DeletePartialMatch(is)
}

// report tells who offered what, and what is proposed: a line in the log, the history, and the metrics.
func (p *proposal) report(best *candidate) {
	metrics, log := p.proposer.metrics, p.fleet.Log
	shown, outcome := p.forHistory(best), best.quality()
	shown.Outcome = outcome
	p.fleet.Proposals.Add(shown)
	p.countOffers(best)
	metrics.proposals.WithLabelValues(outcome).Inc()
	if best == nil {
		log.Error("no payload for a proposal", "method", p.call.Method.Name, "offers", p.forLog(nil))
		return
	}
	attrs := []any{
		"method", p.call.Method.Name, "node", best.Node.Name(), "number", best.Payload.Number,
		"block_hash", best.Payload.Hash,
	}
	if best.Value != nil {
		metrics.value.Set(eth(best.Value))
		attrs = append(attrs, "value", ethText(best.Value))
		if gain := p.gain(best); gain != nil && gain.Sign() > 0 {
			metrics.gain.Add(eth(gain))
			attrs = append(attrs, "gain", ethText(gain))
		}
	}
	attrs = append(attrs, "offers", p.forLog(best))
	if outcome == "best" {
		log.Info("payload for a proposal", attrs...)
		return
	}
	log.Error("payload for a proposal is "+outcome, append(attrs, "reason", best.out)...)
}

// quality says how good what is proposed is, for the metrics, the history and the log.
func (c *candidate) quality() string {
	switch {
	case c == nil:
		return "none"
	case c.out != "":
		return "doubtful"
	case c.wrongRecipient:
		return "wrong_fee_recipient"
	}
	return "best"
}

// gain is how much more the proposal is worth than the primary's own payload, in wei; nil where that isn't known.
func (p *proposal) gain(best *candidate) *big.Int {
	for _, c := range p.candidates {
		if p.isPrimary(c) && c.Value != nil && best.Value != nil {
			return new(big.Int).Sub(best.Value, c.Value)
		}
	}
	return nil
}

// countOffers counts what became of each node's payload.
func (p *proposal) countOffers(best *candidate) {
	metrics := p.proposer.metrics
	for _, c := range p.candidates {
		outcome, _ := c.fate(best)
		c.Node.Count(func() {
			metrics.candidates.WithLabelValues(c.Node.Name(), outcome).Inc()
			if c.Value != nil {
				metrics.offers.WithLabelValues(c.Node.Name()).Set(eth(c.Value))
			}
		})
	}
	for _, f := range p.failures {
		f.Node.Count(func() { metrics.candidates.WithLabelValues(f.Node.Name(), "none").Inc() })
	}
}

// forLog says what each node that was asked offered, and what became of it.
func (p *proposal) forLog(best *candidate) (offers node.Sayings) {
	for _, c := range p.candidates {
		text := fmt.Sprintf("%d gas, %d transactions, %d blobs, %s",
			c.GasUsed, c.Transactions, c.Blobs, c.Took.Round(time.Millisecond))
		if c.Value != nil {
			text = fmt.Sprintf("%s wei (%s), %s", c.Value, ethText(c.Value), text)
		}
		_, why := c.fate(best)
		offers = append(offers, node.Said{Node: c.Node.Name(), Words: text + ", " + why})
	}
	for i := range p.failures {
		f := &p.failures[i]
		offers = append(offers, node.Said{Node: f.Node.Name(), Words: f.Reason()})
	}
	return offers
}

// fate says what became of a candidate: outcome in a word, for metrics, and why for people.
func (c *candidate) fate(best *candidate) (outcome, why string) {
	switch {
	case c.out != "":
		outcome, why = "out", c.out
	case c.wrongRecipient:
		outcome, why = "wrong_fee_recipient", "wrong fee recipient "+c.FeeRecipient.Hex()
	}
	switch {
	case c == best && why == "":
		return "taken", "taken"
	case c == best:
		return "taken", "taken, though: " + why
	case why == "":
		return "outbid", "not the best"
	}
	return outcome, "out: " + why
}

// forHistory is what became of a getPayload, for people.
func (p *proposal) forHistory(best *candidate) history.Proposal {
	shown := history.Proposal{Time: time.Now(), Method: p.call.Method.Name, Offers: []history.Offer{}}
	if best != nil {
		shown.Node, shown.Block, shown.Number = best.Node.Name(), best.Payload.Hash, best.Payload.Number
		shown.Value, shown.Gain = history.InWei(best.Value), history.InWei(p.gain(best))
	}
	for _, c := range p.candidates {
		_, why := c.fate(best)
		shown.Offers = append(shown.Offers, history.Offer{
			Node: c.Node.Name(), Value: history.InWei(c.Value), GasUsed: c.GasUsed, Transactions: c.Transactions,
			Blobs: c.Blobs, Took: history.Micros(c.Took), Taken: c == best, Fate: engine.Excerpt(why),
		})
	}
	for i := range p.failures {
		f := &p.failures[i]
		shown.Offers = append(shown.Offers, history.Offer{
			Node: f.Node.Name(), Took: history.Micros(f.Took), Fate: engine.Excerpt(f.Reason()),
		})
	}
	order := make(map[string]int)
	for i, n := range p.fleet.Pool.Nodes() {
		order[n.Name()] = i
	}
	slices.SortStableFunc(shown.Offers, func(a, b history.Offer) int {
		return cmp.Compare(order[a.Node], order[b.Node])
	})
	return shown
}

// eth converts wei to ETH, for metrics.
func eth(wei *big.Int) float64 {
	f, _ := new(big.Rat).SetFrac(wei, big.NewInt(1e18)).Float64()
	return f
}

// ethText writes wei as ETH, for people.
func ethText(wei *big.Int) string {
	return new(big.Rat).SetFrac(wei, big.NewInt(1e18)).FloatString(6) + " ETH"
}

// report tells the log, the metrics, the history and the evidence of a judge that calls a candidate INVALID. late says
// that the candidate had been chosen before.
func (h *hearing) report(late bool) {
	f, c, method := h.proposal.fleet, h.candidate, h.proposal.call.Method
	record, what := h.record(), "dispute: a node calls another's payload INVALID before it is proposed"
	if late {
		what = "late objection: a node calls another's payload INVALID that has been proposed"
		f.Late()
		f.History.Objected(record)
	} else {
		record.Dispute = true
		f.Dispute(method.Family)
		f.History.Disputed(record)
	}
	f.Log.Error(what, "method", method.Name, "block_hash", c.Payload.Hash, "number", c.Payload.Number,
		"builder", c.Node.Name(), "node", h.objector.Name(), "reason", h.objection.ValidationError)
	h.keep(!late)
}

// record is the history's record of an objection to a candidate.
func (h *hearing) record() *history.Record {
	c := h.candidate
	return &history.Record{
		Time: time.Now(), Method: h.proposal.call.Method.Name, Block: c.Payload.Hash, Parent: c.Payload.Parent,
		Number: c.Payload.Number, Shadow: h.proposal.shadow != nil, Votes: []history.Vote{
			{Node: c.Node.Name(), Status: "built it", Took: history.Micros(c.Took)},
			{
				Node: h.objector.Name(), Status: "INVALID", Vote: "INVALID",
				Reason: engine.Excerpt(h.objection.ValidationError),
			},
		},
	}
}

// keep hands an objection to the evidence, with what every judge has said so far. dispute says that the proposal could
// heed it.
func (h *hearing) keep(dispute bool) {
	e := h.event(evidence.CrossCheck)
	shown := h.candidate.shown
	e.Dispute, e.Calls = dispute, []evidence.Call{{Method: shown.Method.Name, Body: shown.Body}}
	for _, n := range h.judges {
		e.Replies = append(e.Replies, h.reply(n))
	}
	h.proposal.fleet.Evidence.Add(e)
}

// keepLate hands what a judge said after the objection to the evidence.
func (h *hearing) keepLate(n *node.Node) {
	e := h.event(evidence.Follows)
	e.Late, e.Replies = true, []evidence.Reply{h.reply(n)}
	h.proposal.fleet.Evidence.Add(e)
}

// event is what is known of the call itself.
func (h *hearing) event(kind evidence.Kind) *evidence.Event {
	c := h.candidate
	e := &evidence.Event{Case: evidence.Case{
		Kind: kind, Parent: c.Payload.Parent, Builder: c.Node.Name(),
		Settings: h.proposal.settings.ForEvidence(h.proposal.fleet.Clock(c.shown.Method).Grace),
	}}
	e.Time, e.Method, e.Number, e.Block = time.Now(), c.shown.Method.Name, c.Payload.Number, c.Payload.Hash
	return e
}

// reply is what a judge said, and who it is.
func (h *hearing) reply(n *node.Node) evidence.Reply {
	got, came := h.came[n]
	about := fleet.About(n)
	about.Timeout = h.proposal.settings.CrossCheck.Microseconds()
	about.Sent, about.Voter, about.Asked = true, true, true
	about.MayObject = n == h.objector || h.mayObject(n)
	r := evidence.Reply{
		Node: n.Name(), Took: got.Took.Microseconds(), Answer: fleet.Told(h.candidate.shown, &got.Answer), About: about,
	}
	switch {
	case !came:
		r.Reason = "no answer yet"
	case !got.OK():
		r.Reason = got.Reason()
	default:
		r.Status, r.Reason = got.Status.String(), got.ValidationError
		if got.Status != engine.Invalid || about.MayObject {
			r.Vote = r.Status
		}
	}
	return r
}
