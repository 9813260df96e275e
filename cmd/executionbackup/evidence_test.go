package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"executionbackup/internal/enginetest"
	"executionbackup/internal/evidence"
	"executionbackup/internal/geth"
)

// fleet is three geths behind nodes that can lie, and two payloads for them.
func fleet(t *testing.T) (nodes []*enginetest.Node, payloads []geth.Payload) {
	t.Helper()
	zero := new(uint64)
	genesis := geth.Genesis(geth.Schedule{Shanghai: zero, Cancun: zero, Prague: zero, Osaka: zero})
	var running []*geth.Node
	for range 4 {
		n, err := geth.Start(geth.Config{Genesis: genesis, Secret: [32]byte(secret)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Stop() })
		running = append(running, n)
	}
	call, err := geth.Dial(running[3].AuthURL(), [32]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	producer, err := geth.NewProducer(t.Context(), genesis.Config, call)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p, err := producer.Produce(t.Context(), geth.Order{})
		if err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, p)
	}
	for _, n := range running[:3] {
		nodes = append(nodes, enginetest.Proxy(t, n.AuthURL(), secret))
	}
	return nodes, payloads
}

// spoilt is a payload with another block hash: real clients call it INVALID.
func spoilt(p geth.Payload) geth.Payload {
	changed := regexp.MustCompile(`"blockHash":"0x..`).ReplaceAll(p.Params[0], []byte(`"blockHash":"0x00`))
	p.Params = append([]json.RawMessage{changed}, p.Params[1:]...)
	return p
}

