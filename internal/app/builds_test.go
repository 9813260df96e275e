package app_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// builders are nodes that give every build one payload id: n1 0x…01, n2 0x…02, and so on.
func builders(t testing.TB, n int) []*enginetest.Node {
	t.Helper()
	var nodes []*enginetest.Node
	for i := range n {
		nodes = append(nodes, enginetest.New(t, enginetest.Client{PayloadID: ownID(i)}))
	}
	return nodes
}

func ownID(i int) string { return fmt.Sprintf("0x%016x", i+1) }

// offer makes a node answer getPayload with a payload on head, and returns that answer. Its members are not ours to
// touch.
func offer(n *enginetest.Node, head enginetest.Payload, value string, change func(*enginetest.Payload)) string {
	attributes := head.Attributes()
	built := head.Child(func(p *enginetest.Payload) {
		p.FeeRecipient = attributes.SuggestedFeeRecipient
		p.ExtraData = []byte(n.URL)
		if change != nil {
			change(p)
		}
	})
	envelope := built.Envelope(head.Version, value)
	if head.Version > 1 {
		envelope = `{ "later":[1, 2.50],` + envelope[1:]
	}
	n.Script(enginetest.Rule{Method: "engine_getPayload", Result: envelope})
	return envelope
}

// build makes a payload the head and asks for a build on it.
func (m *multiplexer) build(t testing.TB, head enginetest.Payload) enginetest.Status {
	t.Helper()
	s, err := m.ForkchoiceUpdated(t.Context(), head, head.Attributes())
	if err != nil {
		t.Fatalf("forkchoiceUpdated: %v", err)
	}
	return s
}

// asked returns the payload ids that a node was asked for.
func asked(n *enginetest.Node) string {
	var ids []string
	for _, c := range n.CallsOf("engine_getPayload") {
		ids = append(ids, string(c.Params))
	}
	return strings.Join(ids, " ")
}

// untilAll makes getPayload wait for all nodes.
func untilAll(c *config.Config) { c.BuildGrace = time.Minute }

// With VALID the CL gets a node's payload id, if any gave one: the primary's, else the first one's. With another
// status it gets none.
func TestPayloadID(t *testing.T) {
	for _, test := range []struct{ words, want string }{ // + is with a payload id, - without
		{"VALID+ VALID+ VALID+", "VALID 0x0000000000000001"},
		{"VALID- VALID+ VALID+", "VALID 0x0000000000000002"},
		{"VALID- VALID- VALID+", "VALID 0x0000000000000003"},
		{"SYNCING- VALID+ VALID+", "VALID 0x0000000000000002"},
		{"html VALID- VALID+", "VALID 0x0000000000000003"},
		{"VALID- VALID- VALID-", "VALID "},
		{"VALID+ VALID+ INVALID-", "SYNCING "},
		{"INVALID+ INVALID+ INVALID+", "INVALID "},
		{"SYNCING+ SYNCING+ SYNCING+", "SYNCING "},
	} {
		t.Run(test.words, func(t *testing.T) {
			t.Parallel()
			nodes := three(t)
			for i, word := range strings.Fields(test.words) {
				id := "null"
				if strings.HasSuffix(word, "+") {
					id = `"` + ownID(i) + `"`
				}
				rule := enginetest.Rule{Method: "engine_forkchoiceUpdated"}
				rule.Result = fmt.Sprintf(`{"payloadStatus":{"status":"%s","latestValidHash":null,`+
					`"validationError":null},"payloadId":%s}`, word[:len(word)-1], id)
				if word == "html" {
					rule.Result = "<html>"
				}
				nodes[i].Script(rule)
			}
			m := startLed(t, apptest.Fakes(nodes...), nil)
			m.prove(t, nodes...)
			if s := m.build(t, enginetest.Chain(4, 1, nil)[0]); s.Status+" "+s.PayloadID != test.want {
				t.Errorf("got %+v, want %s", s, test.want)
			}
		})
	}
}

