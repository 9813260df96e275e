package app_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/apptest"
	"executionbackup/internal/auth"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/evidence"
)

// recording makes a configuration write evidence into a directory of the test's own.
func recording(t testing.TB) (dir string, change func(*config.Config)) {
	dir = filepath.Join(t.TempDir(), "evidence")
	return dir, func(c *config.Config) { c.EvidenceDir, c.Version = dir, "v1.2.3" }
}

// files stops the multiplexer and reads the evidence, oldest first.
func (m *multiplexer) files(t testing.TB, dir string) (files []*evidence.File) {
	t.Helper()
	m.Stop()
	entries, err := evidence.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		f, err := evidence.ReadFile(filepath.Join(dir, e.File))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// replyOf is what a node said in a record.
func replyOf(t testing.TB, r evidence.Record, name string) evidence.Reply {
	t.Helper()
	i := slices.IndexFunc(r.Replies, func(r evidence.Reply) bool { return r.Node == name })
	if i < 0 {
		t.Fatalf("nothing of %s in %+v", name, r)
	}
	return r.Replies[i]
}

// A dispute makes one file, which tells all of its beginning, and what followed on the block and its descendants until
// it ended.
func TestEvidenceOfADispute(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	dir, change := recording(t)
	m := start(t, apptest.Fakes(nodes...), change)
	chain := enginetest.Chain(4, 5, nil)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	undo := nodes[2].Script(enginetest.Rule{
		Method: "engine_", BlockHash: chain[1].Hash(), Status: "INVALID", ValidationError: "bad state root",
	})
	for _, p := range chain[1:4] {
		if p.Number > chain[1].Number {
			nodes[2].Script(enginetest.Rule{Method: "engine_", BlockHash: p.Hash(), Status: "SYNCING"})
		}
		m.hears(t, "SYNCING", "engine_newPayload", p)
		m.hears(t, "SYNCING", "engine_forkchoiceUpdated", p)
	}
	undo()
	m.hears(t, "VALID", "engine_newPayload", chain[0]) // n3 has followed again
	m.awaitAlive(t, "n3")                              // or nobody waits for it
	m.hears(t, "VALID", "engine_newPayload", chain[1]) // and takes it back
	m.hears(t, "VALID", "engine_newPayload", chain[4])

	files := m.files(t, dir)
	if len(files) != 1 {
		t.Fatalf("got %d files, want one", len(files))
	}
	c := files[0].Case
	if c.Kind != evidence.Dispute || c.Block != chain[1].BlockHash || c.Parent != chain[0].BlockHash ||
		c.Number != 2 || c.Verdict != "SYNCING" || !c.Dispute || c.Took <= 0 || c.Program != "v1.2.3" ||
		c.Settings.Threshold != "0.6" || c.Settings.OnDispute != "halt" || c.Settings.Grace != "500ms" {
		t.Errorf("got %+v", c)
	}
	if !strings.Contains(string(c.Answer), `"SYNCING"`) || time.Since(c.Time).Abs() > time.Minute {
		t.Errorf("got the answer %s at %v", c.Answer, c.Time)
	}
	calls := files[0].Calls
	sent := nodes[0].CallsOf("engine_newPayload")[1].Body
	if len(calls) != 1 || calls[0].Method != "engine_newPayloadV4" || !bytes.Equal(calls[0].Body, sent) {
		t.Errorf("got the calls %s, want %s", calls, sent)
	}
	good, bad := replyOf(t, c.Record, "n1"), replyOf(t, c.Record, "n3")
	if good.Status != "VALID" || good.Vote != "VALID" || good.Took <= 0 ||
		!strings.Contains(string(good.Answer), `"status":"VALID"`) {
		t.Errorf("n1: got %+v", good)
	}
	if bad.Status != "INVALID" || bad.Vote != "INVALID" || bad.Reason != "bad state root" ||
		!strings.Contains(string(bad.Answer), `"validationError":"bad state root"`) {
		t.Errorf("n3: got %+v", bad)
	}
	a := bad.About
	if a.URL != nodes[2].URL || a.Client != "geth/v1.17.10/0x01020304" || a.State != "alive" || !a.Voter || !a.Asked ||
		!a.MayObject || !a.Sent || a.Laggard || a.Timeout != 7500_000 {
		t.Errorf("n3: got %+v", a)
	}
	var after []string
	for _, r := range files[0].Records {
		if r.Verdict == "" {
			continue // a reply that came after the verdict
		}
		after = append(after, strings.TrimPrefix(r.Method, "engine_")+" "+r.Verdict+" "+replyOf(t, r, "n3").Vote)
		if r.Block == chain[1].BlockHash != (replyOf(t, r, "n3").Answer != nil) {
			t.Errorf("a record on %s has the answer %s", r.Block, replyOf(t, r, "n3").Answer)
		}
	}
	got, want := strings.Join(after, ", "),
		"forkchoiceUpdatedV3 SYNCING INVALID, newPayloadV4 SYNCING INVALID, forkchoiceUpdatedV3 SYNCING INVALID, "+
			"newPayloadV4 SYNCING INVALID, forkchoiceUpdatedV3 SYNCING INVALID, newPayloadV4 VALID VALID"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// An objection that comes late is evidence, too.
func TestEvidenceOfALateObjection(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	dir, change := recording(t)
	m := start(t, apptest.Fakes(nodes...), func(c *config.Config) { change(c); c.Grace = 100 * time.Millisecond })
	chain := enginetest.Chain(4, 3, nil)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	m.awaitProof(t, "n3")
	release := nodes[2].Script(enginetest.Rule{
		Method: "engine_newPayload", Hang: true, Status: "INVALID", ValidationError: "bad",
	})
	defer release()
	m.hears(t, "VALID", "engine_newPayload", chain[1])
	release()
	nodes[2].Script(enginetest.Rule{Method: "engine_", Status: "SYNCING"})
	m.Log.Wait(t, "evidence written", chain[1].Hash())
	m.hears(t, "SYNCING", "engine_newPayload", chain[2])
	files := m.files(t, dir)
	if len(files) != 1 || files[0].Case.Kind != evidence.LateObjection || files[0].Case.Verdict != "VALID" {
		t.Fatalf("got %+v", files)
	}
	if r := files[0].Records; len(r) == 0 || r[0].Verdict != "SYNCING" || r[0].Block != chain[2].BlockHash {
		t.Errorf("got the records %+v", r)
	}
	c := files[0].Case
	if late := replyOf(t, c.Record, "n3"); late.Status != "INVALID" || late.Vote != "INVALID" || late.Took <= c.Took {
		t.Errorf("got %+v, and the CL its answer after %d µs", late, c.Took)
	}
}

// The replies of nodes that the CL didn't wait for are added when they come; what is not JSON, and errors, are kept
// too.
func TestEvidenceHasAllReplies(t *testing.T) {
	t.Parallel()
	nodes := append(three(t), three(t)...)
	dir, change := recording(t)
	configured := apptest.Fakes(nodes...)
	configured[3].Timeout = 300 * time.Millisecond
	m := start(t, configured, change)
	chain := enginetest.Chain(4, 2, nil)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	for i, rule := range []enginetest.Rule{
		2: {Status: "INVALID"},
		3: {Hang: true},
		4: {Error: &enginetest.RPCError{Code: -32000, Message: "no disk"}},
		5: {Result: `{"status":"VALIDATED"}`},
	} {
		rule.Method = "engine_newPayload"
		if i > 1 {
			defer nodes[i].Script(rule)()
		}
	}
	m.hears(t, "SYNCING", "engine_newPayload", chain[1])
	f := m.files(t, dir)[0]
	last := make(map[string]evidence.Reply)
	for _, r := range append([]evidence.Record{f.Case.Record}, f.Records...) {
		for _, reply := range r.Replies {
			last[reply.Node] = reply
		}
	}
	for name, want := range map[string][3]string{
		"n1": {"VALID", "", `"VALID"`}, "n3": {"INVALID", "", `"INVALID"`}, "n4": {"", "no answer in time", ""},
		"n5": {"", "no disk (-32000)", `"no disk"`}, "n6": {"VALIDATED", "", `"VALIDATED"`},
	} {
		if r := last[name]; r.Status != want[0] || r.Reason != want[1] || !strings.Contains(string(r.Answer), want[2]) {
			t.Errorf("%s: got %+v %s, want %q", name, r, r.Answer, want)
		}
	}
}

// A forkchoiceUpdated comes with the payload that it is about.
func TestEvidenceOfAForkchoice(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	dir, change := recording(t)
	m := start(t, apptest.Fakes(nodes...), func(c *config.Config) { change(c); c.ReplayBytes = 1 << 20 })
	chain := enginetest.Chain(4, 2, nil)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	m.hears(t, "VALID", "engine_newPayload", chain[1])
	nodes[2].Script(enginetest.Rule{Method: "engine_forkchoiceUpdated", Status: "INVALID"})
	m.hears(t, "SYNCING", "engine_forkchoiceUpdated", chain[1])
	f := m.files(t, dir)[0]
	if len(f.Calls) != 2 || f.Calls[0].Method != "engine_newPayloadV4" ||
		f.Calls[1].Method != "engine_forkchoiceUpdatedV3" ||
		f.Case.Method != f.Calls[1].Method || f.Case.Number != 2 || f.Case.Parent != chain[0].BlockHash {
		t.Errorf("got %s, %+v", f.Calls, f.Case)
	}
}

// A payload that is wrong by itself is evidence where no node said so.
func TestEvidenceOfAWrongBlockHash(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	dir, change := recording(t)
	m := start(t, apptest.Fakes(nodes...), change)
	for _, n := range nodes {
		n.Script(enginetest.Rule{Method: "engine_newPayload", Status: "SYNCING"})
	}
	wrong := enginetest.Chain(4, 1, nil)[0]
	wrong.GasUsed = 1
	m.hears(t, "INVALID", "engine_newPayload", wrong)
	files := m.files(t, dir)
	if len(files) != 1 || files[0].Case.Kind != evidence.WrongBlockHash || files[0].Case.Verdict != "INVALID" ||
		!strings.Contains(files[0].Case.Reason, wrong.Hash()) {
		t.Fatalf("got %+v", files)
	}
}

// An INVALID to a payload that was about to be proposed is evidence, with every judge's answer, also those that come
// later.
func TestEvidenceOfACrossCheck(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 5)
	dir, change := recording(t)
	m := startLed(t, apptest.Fakes(nodes...), func(c *config.Config) {
		change(c)
		c.CrossCheck = 600 * time.Millisecond
	})
	head := enginetest.Chain(4, 1, nil)[0]
	m.newPayload(t, head)
	m.awaitProof(t, "n2")
	id := m.build(t, head).PayloadID
	var shown enginetest.Payload // not the next best, which may come to a judge before it
	best := offer(nodes[2], head, "0x3", func(p *enginetest.Payload) { shown = *p })
	for _, n := range []*enginetest.Node{nodes[0], nodes[1], nodes[3], nodes[4]} {
		offer(n, head, "0x1", nil)
	}
	shown = head.Child(func(p *enginetest.Payload) { *p = shown })
	var releases []func()
	for i, rule := range map[int]enginetest.Rule{
		0: {Hang: true, Status: "INVALID", ValidationError: "gas as well"},
		1: {Status: "INVALID", ValidationError: "gas"}, 3: {Hang: true, Status: "VALID"},
		4: {Hang: true, Error: &enginetest.RPCError{Code: -32000, Message: "no disk"}},
	} {
		rule.Method, rule.BlockHash = "engine_newPayload", shown.Hash()
		if release := nodes[i].Script(rule); rule.Hang {
			releases = append(releases, release)
			defer release()
		}
	}
	m.call(t, "engine_getPayloadV4", id)
	for _, release := range releases {
		release()
	}
	f := m.files(t, dir)[0]
	c := f.Case
	if c.Kind != evidence.CrossCheck || !c.Dispute || c.Builder != "n3" || c.Number != 2 ||
		c.Parent != head.BlockHash || c.Method != "engine_newPayloadV4" {
		t.Errorf("got %+v", c)
	}
	if len(c.Replies) != 4 {
		t.Errorf("got %d replies, want those of all judges: %+v", len(c.Replies), c.Replies)
	}
	r := replyOf(t, c.Record, "n2")
	if r.Status != "INVALID" || r.Vote != "INVALID" || r.Reason != "gas" ||
		!strings.Contains(string(r.Answer), `"gas"`) || r.About.URL == "" || r.Took <= 0 {
		t.Errorf("got %+v", r)
	}
	if len(f.Calls) != 1 || !strings.Contains(string(f.Calls[0].Body), c.Block.Hex()) ||
		!strings.Contains(best, c.Block.Hex()) {
		t.Errorf("got %s", f.Calls)
	}
	after := make(map[string]evidence.Reply)
	for _, r := range f.Records {
		if r.Block != c.Block || len(r.Replies) != 1 {
			t.Errorf("got the record %+v", r)
			continue
		}
		after[r.Replies[0].Node] = r.Replies[0]
	}
	for name, want := range map[string][3]string{
		"n1": {"INVALID", "gas as well", "gas as well"},
		"n4": {"VALID", "", `"VALID"`},
		"n5": {"", "no disk (-32000)", "no disk"},
	} {
		if r := replyOf(t, c.Record, name); r.Reason != "no answer yet" || r.Status != "" {
			t.Errorf("%s, when the payload was judged: got %+v", name, r)
		}
		r := after[name]
		if r.Status != want[0] || r.Reason != want[1] || !strings.Contains(string(r.Answer), want[2]) {
			t.Errorf("%s: got %+v", name, r)
		}
	}
}

// So is one that comes when the payload has been proposed.
func TestEvidenceOfALateCrossCheck(t *testing.T) {
	t.Parallel()
	nodes := builders(t, 3)
	dir, change := recording(t)
	m := startLed(t, apptest.Fakes(nodes...), change)
	head := enginetest.Chain(4, 1, nil)[0]
	m.newPayload(t, head)
	m.awaitProof(t, "n2")
	id := m.build(t, head).PayloadID
	offer(nodes[0], head, "0x1", nil)
	offer(nodes[1], head, "0x1", nil)
	best := offer(nodes[2], head, "0x3", nil)
	release := nodes[1].Script(enginetest.Rule{
		Method: "engine_newPayload", Hang: true, Status: "INVALID", ValidationError: "gas",
	})
	defer release()
	if got := m.call(t, "engine_getPayloadV4", id); got != best {
		t.Errorf("got %s, want %s", got, best)
	}
	release()
	m.Log.Wait(t, "late objection", "node=n2", "reason=gas")
	if got := m.Metric(t, "executionbackup_late_objections_total"); got != 1 {
		t.Errorf("%v late objections are counted", got)
	}
	c := m.files(t, dir)[0].Case
	if c.Kind != evidence.CrossCheck || c.Dispute || c.Builder != "n3" ||
		replyOf(t, c.Record, "n1").Status != "VALID" || replyOf(t, c.Record, "n2").Vote != "INVALID" {
		t.Errorf("got %+v", c)
	}
}

// No secret, no user, no query of a URL is in any file, nor in the list.
func TestEvidenceHasNoSecrets(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	configured := apptest.Fakes(nodes...)
	for i := range configured {
		configured[i].URL = strings.Replace(nodes[i].URL, "http://", "http://user:passw0rd@", 1) + "?apikey=hidden"
	}
	dir, change := recording(t)
	const token = "correct-horse-battery"
	m := start(t, configured, func(c *config.Config) {
		change(c)
		c.OpenAdmin = false
		c.AdminToken, _ = auth.ParseAdminToken(token)
	})
	chain := enginetest.Chain(4, 2, nil)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID"})
	nodes[1].Script(enginetest.Rule{Method: "engine_newPayload", Fault: enginetest.Hangup})
	m.hears(t, "SYNCING", "engine_newPayload", chain[1])
	m.Log.Wait(t, "evidence written")
	list := m.REST(t, "GET", "/evidence", "")
	texts := []string{list.Body}
	m.Stop()
	found, err := os.ReadDir(dir)
	if err != nil || len(found) != 1 {
		t.Fatalf("got %v, %v", found, err)
	}
	f, err := os.Open(filepath.Join(dir, found[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	texts = append(texts, string(all))
	secrets := []string{"passw0rd", "user:", "hidden", "apikey", "Bearer", "eyJ", clSecret, token}
	for _, n := range nodes {
		secrets = append(secrets, string(n.Secret), n.SecretFile)
	}
	for _, text := range texts {
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%q is in %s", s, text)
			}
		}
		if !strings.Contains(text, "n3") || !strings.Contains(text, chain[1].Hash()) {
			t.Errorf("nothing of the dispute is in %s", text)
		}
	}
}

// GET /evidence lists the files for everyone; the files themselves take the admin token.
func TestEvidenceOverREST(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	dir, change := recording(t)
	const token = "correct-horse-battery"
	m := start(t, apptest.Fakes(nodes...), func(c *config.Config) {
		change(c)
		c.OpenAdmin = false
		c.AdminToken, _ = auth.ParseAdminToken(token)
	})
	if got := m.REST(t, "GET", "/evidence", ""); got.Status != http.StatusOK || strings.TrimSpace(got.Body) != "[]" {
		t.Errorf("before: got %+v", got)
	}
	chain := enginetest.Chain(4, 2, nil)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID", ValidationError: "bad"})
	m.hears(t, "SYNCING", "engine_newPayload", chain[1])
	m.Log.Wait(t, "evidence written")

	var list []struct {
		File, Kind, Method, Verdict string
		Block                       string `json:"block_hash"`
		Number, Size                uint64
		Replies                     []struct{ Node, Status, Vote, Reason string }
	}
	apptest.Until(t, "it is listed", func() bool { m.Get(t, "/evidence", &list); return len(list) == 1 })
	if e := list[0]; e.Kind != "dispute" || e.Block != chain[1].Hash() || e.Number != 2 || e.Verdict != "SYNCING" ||
		e.Size == 0 || len(e.Replies) != 3 || e.Replies[2].Status != "INVALID" || e.Replies[2].Reason != "bad" {
		t.Errorf("got %+v", e)
	}
	path := "/evidence/" + list[0].File
	for _, test := range []struct {
		path, authorization string
		want                int
	}{
		{path, "", http.StatusUnauthorized},
		{path, "Bearer wrong-horse-battery", http.StatusUnauthorized},
		{path, "Bearer " + enginetest.Token(m.Secret, time.Now()), http.StatusUnauthorized},
		{path, "Bearer " + token, http.StatusOK},
		{"/evidence/" + "..%2f..%2fetc%2fpasswd", "Bearer " + token, http.StatusNotFound},
		{"/evidence/x.json.gz", "Bearer " + token, http.StatusNotFound},
	} {
		got := m.REST(t, "GET", test.path, "", "Authorization", test.authorization)
		if got.Status != test.want {
			t.Errorf("GET %s with %q: got %+v, want %d", test.path, test.authorization, got, test.want)
			continue
		}
		if test.want != http.StatusOK {
			continue
		}
		kind := got.Header.Get("Content-Type")
		if kind != "application/gzip" || !strings.Contains(got.Header.Get("Content-Disposition"), list[0].File) {
			t.Errorf("got headers %v", got.Header)
		}
		if f, err := evidence.Read(strings.NewReader(got.Body)); err != nil || f.Case.Block != chain[1].BlockHash {
			t.Errorf("got %v, %v", f, err)
		}
	}
	if got := m.Metric(t, "executionbackup_evidence_files"); got != 1 {
		t.Errorf("%v files are counted", got)
	}

	// After a restart it is still there.
	m.Stop()
	again := start(t, apptest.Fakes(three(t)...), func(c *config.Config) { c.EvidenceDir, c.OpenAdmin = dir, false })
	again.Get(t, "/evidence", &list)
	if len(list) != 1 || "/evidence/"+list[0].File != path {
		t.Errorf("got %+v", list)
	}
	got := again.REST(t, "GET", path, "")
	if got.Status != http.StatusForbidden || !strings.Contains(got.Body, "--admin-token-file") {
		t.Errorf("without a token set: got %+v", got)
	}
}

// A directory that can't be written costs nothing but a warning, and the directory changes at the next start only.
func TestEvidenceDirectory(t *testing.T) {
	t.Parallel()
	nodes := three(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m := start(t, apptest.Fakes(nodes...), func(c *config.Config) { c.EvidenceDir = file })
	m.Log.Wait(t, "level=WARN", "disputes are not recorded")
	chain := enginetest.Chain(4, 2, nil)
	m.hears(t, "VALID", "engine_newPayload", chain[0])
	nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID"})
	m.hears(t, "SYNCING", "engine_newPayload", chain[1])
	m.Log.Wait(t, "level=WARN", "evidence not written")
	c := *m.Config
	c.EvidenceDir = t.TempDir()
	m.Reload(&c)
	m.Log.Wait(t, "level=WARN", "at the next start only", "evidence_dir: ")
}