// A real dispute: it is listed and shown, and put to three geths again it shows who was wrong.
func TestReplayOfADispute(t *testing.T) {
	nodes, payloads := fleet(t)
	dir := t.TempDir()
	j := secretFile(t)
	specs := []string{
		"-j", j, "-n", nodes[0].URL + "#name=g1", "-n", nodes[1].URL + "#name=g2", "-n", nodes[2].URL + "#name=g3",
	}
	// Late, too: the payloads are old.
	d := start(t, nil, append(specs, "--evidence-dir", dir, "--grace", "5s", "--late-grace", "5s")...)
	d.nodes(t)
	call, err := geth.Dial(d.URL, [32]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	if err := payloads[0].Import(t.Context(), call, common.Hash{}, common.Hash{}); err != nil {
		t.Fatal(err)
	}
	hears := func(p geth.Payload, want string) {
		t.Helper()
		if got, err := p.NewPayload(t.Context(), call); err != nil || got.Status != want {
			t.Fatalf("got %+v, %v, want %s", got, err, want)
		}
	}

	// One says INVALID to a good payload; two say VALID to a bad one.
	stop := nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID", ValidationError: "a lie"})
	hears(payloads[1], "SYNCING")
	stop()
	d.log.Match(t, `msg="evidence written" kind=dispute`)
	hears(payloads[1], "VALID") // g3 takes it back
	stop = nodes[0].Script(enginetest.Rule{Method: "engine_newPayload", Status: "VALID"})
	stop2 := nodes[1].Script(enginetest.Rule{Method: "engine_newPayload", Status: "VALID"})
	// Before they have said so, the third's INVALID and our own check would be two witnesses.
	stop3 := nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", Delay: 300 * time.Millisecond})
	hears(spoilt(payloads[1]), "SYNCING")
	stop()
	stop2()
	stop3()
	d.log.Match(t, `(?s)msg="evidence written".*msg="evidence written" kind=dispute`)

	status, stdout, stderr := execute(t, nil, "evidence", "list", "--evidence-dir", dir)
	if status != 0 || stderr != "" {
		t.Fatalf("status %d, %s", status, stderr)
	}
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(lines) != 3 || !strings.Contains(lines[1], "dispute") || !strings.Contains(lines[1], "newPayloadV4  2 ") ||
		!strings.Contains(lines[1], "SYNCING  g3 ") {
		t.Fatalf("got %s", stdout)
	}
	var files []string
	for _, line := range lines[1:] {
		words := strings.Fields(line)
		files = append(files, words[len(words)-1])
	}

	status, stdout, stderr = execute(t, nil, "evidence", "show", files[0], "--evidence-dir", dir)
	for _, want := range []string{
		"dispute, 20", payloads[1].Hash.Hex() + ", child of " + payloads[0].Hash.Hex(),
		"the consensus client heard SYNCING after ", "on-dispute halt",
		"g1 VALID VALID TIME alive go-ethereum/", "g3 INVALID INVALID TIME alive go-ethereum/", " a lie\n",
		"what followed, on the block and its descendants:", "g3=VALID",
	} {
		if !strings.Contains(fields(stdout), want) || status != 0 || stderr != "" {
			t.Errorf("status %d, %s: got %s, want %s", status, stderr, fields(stdout), want)
		}
	}

	for i, want := range [][]string{
		{"g1 VALID VALID TIME", "g2 VALID VALID TIME", "g3 INVALID VALID TIME",
			"verdict then: SYNCING, a dispute", "verdict now: VALID\n"},
		{"g1 VALID INVALID TIME", "g2 VALID INVALID TIME", "g3 INVALID INVALID TIME",
			"verdict then: SYNCING, a dispute", "verdict now: INVALID\n"},
	} {
		args := append([]string{"replay", filepath.Join(dir, files[i])}, specs...)
		status, stdout, stderr := execute(t, nil, args...)
		for _, want := range want {
			if got := fields(stdout); status != 0 || stderr != "" || !strings.Contains(got, want) {
				t.Errorf("file %d: status %d, %s\n got %s\nwant %s", i, status, stderr, got, want)
			}
		}
	}

	// The name alone will do where the directory is told. One that is gone and one that is new are told apart.
	args := []string{
		"replay", files[0], "--evidence-dir", dir, "-j", j,
		"-n", nodes[0].URL + "#name=g1", "-n", nodes[1].URL + "#name=new",
	}
	nodes[1].Close()
	status, stdout, stderr = execute(t, nil, args...)
	for _, want := range []string{
		"g1 VALID VALID TIME", "new - - TIME", "g2 VALID (not asked)", "g3 INVALID (not asked)",
	} {
		if !strings.Contains(fields(stdout), want) {
			t.Errorf("got %s, want %s", fields(stdout), want)
		}
	}
	if status != 1 || !strings.Contains(stderr, "there was no status 1 times") {
		t.Errorf("status %d, %s", status, stderr)
	}
}

// A forkchoiceUpdated moves a node's head: it is put to nodes only where that is wanted. Nothing else is ever sent.
func TestReplayOfOtherCalls(t *testing.T) {
	n := enginetest.New(t, enginetest.Client{})
	chain := enginetest.Chain(4, 1, nil)
	forkchoice := fmt.Sprintf(`{"jsonrpc":"2.0","id":null,"method":"engine_forkchoiceUpdatedV3",`+
		`"params":[{"headBlockHash":%q,"safeBlockHash":%q,"finalizedBlockHash":%q},null]}`,
		chain[0].Hash(), common.Hash{}.Hex(), common.Hash{}.Hex())
	for _, test := range []struct {
		call, flag string
		status     int
		want       string
		calls      int
	}{
		{forkchoice, "", 1, "there is no newPayload in it: " +
			"a forkchoiceUpdated moves a node's head, and is sent with --forkchoice only", 0},
		{forkchoice, "--forkchoice", 0, "n - VALID TIME", 1},
		{`{"jsonrpc":"2.0","id":1,"method":"debug_setHead","params":["0x0"]}`, "--forkchoice", 1,
			"there is no newPayload in it", 0},
		{`nonsense`, "--forkchoice", 1, "the recorded call is none", 0},
	} {
		path := writeEvidence(t, []byte(test.call))
		before := len(n.CallsOf("engine_forkchoiceUpdated"))
		args := append([]string{"replay", path, "-n", spec(n, "#name=n")}, strings.Fields(test.flag)...)
		status, stdout, stderr := execute(t, nil, args...)
		if status != test.status || !strings.Contains(fields(stdout)+stderr, test.want) {
			t.Errorf("%s: status %d, %s%s, want %s", test.call, status, fields(stdout), stderr, test.want)
		}
		got := len(n.CallsOf("engine_forkchoiceUpdated")) - before
		if got != test.calls || len(n.CallsOf("debug_setHead")) > 0 {
			t.Errorf("%s: %d calls came, want %d", test.call, got, test.calls)
		}
	}
}

// writeEvidence writes a file about a call, as a daemon would, and returns its path.
func writeEvidence(t *testing.T, call []byte) string {
	t.Helper()
	var b bytes.Buffer
	c := evidence.Case{Version: 1, Kind: evidence.Dispute, Record: evidence.Record{Method: "engine_newPayloadV4"}}
	if err := evidence.Write(&b, &c, []evidence.Call{{Method: "engine_newPayloadV4", Body: call}}); err != nil {
		t.Fatal(err)
	}
	return file(t, b.String())
}

func TestEvidenceErrors(t *testing.T) {
	for args, want := range map[string]string{
		"evidence list --evidence-dir /nowhere": "evidence (--evidence-dir): open /nowhere: ",
		"evidence show":                         "evidence show: write one FILE",
		"evidence show /nowhere":                "evidence: open /nowhere: ",
		"evidence show " + file(t, "x"):         "not a file of evidence",
		"evidence chek":                         `unexpected "chek"`,
		"replay":                                "replay: write one FILE",
		"replay a b":                            "replay: write one FILE",
		"replay /nowhere":                       "there are no nodes",
		"replay /nowhere -n http://a:1 -j " + secretFile(t): "evidence: open /nowhere: ",
		"status a b":      "status: write one URL at most",
		"status 10.0.0.5": "--url: write it like",
		"evidence":        "evidence: none is kept (--evidence-dir is empty)",
		"evidence show last --evidence-dir " + t.TempDir(): "evidence: there is none",
		"evidence show 17 --evidence-dir " + t.TempDir():   "evidence: there is none about block 17",
		"evidence list --url http://127.0.0.1:1":           "does ExecutionBackup run at 127.0.0.1:1?",
	} {
		status, stdout, stderr := execute(t, nil, strings.Fields(args)...)
		if status == 0 || stdout != "" || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: status %d, %q %q, want %q", args, status, stdout, stderr, want)
		}
	}
}