// Every node is asked for its own build, and the CL gets the bytes of the most valuable one, as often as it asks.
func TestMostValuablePayload(t *testing.T) {
	for _, test := range []struct {
		version int
		offers  string // value:gas
		winner  int
	}{
		{4, "0x1 0x3 0x2", 2},
		{4, "0x2 0x1 0x2", 1}, // a tie: the primary's
		{4, "0x2:0 0x2:5 0x2:7", 3},
		{4, "0x2:7 0x2:7 0x1:9", 1},
		{4, "0x0:0 0x0:1 0x0:1", 2}, // the primary's is empty
		{4, "0x0 0x0 0x0", 1},
		{4, "0x8000000000000000 0x10000000000000001 0x10000000000000000", 2},
		{4, "none 0x1 0x2", 3},
		{4, "html 0x1 none", 2},
		{4, "0x0 broken 0x0", 1},
		{2, "0x1 0x3 0x2", 2},
		{3, "0x1 0x2 0x3", 3},
		{1, "0x1 0x3 0x2", 1}, // V1 tells no values
		{1, "0x3:0 0x2:6 0x1:5", 2},
	} {
		t.Run(fmt.Sprintf("V%d %s", test.version, test.offers), func(t *testing.T) {
			t.Parallel()
			nodes := builders(t, 3)
			m := startLed(t, apptest.Fakes(nodes...), untilAll)
			head := enginetest.Chain(test.version, 1, nil)[0]
			id := m.build(t, head).PayloadID
			want := ""
			for i, words := range strings.Fields(test.offers) {
				value, gas, _ := strings.Cut(words, ":")
				used, _ := strconv.ParseUint(gas, 10, 64)
				rule := enginetest.Rule{Method: "engine_getPayload"}
				switch value {
				case "none":
					rule.Error = &enginetest.RPCError{Code: -38001, Message: "Unknown payload"}
				case "html":
					rule.Reply = &enginetest.Reply{Status: 500, Body: "<html>"}
				case "broken":
					rule.Result = `{"executionPayload":null,"blockValue":"0x5"}`
				default:
					envelope := offer(nodes[i], head, value, func(p *enginetest.Payload) { p.GasUsed = used })
					if i+1 == test.winner {
						want = envelope
					}
					continue
				}
				nodes[i].Script(rule)
			}
			for range 2 {
				if got := m.call(t, fmt.Sprintf("engine_getPayloadV%d", test.version), id); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			}
			for i, n := range nodes {
				if got, want := asked(n), fmt.Sprintf(`["%s"] ["%[1]s"]`, ownID(i)); got != want {
					t.Errorf("n%d was asked for %s, want %s", i+1, got, want)
				}
			}
		})
	}
}

// A CL that asks again gets the payload of the same node, be there a better one by now, as long as that gives a good
// one.
func TestSameWinner(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 3)
	m := startLed(t, apptest.Fakes(nodes...), untilAll)
	head := enginetest.Chain(4, 1, nil)[0]
	id := m.build(t, head).PayloadID
	offer(nodes[0], head, "0x1", nil)
	offers := []string{offer(nodes[1], head, "0x2", nil)}
	offer(nodes[2], head, "0x1", nil)
	expect := func(when, want string) {
		t.Helper()
		if got := m.call(t, "engine_getPayloadV4", id); got != want {
			t.Errorf("%s: got %s, want %s", when, got, want)
		}
	}
	expect("at first", offers[0])
	better := offer(nodes[2], head, "0x9", nil)
	expect("n3's is better", offers[0])
	m.build(t, head)
	expect("it was asked for once more", offers[0])
	later := offer(nodes[1], head, "0x3", nil)
	expect("n2 has a new one", later)
	offer(nodes[1], head, "0xff", func(p *enginetest.Payload) { p.Timestamp++ })
	expect("n2's is out", better)
	offer(nodes[1], head, "0xff", nil)
	expect("n2's is good again", better)
}

// The payload of a method that we have never heard of goes out, too, the best of the good ones, with an envelope or
// without. Nobody is shown it, for we don't know by which newPayload, and what comes with it isn't judged.
func TestPayloadsOfTheFuture(t *testing.T) {
	head := enginetest.Chain(4, 1, nil)[0]
	for _, method := range []string{"engine_getPayloadV4P11", "engine_getPayloadV99", "engine_getPayload"} {
		for _, bare := range []bool{false, true} {
			if bare && method == "engine_getPayloadV99" {
				continue // from V2 on there is an envelope
			}
			t.Run(fmt.Sprint(method, " ", bare), func(t *testing.T) {
				t.Parallel()
				nodes := builders(t, 3)
				m := startLed(t, apptest.Fakes(nodes...), untilAll)
				id := m.build(t, head).PayloadID
				answer := func(i int, value string, change func(*enginetest.Payload)) string {
					result := offer(nodes[i], head, value, change)
					result = strings.Replace(result, `"proofs":[]`, `"proofs":["0x00"]`, 1)
					if bare {
						_, result, _ = strings.Cut(result, `"executionPayload":`)
						result, _, _ = strings.Cut(result, `,"executionRequests"`)
					}
					nodes[i].Script(enginetest.Rule{Method: method, Result: result})
					return result
				}
				answer(0, "0x1", nil)
				want := answer(1, "0x2", func(p *enginetest.Payload) { p.GasUsed = 1 })
				answer(2, "0x9", func(p *enginetest.Payload) { p.Timestamp++ })
				if got := m.call(t, method, id); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				for i, n := range nodes {
					if calls := n.CallsOf("engine_newPayload"); len(calls) > 0 {
						t.Errorf("n%d was shown a payload with %s", i+1, calls[0].Method)
					}
				}
			})
		}
	}
}

