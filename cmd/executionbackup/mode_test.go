package main

import (
	"net"
	"net/url"
	"strings"
	"testing"

	"executionbackup/internal/apptest"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/evidence"
)

// The command shows and chooses the mode, and ends as its help says; whoever looks hears of it.
func TestModeConversation(t *testing.T) {
	a, b := enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{})
	c := enginetest.New(t, enginetest.Client{})
	token, dir := file(t, adminToken+"\n"), t.TempDir()
	d := start(t, nil, "-n", spec(a, "#name=a"), "-n", spec(b, "#name=b"), "-n", spec(c, "#name=c#shadow"),
		"--mode", "shadow", "--shadow-node", "a", "--admin-token-file", token, "--evidence-dir", dir)
	d.log.Match(t, `level=WARN msg="mode shadow: one node alone answers .* protected from nothing" node=a`)
	d.nodes(t)
	address, _ := url.Parse(d.URL)
	environ := []string{"EXECUTIONBACKUP_ADMIN_TOKEN_FILE=" + token, "EXECUTIONBACKUP_PORT=" + address.Port()}
	const (
		active = "mode active: all nodes are asked, and we decide"
		shadow = "mode shadow: a alone answers the consensus client, which is protected from nothing; the others get " +
			"every call too, and what we would have said is recorded"
		off = "mode off: a alone is asked, and the consensus client is protected from nothing"
	)
	cl := d.cl(t, a.Secret)
	chain := enginetest.Chain(4, 2, nil)
	hears := func(want string, p enginetest.Payload) {
		t.Helper()
		if s, err := cl.NewPayload(t.Context(), p); err != nil || s.Status != want {
			t.Fatalf("got %+v, %v", s, err)
		}
	}
	hears("VALID", chain[0])
	apptest.Until(t, "b may object", func() bool { return d.Node(t, "b").Qualified })
	b.Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID", ValidationError: "bad state root"})
	hears("VALID", chain[1])
	name := d.log.Match(t, `msg="evidence written" .* file=(\S+)`)
	for _, step := range []struct {
		args    string
		environ []string
		status  int
		out     string // part of it
	}{
		{"mode --url " + d.URL, nil, 0, shadow},
		{"mode", environ, 0, shadow},
		{"mode --json", environ, 0, `"mode": "shadow",`},
		{"status", environ, 0, "Mode shadow protects from nothing: a alone answers the consensus client\n"},
		{"status", environ, 0, "executionbackup mode active --url " + d.URL + " --admin-token-file "},
		{"status", environ, 0, " VALID (would: SYNCING), dispute "},
		{"nodes", environ, 0, "c " + c.URL + " alive, tried no"},
		{"evidence list --evidence-dir " + dir, nil, 0, " VALID (would: SYNCING) "},
		{"evidence show " + name + " --evidence-dir " + dir, nil, 0,
			"in mode shadow the consensus client heard VALID, and would have heard SYNCING of us after "},
		{"replay " + name + " --evidence-dir " + dir + " -n " + spec(a, "#name=a"), nil, 0,
			"verdict then: SYNCING, a dispute (in mode shadow: the consensus client heard VALID)\n"},

		{"mode off --url " + d.URL, nil, 1, "answers HTTP 401: the Authorization header is missing"},
		{"mode off", environ, 0, off},
		{"mode", environ, 0, off},
		{"status", environ, 0, "Mode off protects from nothing: a alone answers the consensus client\n"},
		{"mode active --json", environ, 0, `"alone": ""`},
		{"mode", environ, 0, active},

		{"mode of", environ, 2, `mode: "of" is none of active, shadow and off: did you mean off?`},
		{"mode aktive", nil, 2, `did you mean active?`},
		{"mode shadow off", nil, 2, "mode: write one of active, shadow and off at most"},
		{"mdoe", nil, 2, `executionbackup has no command "mdoe": did you mean mode?`},
		{"mode --port 1", nil, 1, "does ExecutionBackup run at"},
	} {
		status, stdout, stderr := execute(t, step.environ, strings.Fields(step.args)...)
		if got := fields(stdout) + "\n" + stderr; status != step.status || !strings.Contains(got, step.out) {
			t.Errorf("%s: status %d, want %d\n%s\nwant %s", step.args, status, step.status, got, step.out)
		}
	}
}

// systemctl status has the mode, too.
func TestModeForSystemd(t *testing.T) {
	a, b := enginetest.New(t, enginetest.Client{}), enginetest.New(t, enginetest.Client{})
	d := start(t, nil, "-n", spec(a, "#name=a"), "-n", spec(b, "#name=b"), "--mode", "shadow", "--shadow-node", "b",
		"--open-admin")
	d.nodes(t)
	address, _ := net.ResolveTCPAddr("tcp", strings.TrimPrefix(d.URL, "http://"))
	us := ourselves{calls: address, admin: address}
	for _, step := range []struct{ mode, want string }{
		{"shadow", "mode shadow: b alone answers, 2 of 2 nodes would vote"},
		{"off", "mode off: b alone answers"}, {"active", "2 of 2 nodes vote"},
	} {
		if status, _, stderr := execute(t, nil, "mode", step.mode, "--url", d.URL); status != 0 {
			t.Fatal(stderr)
		}
		if got, err := us.status(t.Context()); err != nil || got != step.want {
			t.Errorf("got %q, %v, want %q", got, err, step.want)
		}
	}
}

// Evidence of a better payload in shadow mode has no verdict, and says why it was kept.
func TestShadowProposal(t *testing.T) {
	var out strings.Builder
	p := &program{stdout: &out}
	c := &evidence.Case{Kind: evidence.Shadow, Builder: "besu"}
	c.Method, c.Number, c.Why = "engine_getPayloadV4", 7, "besu's payload is worth more"
	p.printCase(c)
	for _, want := range []string{
		"shadow, ", "engine_getPayloadV4 on block 7, ", "built by besu\n", "\n" + c.Why + "\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got %s, want %q", out.String(), want)
		}
	}
	if strings.Contains(out.String(), "heard") {
		t.Errorf("nobody heard a verdict: %s", out.String())
	}
}
