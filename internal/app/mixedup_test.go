package app_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/apptest"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
)

// doubling is a box before a node that passes on every call, and sends each answer to a newPayload twice: at once, or
// the second time when the next one comes. It returns its URL.
func doubling(t testing.TB, n *enginetest.Node, late bool) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			go double(conn, n.URL, late)
		}
	}()
	return "http://" + listener.Addr().String()
}

func double(conn net.Conn, to string, late bool) {
	defer conn.Close()
	var held []byte
	for in := bufio.NewReader(conn); ; {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		onward, err := http.NewRequest(http.MethodPost, to, bytes.NewReader(body))
		if err != nil {
			return
		}
		onward.Header = request.Header
		response, err := http.DefaultTransport.RoundTrip(onward)
		if err != nil {
			return
		}
		answer, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			return
		}
		out := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			len(answer), answer)
		switch again := out; {
		case !bytes.Contains(body, []byte(`"engine_newPayload`)):
		case late:
			out, held = append(held, out...), again
		default:
			out = append(out, again...)
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

// A node or box that sends two answers for one call gives no block's VALID to the next block, be its id the same or
// not.
func TestTwoAnswersToOneCall(t *testing.T) {
	for _, test := range []struct{ sameID, late bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			t.Parallel()
			nodes := three(t)
			configured := apptest.Fakes(nodes...)
			for i := range configured {
				configured[i].URL = doubling(t, nodes[i], test.late)
			}
			m := start(t, configured, func(c *config.Config) { c.Grace = 2 * time.Second })
			chain := enginetest.Chain(4, 8, nil)
			for _, n := range nodes {
				for i, p := range chain {
					if i%2 == 1 {
						n.Script(enginetest.Rule{
							Method: "engine_newPayload", BlockHash: p.Hash(),
							Status: "INVALID", LatestValidHash: chain[0].Hash(),
						})
					}
				}
			}
			for i, p := range chain {
				id := 1
				if !test.sameID {
					id += i
				}
				params, err := json.Marshal(p.Params())
				if err != nil {
					t.Fatal(err)
				}
				got := m.say(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"engine_newPayloadV4","params":%s}`,
					id, params))
				if bad := i%2 == 1; bad && strings.Contains(got, `"VALID"`) {
					t.Errorf("payload %d, which all nodes call INVALID: got %s", p.Number, got)
				}
			}
			for i, p := range chain {
				for _, name := range []string{"n1", "n2", "n3"} {
					apptest.Until(t, name+" has answered", func() bool { return m.said(t, p, name).Status != "" })
					if said := m.said(t, p, name); i%2 == 1 && said.Vote == "VALID" {
						t.Errorf("payload %d: /blocks shows %+v", p.Number, said)
					}
				}
			}
		})
	}
}

// A VALID that names another block as the latest valid one is meant for that one. With several nodes it is no vote, and
// the connection that it came over isn't used again. Null is fine.
func TestValidToAnotherBlock(t *testing.T) {
	chain := enginetest.Chain(4, 2, nil)
	valid := func(latest string) enginetest.Rule {
		return enginetest.Rule{Method: "engine_newPayload", BlockHash: chain[1].Hash(),
			Result: `{"status":"VALID","latestValidHash":` + latest + `,"validationError":null}`}
	}
	parent, zero := `"`+chain[0].Hash()+`"`, `"`+common.Hash{}.Hex()+`"`
	own := `"` + chain[1].Hash() + `"`
	for _, test := range []struct{ latest, want, votes string }{
		{own + " null null", "VALID", "VALID VALID VALID"},
		{"null null null", "VALID", "VALID VALID VALID"},
		{parent + " " + own + " " + own, "VALID", "malformed VALID VALID"},
		{zero + " null null", "VALID", "malformed VALID VALID"},
		{parent + " " + zero + " null", "VALID", "malformed malformed VALID"},
		{parent + " " + parent + " " + parent, "SYNCING", "malformed malformed malformed"},
		{parent, "VALID", ""}, // the only node's answer passes through
	} {
		t.Run(test.votes, func(t *testing.T) {
			t.Parallel()
			latest := strings.Fields(test.latest)
			nodes := three(t)[:len(latest)]
			m := start(t, apptest.Fakes(nodes...), nil)
			m.hears(t, "VALID", "engine_newPayload", chain[0])
			for i, n := range nodes {
				n.Script(valid(latest[i]))
			}
			got := m.newPayload(t, chain[1])
			if got.Status != test.want ||
				len(nodes) > 1 && got.LatestValidHash != "" && got.LatestValidHash != chain[1].Hash() {
				t.Errorf("got %+v, want %s", got, test.want)
			}
			for i, vote := range strings.Fields(test.votes) {
				name := fmt.Sprintf("n%d", i+1)
				apptest.Until(t, name+" has answered", func() bool { return m.said(t, chain[1], name).Status != "" })
				said := m.said(t, chain[1], name)
				if vote == "VALID" && said.Vote != "VALID" ||
					vote == "malformed" && (said.Vote != "" || !strings.HasPrefix(said.Status, "malformed answer")) {
					t.Errorf("/blocks shows %+v, want %s", said, vote)
				}
			}
			var before []int
			for _, n := range nodes {
				n.WaitEnded("eth_config", 1) // the last question of the first probe: none is under way
				before = append(before, n.Connections())
			}
			m.Recheck(t)
			for i, vote := range strings.Fields(test.votes) {
				if ended := nodes[i].Connections() > before[i]; ended != (vote == "malformed") {
					t.Errorf("n%d: the connection was ended: %t", i+1, ended)
				}
			}
		})
	}
}

// Whatever body comes with an HTTP error, it is no vote, nor an answer to anything else.
func TestHTTPErrorsAreNoVotes(t *testing.T) {
	for _, status := range []int{404, 500, 503} {
		for _, vote := range []string{"VALID", "INVALID", "SYNCING"} {
			t.Run(fmt.Sprintf("%d %s", status, vote), func(t *testing.T) {
				t.Parallel()
				nodes := three(t)
				m := start(t, apptest.Fakes(nodes...), nil)
				m.prove(t, nodes...)
				result := `{"status":"` + vote + `","latestValidHash":null,"validationError":null}`
				rules := []enginetest.Rule{
					{Method: "engine_newPayload", Reply: &enginetest.Reply{
						Status: status, Body: `{"jsonrpc":"2.0","id":$ID,"result":` + result + `}`,
					}},
					{Method: "engine_forkchoiceUpdated", Reply: &enginetest.Reply{Status: status,
						Body: `{"jsonrpc":"2.0","id":$ID,"result":{"payloadStatus":` + result + `,"payloadId":null}}`}},
				}
				scripted, other := nodes[1:], "VALID"
				if vote == "VALID" {
					scripted, other = nodes, "SYNCING"
				}
				for _, n := range scripted {
					n.Script(rules[0])
					n.Script(rules[1])
				}
				block := enginetest.Chain(4, 1, nil)[0]
				m.hears(t, other, "engine_newPayload", block)
				m.hears(t, other, "engine_forkchoiceUpdated", block)
				for _, name := range []string{"n2", "n3"} {
					apptest.Until(t, name+" has answered", func() bool { return m.said(t, block, name).Status != "" })
					said := m.said(t, block, name)
					if said.Vote != "" || said.Status != fmt.Sprintf("HTTP %d instead of an answer", status) {
						t.Errorf("/blocks shows %+v", said)
					}
				}
			})
		}
	}
}

// The latest valid hash of an INVALID doesn't depend on who said it first.
func TestLatestValidHashInAnyOrder(t *testing.T) {
	zero := common.Hash{}.Hex()
	for _, test := range []struct{ named, want string }{ // by n1, n2 and n3
		{"zero parent parent", "parent"},
		{"none parent parent", "parent"},
		{"zero zero parent", ""},
		{"zero none parent", ""},
	} {
		for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
			t.Run(fmt.Sprint(test.named, order), func(t *testing.T) {
				t.Parallel()
				nodes := three(t)
				m := start(t, apptest.Fakes(nodes...), func(c *config.Config) { c.Grace = 2 * time.Second })
				chain := enginetest.Chain(4, 2, nil)
				m.prove(t, nodes...)
				m.follows(t, chain[0])
				var release []func()
				for i, named := range strings.Fields(test.named) {
					latest := map[string]string{"zero": zero, "parent": chain[0].Hash()}[named]
					release = append(release,
						nodes[i].Script(enginetest.Rule{Method: "engine_newPayload", BlockHash: chain[1].Hash(),
							Hang: true, Status: "INVALID", LatestValidHash: latest}))
				}
				answered := later(func() enginetest.Status { return m.newPayload(t, chain[1]) })
				for _, n := range nodes {
					n.Wait("engine_newPayload", 3)
				}
				for _, i := range order {
					release[i]()
					name := fmt.Sprintf("n%d", i+1)
					apptest.Until(t, name+" has answered", func() bool {
						return m.said(t, chain[1], name).Status == "INVALID"
					})
				}
				want := ""
				if test.want == "parent" {
					want = chain[0].Hash()
				}
				if got := <-answered; got.Status != "INVALID" || got.LatestValidHash != want {
					t.Errorf("got %+v, want %q", got, want)
				}
			})
		}
	}
}

// A batch of a newPayload and what hangs on it is answered as a client answers it, who makes the calls one after
// another.
func TestBatchInOrder(t *testing.T) {
	t.Parallel()
	chain := enginetest.Chain(4, 4, nil)
	call := func(id int, method string, params ...any) string {
		raw, err := json.Marshal(params)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"%s","params":%s}`, id, method, raw)
	}
	payload := func(id int, p enginetest.Payload) string { return call(id, "engine_newPayloadV4", p.Params()...) }
	head := func(id int, p enginetest.Payload) string {
		zero := common.Hash{}.Hex()
		return call(id, "engine_forkchoiceUpdatedV3",
			map[string]string{"headBlockHash": p.Hash(), "safeBlockHash": zero, "finalizedBlockHash": zero}, nil)
	}
	batch := func(calls ...string) string { return "[" + strings.Join(calls, ",") + "]" }
	for name, batches := range map[string][]string{
		"payload, head":      {batch(payload(1, chain[0]), head(2, chain[0]))},
		"head, payload":      {batch(head(1, chain[0]), payload(2, chain[0])), batch(head(1, chain[0]))},
		"two of each":        {batch(payload(1, chain[0]), payload(2, chain[1]), head(3, chain[0]), head(4, chain[1]))},
		"two of each, mixed": {batch(payload(1, chain[0]), head(2, chain[0]), payload(3, chain[1]), head(4, chain[1]))},
		"child, parent": {batch(payload(1, chain[1]), payload(2, chain[0]), head(3, chain[1]),
			payload(4, chain[1]), head(5, chain[1]))},
		"the same id":       {batch(payload(1, chain[0]), head(1, chain[0]), payload(1, chain[1]), head(1, chain[1]))},
		"something between": {batch(payload(1, chain[0]), call(2, "eth_chainId"), head(3, chain[0]))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes, _ := honest(t, 3)
			for _, n := range nodes {
				n.Script(enginetest.Rule{Method: "engine_newPayload", Delay: 50 * time.Millisecond})
			}
			m := start(t, apptest.Fakes(nodes...), nil)
			alone := &enginetest.Honest{Fork: 4}
			for _, b := range batches {
				got, want := m.say(t, b), strings.TrimSpace(string(alone.Answer([]byte(b))))
				if got != want {
					t.Errorf("got %s, a client alone says %s", got, want)
				}
			}
		})
	}
}

