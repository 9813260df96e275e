package overview

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"executionbackup/internal/admin"
	"executionbackup/internal/config"
	"executionbackup/internal/fleet"
	"executionbackup/internal/history"
)

// told are the alerts of a state: name, what else is in labels, and the first line of what is said.
func told(s State) string {
	var words []string
	for _, a := range Alerts(s, "eb:7000") {
		word := strings.TrimPrefix(a.Name(), alertPrefix)
		for _, label := range []string{"node", "outcome"} {
			if value := a.Labels[label]; value != "" {
				word += " " + value
			}
		}
		line, _, _ := strings.Cut(a.Annotations["description"], "\n")
		words = append(words, word+" ("+line+")")
	}
	return strings.Join(words, "; ")
}

// What somebody is told of, for each thing that can be wrong.
func TestAlerts(t *testing.T) {
	const (
		hour  = time.Hour
		n2Bad = "Dispute: n2 calls block 7 INVALID, the consensus client hears SYNCING, since 2026-03-01 11:58:30 UTC"
	)
	kind := func(k history.Kind) func(*history.Dispute) { return func(d *history.Dispute) { d.Kind = k } }
	over := func(d *history.Dispute) { d.Standing = false }
	proposal := func(outcome string, ago time.Duration) history.Proposal {
		return history.Proposal{Time: noon.Add(-ago), Node: "n2", Number: 9, Outcome: outcome,
			Offers: []history.Offer{{Node: "n2", Fate: "taken, though: wrong fee recipient 0x1"}}}
	}
	differ := func(s *State) { s.Forks = forksIn(0, "mute mute+current.systemContracts mute") }
	for _, test := range []struct {
		nodes  string
		change func(*State)
		want   string
	}{
		{"alive alive alive", nil, ""},
		{"alive alive+laggard syncing+drained dead+drained", nil, ""},
		{"unknown unknown", nil, ""},
		{"alive", nil, ""},

		{"alive alive alive", func(s *State) { s.Disputes = []history.Dispute{disputed(30*time.Second, nil)} },
			"Dispute (" + n2Bad + ")"},
		{"alive alive alive", func(s *State) { s.Disputes = []history.Dispute{disputed(30*time.Second, over)} },
			"Dispute (" + n2Bad + ")"},
		{"alive alive alive", func(s *State) { s.Disputes = []history.Dispute{disputed(time.Minute, nil)} }, ""},
		{"alive alive alive", func(s *State) {
			differ(s)
			s.Disputes = []history.Dispute{disputed(30*time.Second, nil)}
		}, "ForkDispute (Dispute: n2 calls block 7 INVALID, the consensus client hears SYNCING, and the nodes' fork " +
			"configurations differ: systemContracts, since 2026-03-01 11:58:30 UTC)"},
		{"alive alive alive", func(s *State) {
			s.Disputes = []history.Dispute{
				disputed(40*time.Second, kind(history.BeforeProposal)),
				disputed(35*time.Second, kind(history.LateObjection)),
				disputed(30*time.Second, nil),
			}
		}, "Dispute (" + n2Bad + "); LateObjection (Late objection: n2 calls block 7 INVALID after the consensus " +
			"client heard SYNCING, since 2026-03-01 11:58:25 UTC); " +
			"ProposalDispute (Dispute: n2 calls block 7 INVALID before it was proposed, " +
			"since 2026-03-01 11:58:20 UTC)"},
		{"alive alive alive", func(s *State) { s.Blocks = heard("VALID INVALID SYNCING") },
			"InvalidIsLast (The consensus client hears INVALID about block 101, since 2026-03-01 11:59:36 UTC)"},
		{"alive alive alive", func(s *State) { s.Blocks = heard("INVALID VALID -") }, ""},

		{"alive syncing alive", nil, ""},
		{"alive dead alive", nil, "NodeDead n2 (n2 has been dead (no connection: connection refused))"},
		{"alive syncing syncing", nil, "OneVoterLeft (Only 1 of 3 nodes votes: nothing checks it)"},
		{"alive+laggard alive+laggard", nil, "NoVoterInTime (None of 2 nodes answers in time)"},
		{"syncing syncing", nil, "NoVoter (No node is synced: the 2 nodes that can be reached vote)"},
		{"alive+drained alive+unused", nil, "NoVoter (No node may vote: all are drained or set aside)"},
		{"dead dead", nil, "NoVoter (No node can be reached: the consensus client hears SYNCING); " +
			"NodeDead n1 (n1 has been dead (no connection: connection refused)); " +
			"NodeDead n2 (n2 has been dead (no connection: connection refused))"},

		{"alive alive", func(s *State) {
			s.Proposals = []history.Proposal{proposal("wrong_fee_recipient", time.Second)}
		}, "PoorProposal wrong_fee_recipient (Block 9 was proposed with the payload of n2, " +
			"since 2026-03-01 11:59:59 UTC)"},
		{"alive alive", func(s *State) {
			s.Proposals = []history.Proposal{proposal("doubtful", time.Hour), proposal("best", 0), proposal("", 0),
				{Time: noon, Outcome: "none"}, {Time: noon, Outcome: "doubtful", Shadow: true}}
		}, "PoorProposal none (No node had a payload to propose, since 2026-03-01 12:00:00 UTC)"},

		{"alive alive alive", differ,
			"ForkConfigDiffers n2 (The present fork configuration of n2 differs: systemContracts)"},
		{"alive alive", func(s *State) { s.Forks = forksIn(8*24*hour, "ready late") }, ""},
		{"alive alive", func(s *State) { s.Forks = forksIn(7*24*hour, "ready late") },
			"ForkInAWeek n2 (n2 isn't ready for the fork in 7 days: it knows of no next fork)"},
		{"alive alive", func(s *State) { s.Forks = forksIn(24*hour, "late ready") },
			"ForkInADay n1 (n1 isn't ready for the fork in 24 hours: it knows of no next fork)"},
		{"alive alive", func(s *State) { s.Forks = forksIn(hour, "mute late") },
			"ForkInAnHour n2 (n2 isn't ready for the fork in 60 minutes: it knows of no next fork)"},

		{"alive alive", func(s *State) { s.Kept = fleet.Degraded{File: "disk", Shared: "Redis", Split: "two"} },
			"StateNotKept (Disk); SharedStateDegraded (Redis); SplitActive (Two)"},

		{"alive alive alive+drained alive+unused", func(s *State) {
			s.Forks = forksIn(hour, "ready ready late late")
		}, ""},

		// What would have been said, in mode shadow or where one node alone answers, is no alert.
		{"alive alive", func(s *State) {
			s.Disputes = []history.Dispute{disputed(0, func(d *history.Dispute) { d.Would = "SYNCING" })}
		}, ""},
		{"dead alive+laggard", func(s *State) {
			s.Mode, s.Alone = config.Shadow, "n1"
			s.Disputes, s.Blocks = []history.Dispute{disputed(0, nil)}, heard("INVALID")
		}, "NoVoterInTime (); NodeDead n1 (n1 has been dead (no connection: connection refused))"},
		// What it has heard of that node in mode off is one.
		{"alive alive", func(s *State) {
			s.Mode, s.Alone = config.Off, "n1"
			s.Blocks = heard("VALID INVALID")
		}, "InvalidIsLast (The consensus client hears INVALID about block 101, since 2026-03-01 11:59:48 UTC)"},
	} {
		s := State{Now: noon, Instance: started(hour), Nodes: nodesOf(test.nodes), Blocks: payloads(41)}
		if test.change != nil {
			test.change(&s)
		}
		for i := range s.Forks.Nodes {
			s.Nodes[i].Forks = &s.Forks.Nodes[i].Readiness
		}
		if got := told(s); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.nodes, got, test.want)
		}
	}
}

