package fleet

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"executionbackup/internal/engine"
	"executionbackup/internal/evidence"
	"executionbackup/internal/node"
	"executionbackup/internal/quorum"
)

// Objections count disputes and late objections, before a verdict and before a proposal.
type Objections struct {
	disputes *prometheus.CounterVec
	rules    *prometheus.CounterVec
	late     prometheus.Counter
}

func newObjections(r prometheus.Registerer) Objections {
	return Objections{
		disputes: Outcomes(r, "disputes_total",
			"Calls in which the votes of nodes conflicted, by method family; "+
				"GetPayload: an objection to a payload before it is proposed.",
			"method", "NewPayload", "ForkchoiceUpdated", "GetPayload"),
		rules: Outcomes(r, "dispute_rules_total",
			"Calls in which the votes of nodes conflicted, by the rule that decided what the consensus client heard.",
			"rule", quorum.RuleNames()...),
		late: promauto.With(r).NewCounter(prometheus.CounterOpts{
			Namespace: Namespace, Name: "late_objections_total",
			Help: "INVALIDs that came after the consensus client had another answer, and those of backups without " +
				"a vote.",
		}),
	}
}

// Dispute counts a dispute in a call of a family.
func (o *Objections) Dispute(f engine.Family) { o.disputes.WithLabelValues(f.String()).Inc() }

// Decided counts a dispute by the rule that decided it.
func (o *Objections) Decided(r quorum.Rule) { o.rules.WithLabelValues(r.String()).Inc() }

// Late counts a late objection.
func (o *Objections) Late() { o.late.Inc() }

// HaltsAnyway says why --on-dispute=live can do no more than halt with the nodes as they are; "" where it can, or isn't
// set: one implementation has to be outvoted by others.
func (f *Fleet) HaltsAnyway() string {
	rules := f.Settings().Rules
	if rules.OnDispute != quorum.Live {
		return ""
	}
	voters, told := 0, 0
	clients := make(map[string]bool)
	for _, n := range f.Pool.Nodes() {
		s := n.Status()
		if s.DoNotUse {
			continue
		}
		voters++
		if client := s.Info.Implementation(); client != "" {
			clients[client] = true
			told++
		}
	}
	accepting := rules.MinClients
	for !rules.Threshold.Reached(accepting, accepting+1) && accepting < voters {
		accepting++
	}
	if len(clients) > accepting {
		return ""
	}
	return fmt.Sprintf("to outvote one implementation takes %d others; implementations that are known: %d; "+
		"voters that haven't told which they are: %d", accepting, len(clients), voters-told)
}

// About is what is known of a node now, for the evidence.
func About(n *node.Node) *evidence.Node {
	s := n.Status()
	return &evidence.Node{
		URL: n.URL(), Client: s.Info.Exactly(), State: s.State.String(),
		DoNotUse: s.DoNotUse, Backup: s.Backup, Drained: s.Drained, Laggard: s.Laggard,
		Fork: n.Fork(time.Now()),
	}
}

// Told is the result or the error object of an answer, as it goes to the CL or came from a node, for the evidence; nil
// where there is neither.
func Told(c *engine.Call, a *engine.Answer) json.RawMessage {
	switch {
	case a.Err == nil && a.Raw == nil && a.Status == engine.None:
		return nil
	case a.Err == nil:
		return evidence.Raw(node.Result(c, a))
	}
	raw, _ := json.Marshal(a.Err) // what was read can be written
	return evidence.Raw(raw)
}

// ForEvidence returns the settings in the words in which an operator writes them, with the grace that they came to.
func (s *Settings) ForEvidence(grace time.Duration) evidence.Settings {
	shown := evidence.Settings{
		Threshold: s.Rules.Threshold.String(), MinValid: s.Rules.MinValid,
		OnDispute: s.Rules.OnDispute.String(), VoteBy: "node",
		Grace: grace.String(), BuildGrace: s.BuildGrace.String(), CrossCheck: s.CrossCheck.String(),
	}
	if s.Rules.ByClient {
		shown.VoteBy = "client"
	}
	return shown
}