// Where nobody has a payload, the CL hears a node's own error.
func TestNoPayload(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 3)
	m := startLed(t, apptest.Fakes(nodes...), untilAll)
	id := m.build(t, enginetest.Chain(4, 1, nil)[0]).PayloadID
	for i, n := range nodes {
		fails(n, "engine_getPayload", -38001-i, "Unknown payload")
	}
	if got := m.call(t, "engine_getPayloadV4", id); got != "error -38001: Unknown payload" {
		t.Errorf("all have errors: got %s", got)
	}
	nodes[0].Script(enginetest.Rule{Method: "engine_getPayload", Result: `{}`})
	nodes[2].Close()
	if got := m.call(t, "engine_getPayloadV4", id); got != "error -38002: Unknown payload" {
		t.Errorf("n1's answer is malformed, n3 is dead: got %s", got)
	}
}

// Whichever builders die after the forkchoiceUpdated, the CL gets the best payload of the others, even if it holds the
// id of one that died.
func TestBuildersDie(t *testing.T) {
	for dead := range 1 << 3 {
		t.Run(fmt.Sprintf("%03b", dead), func(t *testing.T) {
			t.Parallel()
			nodes := builders(t, 3)
			m := startLed(t, apptest.Fakes(nodes...), untilAll)
			head := enginetest.Chain(4, 1, nil)[0]
			id := m.build(t, head).PayloadID
			want := ""
			for i, value := range []string{"0x1", "0x2", "0x3"} { // the last that lives is the best
				if offered := offer(nodes[i], head, value, nil); dead>>i&1 == 0 {
					want = offered
				} else {
					nodes[i].Close()
				}
			}
			got := m.call(t, "engine_getPayloadV4", id)
			if want == "" {
				want = "error -32000: no execution node is available"
			}
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// Nodes that don't know a method of the fork leave the build to those that do.
func TestUnequalBuilders(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 3)
	m := startLed(t, apptest.Fakes(nodes...), untilAll)
	head := enginetest.Chain(4, 1, nil)[0]
	unknown := &enginetest.RPCError{Code: -32601, Message: "the method does not exist/is not available"}
	nodes[0].Script(enginetest.Rule{Method: "engine_forkchoiceUpdated", Error: unknown})
	nodes[1].Script(enginetest.Rule{Method: "engine_getPayload", Error: unknown})
	want := offer(nodes[2], head, "0x1", nil)
	got := m.build(t, head)
	if got.Status != "VALID" || got.PayloadID != ownID(1) {
		t.Errorf("got %+v, want VALID with n2's id", got)
	}
	if got := m.call(t, "engine_getPayloadV4", got.PayloadID); got != want {
		t.Errorf("got %s, want n3's", got)
	}
	if got := asked(nodes[0]); got != "" {
		t.Errorf("n1, which gave no id, was asked for %s", got)
	}
}

// A better payload is waited for, but no longer than the build grace.
func TestBuildGrace(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 2)
	m := startLed(t, apptest.Fakes(nodes...), nil)
	chain := enginetest.Chain(4, 2, nil)
	hang := func(head enginetest.Payload) (id, first, better string, release func()) {
		id = m.build(t, head).PayloadID
		first, better = offer(nodes[0], head, "0x1", nil), offer(nodes[1], head, "0x2", nil)
		return id, first, better, nodes[1].Script(enginetest.Rule{
			Method: "engine_getPayload", Hang: true, Result: better,
		})
	}
	id, first, _, release := hang(chain[0])
	defer release()
	if got := m.call(t, "engine_getPayloadV4", id); got != first {
		t.Errorf("n2 is too late: got %s", got)
	}
	m.Log.Wait(t, "payload for a proposal", "node=n1", `n2: no answer in time`)
	id, _, better, release := hang(chain[1])
	defer release()
	answered := later(func() string { return m.call(t, "engine_getPayloadV4", id) })
	nodes[0].WaitEnded("engine_getPayload", 2)
	nodes[1].Wait("engine_getPayload", 2)
	release()
	if got := <-answered; got != better {
		t.Errorf("n2 is late, but not too late: got %s", got)
	}
}

// A node that gives its id after the CL has its answer still builds for it.
func TestLatePayloadID(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 3)
	m := startLed(t, apptest.Fakes(nodes...), func(c *config.Config) { c.Grace = 50 * time.Millisecond })
	head := enginetest.Chain(4, 1, nil)[0]
	release := nodes[2].Script(enginetest.Rule{Method: "engine_forkchoiceUpdated", Hang: true})
	defer release()
	id := m.build(t, head).PayloadID
	m.call(t, "engine_getPayloadV4", id)
	if got := asked(nodes[2]); got != "" {
		t.Errorf("n3 was asked for %s", got)
	}
	release()
	apptest.Until(t, "n3 is asked for its build", func() bool {
		m.call(t, "engine_getPayloadV4", id)
		return asked(nodes[2]) != ""
	})
}

// Nor does one that is set aside, be it before the forkchoiceUpdated or while it answers that: its id comes late, and
// isn't kept where it was drained when the build began.
func TestLatePayloadIDOfASetAsideNode(t *testing.T) {
	for _, how := range []string{"drained before", "drained meanwhile"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			nodes := builders(t, 3)
			m := startLed(t, apptest.Fakes(nodes...), func(c *config.Config) { c.Grace = 50 * time.Millisecond })
			if how == "drained before" {
				m.must(t, "/drain_nodes", "n3")
			}
			release := nodes[2].Script(enginetest.Rule{Method: "engine_forkchoiceUpdated", Hang: true})
			defer release()
			id := m.build(t, enginetest.Chain(4, 1, nil)[0]).PayloadID
			if how == "drained meanwhile" {
				m.must(t, "/drain_nodes", "n3")
			}
			release()
			apptest.Until(t, "n3's answer has been read", func() bool {
				return m.Metric(t,
					`executionbackup_slowest_reply_duration_seconds_count{method="ForkchoiceUpdated"}`) == 1
			})
			m.call(t, "engine_getPayloadV4", id)
			if how == "drained before" {
				m.must(t, "/undrain_nodes", "n3")
				m.call(t, "engine_getPayloadV4", id)
			}
			if got := asked(nodes[2]); got != "" {
				t.Errorf("n3 was asked for %s", got)
			}
			if got := len(nodes[0].CallsOf("engine_getPayload")); got == 0 {
				t.Error("n1 was not asked")
			}
		})
	}
}