// What is told has what it means and what to do, without paths and URLs of ours, and is bounded.
func TestAlertDescription(t *testing.T) {
	s := State{Now: noon, Nodes: nodesOf("alive alive"), Evidence: true, Disputes: []history.Dispute{disputed(0, nil)},
		Flags: Flags{Remote: " --url http://10.0.0.1", Evidence: " --evidence-dir /srv", NoToken: true}}
	got := Alerts(s, "eb:7000")[0].Annotations["description"]
	for _, want := range []string{
		"\nValidators don't attest to the block", "executionbackup evidence show last\n",
		"executionbackup nodes drain n2\n", "\nCommands are for its machine, and its settings: add its --config",
	} {
		if !strings.Contains(got, want) || strings.Contains(got, "10.0.0.1") || strings.Contains(got, "/srv") {
			t.Errorf("%s\nhas no %q, or too much", got, want)
		}
	}
	s = State{Now: noon, Nodes: nodesOf("dead syncing")}
	got = Alerts(s, "eb:7000")[0].Annotations["description"]
	s = State{Now: noon, Nodes: nodesOf("alive dead")}
	got += Alerts(s, "eb:7000")[0].Annotations["description"]
	for _, want := range []string{
		"\n- n1 has been dead (no connection: connection refused)\n", "\n- n2 has been syncing",
		"\n- n2 has been dead (no connection: connection refused)",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nhas no %q", got, want)
		}
	}
	s = State{Now: noon, Nodes: nodesOf("alive dead alive")}
	s.Nodes[1].Reason = strings.Repeat("é\x00\xff", 1<<20)
	got = Alerts(s, "eb:7000")[0].Annotations["description"]
	if strings.Contains(got, "\x00") || len(got) > maxDescription+10 ||
		!strings.HasSuffix(got, "…") || !strings.HasPrefix(got, "n2 has been dead (é") {
		t.Errorf("%d bytes: %.60s", len(got), got)
	}
}