// What a file of evidence has can't steer a terminal.
func TestEvidencePrintsSafely(t *testing.T) {
	n := enginetest.New(t, enginetest.Client{})
	dir := t.TempDir()
	nodes := []*enginetest.Node{
		n, enginetest.New(t, enginetest.Client{Name: "\x1b[31mx"}), enginetest.New(t, enginetest.Client{}),
	}
	d := start(t, nil, "-n", spec(nodes[0], "#name=a"), "-n", spec(nodes[1], "#name=b"),
		"-n", spec(nodes[2], "#name=c"), "--evidence-dir", dir)
	d.nodes(t)
	cl := d.cl(t, n.Secret)
	chain := enginetest.Chain(4, 2, nil)
	if _, err := cl.NewPayload(t.Context(), chain[0]); err != nil {
		t.Fatal(err)
	}
	nodes[1].Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID", ValidationError: "\x1b[2J\nx"})
	if _, err := cl.NewPayload(t.Context(), chain[1]); err != nil {
		t.Fatal(err)
	}
	name := d.log.Match(t, `msg="evidence written" .* file=(\S+)`)
	for _, args := range [][]string{
		{"evidence", "list", "--evidence-dir", dir}, {"evidence", "show", name, "--evidence-dir", dir},
		{"replay", name, "--evidence-dir", dir, "-n", spec(nodes[1], "#name=b")}, {"status", d.URL},
	} {
		status, stdout, stderr := execute(t, nil, args...)
		if status != 0 && args[0] != "status" ||
			strings.ContainsAny(stdout+stderr, "\x1b") || !strings.Contains(stdout, "b") {
			t.Errorf("%v: status %d, %q %q", args, status, stdout, stderr)
		}
	}
}

// status --json prints what GET /status and GET /nodes say, and ends as status does.
func TestStatusJSON(t *testing.T) {
	n := enginetest.New(t, enginetest.Client{})
	d := start(t, nil, "-n", spec(n, "#name=a"))
	d.nodes(t)
	for _, test := range []struct {
		level  string
		status int
	}{{"good", 0}, {"bad", 1}} {
		status, stdout, stderr := execute(t, nil, "status", "--json", d.URL)
		var got struct {
			Status struct{ Level, Headline, Instance, Network string }
			Nodes  []struct{ Name string }
		}
		if err := json.Unmarshal([]byte(stdout), &got); err != nil || status != test.status ||
			got.Status.Level != test.level || got.Status.Instance == "" || got.Status.Network != "mainnet" ||
			len(got.Nodes) != 1 || got.Nodes[0].Name != "a" {
			t.Errorf("status %d, %s, %v: %s", status, stderr, err, stdout)
		}
		n.Close()
		d.nodes(t)
	}
}

// status shows the nodes, the last payloads and the disputes of a running instance.
func TestStatus(t *testing.T) {
	var nodes []*enginetest.Node
	args := []string{"--evidence-dir", t.TempDir()}
	for _, name := range []string{"a", "b", "c"} {
		n := enginetest.New(t, enginetest.Client{})
		nodes, args = append(nodes, n), append(args, "-n", spec(n, "#name="+name))
	}
	d := start(t, nil, args...)
	d.nodes(t)
	_, stdout, _ := execute(t, nil, "status", "--url", d.URL)
	for _, want := range []string{
		"3 of 3 nodes vote, no payload from the consensus client yet, no dispute yet\n",
		"NAME URL STATE SINCE PRIMARY LAGGARD OBJECTIONS CLIENT RESPONSE TIME\na " + nodes[0].URL + " alive TIME ",
	} {
		if !strings.Contains(fields(stdout), want) {
			t.Errorf("got %s, want %s", fields(stdout), want)
		}
	}
	cl := d.cl(t, nodes[0].Secret)
	now := uint64(time.Now().Unix())
	chain := enginetest.Chain(4, 10, func(p *enginetest.Payload) {
		switch p.Number {
		case 8:
			p.Timestamp = now - 200
		case 9:
			p.Timestamp = now
		case 10:
			p.Timestamp = now + 3600
		}
	})
	for i, p := range chain {
		if i == 9 {
			nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID"})
		}
		if _, err := cl.NewPayload(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	d.log.Match(t, `msg="evidence written"`)
	nodes[1].Close()
	d.nodes(t)
	status, stdout, stderr := execute(t, nil, "status", d.URL)
	const headline = "Dispute: c calls block 10 INVALID, the consensus client hears SYNCING\n"
	if status != 1 || !strings.HasPrefix(stdout, headline) ||
		stderr != "executionbackup: something is wrong: "+headline {
		t.Fatalf("status %d, %s%s", status, stdout, stderr)
	}
	got := fields(stdout)
	for _, want := range []string{
		"- Where c is wrong (the network builds on the block), set it aside:\n" +
			"executionbackup nodes drain c --url " + d.URL + "\n",
		"\nb has been dead for less than a minute (no connection: connection refused)\n",
		"\nb " + nodes[1].URL + " dead TIME ", "\nb: no connection: connection refused\n",
		"\nNUMBER BLOCK HEARD AFTER IN SLOT a b c\n3 ",
		"\n8 " + chain[7].Hash()[:10] + " VALID TIME 3min old VALID TIME",
		"\n9 " + chain[8].Hash()[:10] + " VALID TIME TIME to TIME VALID TIME",
		"\n10 " + chain[9].Hash()[:10] + " SYNCING, dispute TIME - VALID TIME VALID TIME INVALID TIME",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %s", got, want)
		}
	}
}