// A status of a fork to come is as good as SYNCING: beside a VALID it costs nothing, and only if all say so it is the
// answer.
func TestUnknownStatus(t *testing.T) {
	for _, test := range []struct{ words, want string }{
		{"VALID VALID MISSING_STATE", "VALID"},
		{"VALID MISSING_STATE", "VALID"},
		{"VALID MISSING_STATE MISSING_STATE", "SYNCING"},
		{"SYNCING MISSING_STATE", "SYNCING"},
		{"MISSING_STATE SYNCING", "SYNCING"},
		{"INVALID MISSING_STATE", "SYNCING"},
		{"MISSING_STATE MISSING_STATE", "MISSING_STATE"},
		{"MISSING_STATE", "MISSING_STATE"},
		{"VALIDATED VALIDATED", "VALIDATED"},
		{"-38002 MISSING_STATE MISSING_STATE", "MISSING_STATE"},
	} {
		for _, method := range bothMethods {
			t.Run(test.words+" "+method, func(t *testing.T) {
				t.Parallel()
				nodes := speakers(t, test.words, "")
				m := start(t, apptest.Fakes(nodes...), nil)
				if len(nodes) > 1 {
					m.prove(t, nodes...)
				}
				block := enginetest.Chain(4, 1, nil)[0]
				m.hears(t, test.want, method, block)
				if len(nodes) == 1 {
					return
				}
				words := map[string]float64{}
				for i, word := range strings.Fields(test.words) {
					switch name := fmt.Sprintf("n%d", i+1); word {
					case "MISSING_STATE", "VALIDATED":
						words[word]++
						apptest.Until(t, name+" counts as syncing", func() bool {
							return m.Node(t, name).State == "syncing"
						})
						if method == "engine_newPayload" {
							if said := m.said(t, block, name); said.Status != word || said.Vote != "SYNCING" {
								t.Errorf("/blocks shows %+v", said)
							}
						}
					}
				}
				for word, label := range map[string]string{"MISSING_STATE": "MISSING_STATE", "VALIDATED": "other"} {
					got := m.Metric(t, `executionbackup_unknown_statuses_total{word="`+label+`"}`)
					if got != words[word] {
						t.Errorf("%v are counted as %s, want %v", got, label, words[word])
					}
				}
			})
		}
	}
}