// Names, severities, labels, annotations and waits are those of Prometheus' rules, so that one can take the other's
// place. Two things are other: how long a node is dead, and what the description says.
func TestAlertsAreTheRules(t *testing.T) {
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert               string
				For                 time.Duration
				Labels, Annotations map[string]string
			}
		}
	}
	readYAML(t, "rules.yml", &file)
	labels := labelsOfRules(t)
	left := maps.Clone(rules)
	for _, r := range file.Groups[0].Rules {
		name := strings.TrimPrefix(r.Alert, alertPrefix)
		ours, known := rules[name]
		if !known {
			continue
		}
		delete(left, name)
		s := State{Now: noon, Forks: admin.Forks{Next: &admin.NextFork{In: 7200}}}
		a := alerts{State: s, instance: "eb:7000"}
		a.add(name, finding{text: "x"})
		got := a.list[0].Annotations
		if ours.severity != r.Labels["severity"] || ours.summary != r.Annotations["summary"] ||
			got["runbook_url"] != r.Annotations["runbook_url"] {
			t.Errorf("%s: got %+v, want %+v", name, ours, r)
		}
		if name == "NodeDead" {
			r.For = 5 * time.Minute
		}
		summary := got["summary"]
		if ours.wait != r.For || strings.Contains(summary, "{{") || !strings.Contains(summary, "eb:7000") {
			t.Errorf("%s: after %v, want %v: %s", name, ours.wait, r.For, summary)
		}
		if len(labels[name]) == 0 {
			t.Errorf("rules_test.yml has no %s", name)
		}
	}
	for name := range left {
		t.Errorf("Prometheus has no alert %s", name)
	}
	ways := []State{
		{Nodes: nodesOf("dead dead")}, {Nodes: nodesOf("alive syncing")}, {Nodes: nodesOf("alive+laggard")},
		{Blocks: heard("INVALID")},
		{Kept: fleet.Degraded{File: "x", Shared: "x", Split: "x"}},
		{Proposals: []history.Proposal{{Time: noon, Outcome: "none"}}},
		{Forks: forksIn(time.Minute, "late")}, {Forks: forksIn(24*time.Hour, "late")},
		{Forks: forksIn(48*time.Hour, "late+current.forkId")},
		{Disputes: []history.Dispute{disputed(0, nil),
			disputed(0, func(d *history.Dispute) { d.Kind = history.LateObjection }),
			disputed(0, func(d *history.Dispute) { d.Kind = history.BeforeProposal }),
		}},
		{Disputes: []history.Dispute{disputed(0, nil)}, Forks: forksIn(0, "mute+current.forkId")},
	}
	seen := make(map[string]bool)
	for _, s := range ways {
		if s.Now = noon; s.Nodes == nil {
			s.Nodes = nodesOf("alive")
		}
		for i := range s.Forks.Nodes {
			s.Nodes[i].Forks = &s.Forks.Nodes[i].Readiness
		}
		for _, a := range Alerts(s, "eb:7000") {
			name := strings.TrimPrefix(a.Name(), alertPrefix)
			seen[name] = true
			if got := slices.Sorted(maps.Keys(a.Labels)); !slices.Equal(got, labels[name]) {
				t.Errorf("%s has the labels %v, and Prometheus' %v", name, got, labels[name])
			}
			if a.Labels["job"] != "executionbackup" || a.Labels["instance"] != "eb:7000" {
				t.Errorf("%s: %v", name, a.Labels)
			}
		}
	}
	if len(seen) != len(rules) {
		t.Errorf("%d of %d alerts were seen: %v", len(seen), len(rules), slices.Sorted(maps.Keys(seen)))
	}
}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/prometheus/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// labelsOfRules are the labels that each alert of Prometheus has as its tests have it, with its name and without those
// of a target of the test's.
func labelsOfRules(t *testing.T) map[string][]string {
	t.Helper()
	var file struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string
				ExpAlerts []struct {
					ExpLabels map[string]string `yaml:"exp_labels"`
				} `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	readYAML(t, "rules_test.yml", &file)
	labels := make(map[string][]string)
	for _, test := range file.Tests {
		for _, r := range test.AlertRuleTest {
			for _, a := range r.ExpAlerts {
				a.ExpLabels["alertname"] = r.Alertname
				delete(a.ExpLabels, "cluster")
				labels[strings.TrimPrefix(r.Alertname, alertPrefix)] = slices.Sorted(maps.Keys(a.ExpLabels))
			}
		}
	}
	return labels
}