// Where none of those that build is left, every node that may build is asked for the CL's id, and what it has must be
// what the CL asked for.
func TestNoBuilderIsLeft(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 3)
	m := startLed(t, apptest.Fakes(nodes...), untilAll)
	for _, n := range nodes[1:] {
		n.Script(enginetest.Rule{Method: "engine_forkchoiceUpdated", Result: noPayloadID})
	}
	head := enginetest.Chain(4, 1, nil)[0]
	id := m.build(t, head).PayloadID
	if id != ownID(0) {
		t.Fatalf("got the id %s, want n1's", id)
	}
	want := offer(nodes[1], head, "0x1", nil)
	offer(nodes[2], head, "0x9", func(p *enginetest.Payload) { p.Timestamp += 12 })
	nodes[0].Close()
	m.Recheck(t)
	if got := m.call(t, "engine_getPayloadV4", id); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for i, n := range nodes[1:] {
		if got, want := asked(n), `["`+id+`"]`; got != want {
			t.Errorf("n%d was asked for %s, want %s", i+2, got, want)
		}
	}
}

const noPayloadID = `{"payloadStatus":{"status":"VALID","latestValidHash":null,` +
	`"validationError":null},"payloadId":null}`

// Nodes that are not to be used get everything that keeps them up to date, and never build.
func TestSetAsideNodesNeverBuild(t *testing.T) {
	for _, how := range []string{"do-not-use", "drained before", "drained in between"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			nodes := builders(t, 3)
			configured := apptest.Fakes(nodes...)
			configured[2].DoNotUse = how == "do-not-use"
			m := startLed(t, configured, untilAll)
			head := enginetest.Chain(4, 1, nil)[0]
			for _, n := range nodes[:2] { // so that there is no id but n3's, and no payload
				n.Script(enginetest.Rule{Method: "engine_forkchoiceUpdated", Status: "VALID", Times: 1})
				n.Update(func(c *enginetest.Client) { c.PayloadID = "" })
			}
			offer(nodes[2], head, "0x9", nil)
			if how == "drained before" {
				m.must(t, "/drain_nodes", "n3")
			}
			id := m.build(t, head).PayloadID
			if how == "drained in between" {
				m.must(t, "/drain_nodes", "n3")
			}
			if id == ownID(2) && how != "drained in between" {
				t.Error("the CL got n3's id")
			}
			m.call(t, "engine_getPayloadV4", id)
			m.call(t, "engine_getPayloadV4", ownID(9)) // one that we don't know
			if got := asked(nodes[2]); got != "" {
				t.Errorf("n3 was asked for %s", got)
			}
			calls := nodes[2].WaitEnded("engine_forkchoiceUpdated", 1)
			if !strings.Contains(string(calls[0].Params), "suggestedFeeRecipient") {
				t.Error("n3 didn't get the payload attributes")
			}
		})
	}
}
