package proxy

import (
	"fmt"
	"log/slog"
	"math/big"
	"time"
)

// report tells who offered what, and what is proposed: a line in the log, and the metrics.
func (pr *proposal) report(best *candidate) {
	p := pr.proxy
	p.proposals.add(pr.shown(best))
	if best == nil {
		p.metrics.proposals.WithLabelValues("none").Inc()
		p.log.Error("no payload for a proposal", append([]any{"method", pr.method.Name}, pr.offers(nil)...)...)
		return
	}
	outcome := "best"
	switch {
	case best.out != "":
		outcome = "doubtful"
	case best.wrongRecipient:
		outcome = "wrong_fee_recipient"
	}
	p.metrics.proposals.WithLabelValues(outcome).Inc()
	attrs := []any{"method", pr.method.Name, "node", best.node.Name(), "number", best.payload.Number, "block_hash", best.payload.Hash}
	if best.value != nil {
		p.metrics.proposalValue.Set(eth(best.value))
		attrs = append(attrs, "value", ethText(best.value))
		if gain := pr.gain(best); gain != nil && gain.Sign() > 0 {
			p.metrics.gain.Add(eth(gain))
			attrs = append(attrs, "gain", ethText(gain))
		}
	}
	attrs = append(attrs, pr.offers(best)...)
	if outcome == "best" {
		p.log.Info("payload for a proposal", attrs...)
		return
	}
	p.log.Error("payload for a proposal is "+outcome, append(attrs, "reason", best.out)...)
}

// gain is how much more the proposal is worth than the primary's own payload; nil where that isn't known.
func (pr *proposal) gain(best *candidate) *big.Int {
	for _, c := range pr.candidates {
		if c.node == pr.proxy.pool.Primary() && c.value != nil {
			return new(big.Int).Sub(best.value, c.value)
		}
	}
	return nil
}

// offers has an attribute for each node that was asked and answered, and counts what became of its payload.
func (pr *proposal) offers(best *candidate) (attrs []any) {
	metrics := pr.proxy.metrics
	for _, c := range pr.candidates {
		text := fmt.Sprintf("%d gas, %d transactions, %d blobs, %s", c.gasUsed, c.transactions, c.blobs, c.took.Round(time.Millisecond))
		if c.value != nil {
			text = fmt.Sprintf("%s wei (%s), %s", c.value, ethText(c.value), text)
			c.node.Count(func() { metrics.offers.WithLabelValues(c.node.Name()).Set(eth(c.value)) })
		}
		outcome, why := c.fate(best)
		c.node.Count(func() { metrics.candidates.WithLabelValues(c.node.Name(), outcome).Inc() })
		attrs = append(attrs, slog.String(c.node.Name(), text+", "+why))
	}
	for _, f := range pr.failures {
		f.node.Count(func() { metrics.candidates.WithLabelValues(f.node.Name(), "none").Inc() })
		attrs = append(attrs, slog.String(f.node.Name(), f.reason()))
	}
	return attrs
}

// fate says what became of a candidate: in a word, for metrics, and why.
func (c *candidate) fate(best *candidate) (outcome, why string) {
	switch {
	case c.out != "":
		outcome, why = "out", c.out
	case c.wrongRecipient:
		outcome, why = "wrong_fee_recipient", "wrong fee recipient "+c.feeRecipient.Hex()
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

// report tells of a voter that calls another's payload INVALID; late is one that does when it has been proposed.
func (h *hearing) report(late bool) {
	p, c, method := h.proposal.proxy, h.candidate, h.proposal.method
	record, what := h.record(), "dispute: a node calls another's payload INVALID before it is proposed"
	if late {
		what = "late objection: a node calls another's payload INVALID that has been proposed"
		p.metrics.lateObjections.Inc()
		p.history.objected(record)
	} else {
		record.Dispute = true
		p.metrics.disputes.WithLabelValues(method.Family.String()).Inc()
		p.history.disputed(record)
	}
	p.log.Error(what, "method", method.Name, "block_hash", c.payload.Hash, "number", c.payload.Number, "builder", c.node.Name(),
		"node", h.objector.Name(), "reason", h.objection.ValidationError)
	h.keep(!late)
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
