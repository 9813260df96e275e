package app_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	neturl "net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"executionbackup/internal/apptest"
	"executionbackup/internal/auth"
	"executionbackup/internal/config"
	"executionbackup/internal/enginetest"
	"executionbackup/internal/history"
	"executionbackup/internal/quorum"
)

// clients are nodes of several implementations.
func clients(t testing.TB, n int) []*enginetest.Node {
	t.Helper()
	kinds := []enginetest.Client{
		{Code: "GE", Name: "Geth", Version: "v1.17.10-stable-4f2a81c0"},
		{Code: "NM", Name: "Nethermind", Version: "v1.36.2+b70a7b1f"},
		{Code: "BU", Name: "besu", Version: "v26.4.0"},
		{Code: "RH", Name: "reth", Version: "v2.1.3-9c30a6f"},
		{Code: "EG", Name: "erigon", Version: "3.4.1"},
	}
	var nodes []*enginetest.Node
	for i := range n {
		kind := kinds[i%len(kinds)]
		kind.PayloadID = ownID(i)
		nodes = append(nodes, enginetest.New(t, kind))
	}
	return nodes
}

// named gives nodes names as operators choose them.
func named(nodes []*enginetest.Node) []apptest.Node {
	list := apptest.Fakes(nodes...)
	for i := range list {
		list[i].Name = []string{"geth-a", "nethermind-a", "besu-a", "reth-a", "erigon-a"}[i%5]
		if i >= 5 {
			list[i].Name = fmt.Sprintf("%s%c", list[i].Name[:len(list[i].Name)-1], 'a'+rune(i/5))
		}
	}
	return list
}

// follow makes the CL follow a chain: newPayload and forkchoiceUpdated for each.
func (m *multiplexer) follow(t testing.TB, chain []enginetest.Payload) {
	t.Helper()
	for _, p := range chain {
		m.newPayload(t, p)
		m.forkchoice(t, p)
	}
}

// The dashboard as a user sees it. These tests don't run beside others, see browser_test.go.
func TestDashboard(t *testing.T) {
	chromium := launch(t)
	for _, part := range []struct {
		name string
		test func(*testing.T, context.Context)
	}{
		{"follows", dashboardFollows}, {"slots", dashboardSlots}, {"late objection", dashboardLateObjection},
		{"escapes", dashboardEscapes}, {"evidence", dashboardEvidence}, {"reconnects", dashboardReconnects},
		{"theme", dashboardTheme}, {"keyboard", dashboardKeyboard}, {"screens", dashboardScreens},
		{"forks", dashboardForks}, {"fork dispute", dashboardForkDispute}, {"loads", dashboardLoads},
		{"behind a proxy", dashboardBehindProxy}, {"ongoing", dashboardOngoing}, {"builds of one", dashboardAlone},
		{"mode", dashboardMode}, {"picture", dashboardPicture},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, chromium) })
	}
}

// The page shows the nodes as they are, follows without being loaded again, and keeps a dispute in sight until it is
// acknowledged.
func dashboardFollows(t *testing.T, chromium context.Context) {
	nodes := clients(t, 3)
	m := start(t, apptest.Fakes(nodes...), nil)
	b := browse(t, chromium, m)
	b.sees("three nodes", `document.querySelectorAll(".card[data-condition=alive]").length === 3`)
	eval[bool](b, "window.sameVisit = true")
	for i, client := range []string{"Geth v1.17.10", "Nethermind v1.36.2", "besu v26.4.0"} {
		if got := b.text(fmt.Sprintf(".card[data-node=n%d]", i+1)); !strings.Contains(got, client) {
			t.Errorf("the card of n%d has no %q: %s", i+1, client, got)
		}
	}
	chain := enginetest.Chain(4, 4, nil)
	m.follow(t, chain[:2])
	b.sees("two blocks", `document.querySelectorAll("#blocks li").length === 2`)
	b.sees("the summary", `document.querySelector("#summary[data-level=good] h1")?.textContent`+
		`.startsWith("3 of 3 nodes vote, verdicts in ")`)
	b.sees("the heads", `[...document.querySelectorAll(".card")].`+
		`every((card) => card.innerText.includes("`+chain[1].Hash()[:8]+`"))`)

	nodes[1].Script(enginetest.Rule{
		Method: "engine_", BlockHash: chain[2].Hash(), Status: "INVALID", ValidationError: "bad state root",
	})
	m.hears(t, "SYNCING", "engine_newPayload", chain[2])
	b.sees("a dispute", `document.querySelector("#pinned article")`)
	for i, want := range []string{"n1 ✓ VALID", "n2 ✕ INVALID bad state root", "n3 ✓ VALID"} {
		row := fmt.Sprintf("#pinned tbody tr:nth-child(%d)", i+1)
		if got := strings.Join(strings.Fields(b.text(row)), " "); !containsAll(got, strings.Fields(want)) {
			t.Errorf("vote %d: got %q, want %q", i+1, got, want)
		}
	}
	b.sees("its column", `document.querySelector("#blocks li.disputed .cell[data-vote=INVALID]")`)
	if got := b.text("#summary h1"); got != "Dispute: n2 calls block 3 INVALID, the consensus client hears SYNCING" {
		t.Errorf("the summary says %q", got)
	}

	b.do(chromedp.Click(chromedp.CSS("#pinned button")))
	b.sees("it is acknowledged",
		`document.getElementById("pinned").hidden && document.querySelector("#past-list details")`)

	nodes[2].Close()
	took := b.sees("n3 is red", `document.querySelector(".card[data-node=n3][data-condition=dead]")`)
	if took > 3*time.Second {
		t.Errorf("n3 was red after %v, want at most 3 s", took)
	}
	got := eval[string](b, `getComputedStyle(document.querySelector(".card[data-node=n3] .state")).backgroundColor`)
	if got != "rgb(188, 28, 34)" {
		t.Errorf("its state is shown in %s", got)
	}
	if !eval[bool](b, "window.sameVisit === true") {
		t.Error("the page was loaded anew meanwhile")
	}
	b.do(chromedp.Reload())
	b.sees("it is still acknowledged",
		`document.querySelector("#past-list details") && document.getElementById("pinned").hidden`)
}

// The page tells when in its slot each block was asked about and answered, how old it was where the consensus client is
// syncing, and nothing where our clock can't be right.
func dashboardSlots(t *testing.T, chromium context.Context) {
	m := start(t, named(clients(t, 3)), nil)
	b := browse(t, chromium, m)
	now := time.Now()
	day := 24 * time.Hour
	ages := []time.Duration{
		-time.Hour, 2500 * day, 700 * day, 3*time.Hour + time.Minute, 130 * time.Second, 30 * time.Second,
		6 * time.Second, 3 * time.Second, time.Second, 0,
	}
	chain := enginetest.Chain(4, len(ages), func(p *enginetest.Payload) {
		p.Timestamp = uint64(now.Add(-ages[p.Number-1]).Unix())
	})
	m.follow(t, chain)
	var blocks []history.Record
	m.Get(t, "/blocks", &blocks)
	b.sees("the blocks", fmt.Sprintf(`document.querySelectorAll("#blocks li").length === %d`, len(ages)))
	seconds := func(m history.Micros) string {
		return fmt.Sprintf("%.1f s", time.Duration(m).Round(100*time.Millisecond).Seconds())
	}
	for i, column := range []string{"", "6 years old", "700 days old", "3 h old", "2 min old", "old", "", "", "", ""} {
		asked, detail := blocks[i].Asked, column
		switch {
		case (asked == nil) != (i == 0):
			t.Fatalf("/blocks: block %d was asked about at %v", i+1, asked)
		case column == "old":
			column = fmt.Sprintf("%.0f s old", math.Floor(time.Duration(*asked).Seconds()))
			detail = column
		case column == "" && asked != nil:
			column = "at " + seconds(*asked+blocks[i].Took)
			detail = "asked at " + seconds(*asked) + ", answered " + column + " in the slot"
		}
		of := fmt.Sprintf("#blocks li[data-block='%d'] ", i+1)
		b.do(chromedp.Click(chromedp.CSS(of + "button")))
		_, shown, _ := strings.Cut(b.text("#block p"), " heard VALID after ")
		_, shown, _ = strings.Cut(shown, " · ")
		if got := strings.TrimPrefix(b.text(of+".slot"), "no such element"); got != column || shown != detail {
			t.Errorf("block %d: got %q and %q, want %q and %q", i+1, got, shown, column, detail)
		}
	}
	b.do(chromedp.KeyEvent("\x1b"))
	b.shootAll("3-slots")
}

func containsAll(text string, words []string) bool {
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
}

// An objection that comes after the consensus client has its answer is shown like a dispute.
func dashboardLateObjection(t *testing.T, chromium context.Context) {
	nodes := clients(t, 3)
	m := start(t, apptest.Fakes(nodes...), func(c *config.Config) { c.Grace = 10 * time.Millisecond })
	b := browse(t, chromium, m)
	chain := enginetest.Chain(4, 2, nil)
	m.follow(t, chain[:1])
	m.awaitProof(t, "n3")
	nodes[2].Script(enginetest.Rule{
		Method: "engine_newPayload", BlockHash: chain[1].Hash(), Status: "INVALID",
		ValidationError: "too late", Delay: 500 * time.Millisecond,
	})
	m.hears(t, "VALID", "engine_newPayload", chain[1])
	b.sees("the objection", `document.querySelector("#pinned article")?.innerText.includes("Late objection")`)
	if got := b.text("#pinned"); !containsAll(got, []string{"too late", "VALID after", "a node objected later"}) {
		t.Errorf("the page says %q", got)
	}
	var blocks []struct {
		Dispute bool
		Late    bool `json:"late_objection"`
	}
	m.Get(t, "/blocks", &blocks)
	if last := blocks[len(blocks)-1]; last.Dispute || !last.Late {
		t.Errorf("/blocks has %+v", last)
	}
}

// What nodes say is text, whatever it looks like, and no markup of theirs would be carried out.
func dashboardEscapes(t *testing.T, chromium context.Context) {
	const script, image = `<script>window.pwned = 1</script>`, `<img src=x onerror="window.pwned = 1">`
	nodes := three(t)
	nodes[0].Update(func(c *enginetest.Client) { c.Name, c.Version = script, image })
	m := start(t, apptest.Fakes(nodes...), nil)
	b := browse(t, chromium, m)
	chain := enginetest.Chain(4, 3, nil)
	m.follow(t, chain[:1])
	nodes[1].Script(enginetest.Rule{
		Method: "engine_newPayload", Status: "INVALID", ValidationError: script + image, Times: 1,
	})
	fails(nodes[2], "engine_newPayload", -32000, image)
	m.newPayload(t, chain[1])
	b.sees("the dispute", `document.querySelector("#pinned article")`)
	if got := b.text(".card[data-node=n1]"); !strings.Contains(got, script+" "+image) {
		t.Errorf("n1's card says %q", got)
	}
	if got := b.text("#pinned"); !containsAll(got, []string{script + image, "⚑ Dispute", "! " + image}) {
		t.Errorf("the dispute says %q", got)
	}
	if eval[bool](b, `window.pwned === 1 || document.querySelector("main script, main img") !== null`) {
		t.Error("markup of a node is in the page")
	}
	if said := b.said(); len(said) > 0 {
		t.Errorf("the console has: %v", said)
	}
	// Should it ever get there all the same:
	eval[bool](b, `document.querySelector("main").insertAdjacentHTML("beforeend", '`+image+`') === undefined`)
	b.sees("the policy is broken", `document.querySelector("main img").complete`)
	said := strings.Join(b.said(), "\n")
	if !strings.Contains(said, "Content Security Policy") || eval[bool](b, "window.pwned === 1") {
		t.Errorf("the policy did not hold; the console has: %s", said)
	}
}

// Evidence is listed, and handed out for the admin token that the user types.
func dashboardEvidence(t *testing.T, chromium context.Context) {
	const token = "correct-horse-battery"
	nodes := clients(t, 3)
	_, record := recording(t)
	m := start(t, apptest.Fakes(nodes...), func(c *config.Config) {
		record(c)
		c.OpenAdmin = false
		c.AdminToken, _ = auth.ParseAdminToken(token)
	})
	b := browse(t, chromium, m)
	downloads := t.TempDir()
	call(b, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{
		Behavior: "allow", DownloadPath: downloads,
	})
	chain := enginetest.Chain(4, 2, nil)
	m.follow(t, chain[:1])
	nodes[1].Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID", ValidationError: "bad"})
	m.newPayload(t, chain[1])
	b.sees("the file", `document.querySelectorAll("#files li").length === 1 && `+
		`document.querySelector("#files").innerText.includes("KiB")`)
	if got := b.text("#files"); !containsAll(got, []string{"dispute", "block 2", chain[1].Hash()[:8]}) {
		t.Errorf("the page says %q", got)
	}
	press := func() { eval[bool](b, `document.querySelector("#files button").click() || true`) } // the list may change
	press()
	b.sees("a token is asked for",
		`document.getElementById("evidence-error").textContent.includes("admin token") && `+
			`document.activeElement.id === "token"`)
	if said := b.said(); len(said) != 1 || !strings.Contains(said[0], "401") {
		t.Errorf("the console has %v", said)
	}
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), token))
	press()
	apptest.Until(t, "the file is there", func() bool {
		found, err := filepath.Glob(filepath.Join(downloads, "*.json.gz"))
		m.REST(t, "GET", "/healthz", "") // a pause
		return err == nil && len(found) == 1
	})
	if got := b.text("#evidence-error"); got != "" {
		t.Errorf("the page complains: %s", got)
	}
	if eval[bool](b, `Object.values(localStorage).concat(Object.values(sessionStorage), document.cookie)`+
		`.some((kept) => kept.includes("`+token+`"))`) {
		t.Error("the token is kept")
	}
}

// The page says that the connection is lost, and goes on by itself when it is there again.
func dashboardReconnects(t *testing.T, chromium context.Context) {
	nodes := apptest.Fakes(clients(t, 2)...)
	m := start(t, nodes, nil)
	b := browse(t, chromium, m)
	b.sees("the nodes", `document.querySelectorAll(".card").length === 2 && `+
		`document.getElementById("connection").textContent === "live"`)
	eval[bool](b, "window.sameVisit = true")
	b.mu.Lock()
	b.refused = true
	b.mu.Unlock()
	m.Stop()
	b.sees("it is lost", `document.querySelector("#summary[data-level=bad] h1")?.textContent === `+
		`"ExecutionBackup has stopped" && `+
		`document.title.startsWith("✕ ExecutionBackup has stopped – ")`)
	if got := b.text("#summary"); !containsAll(got, []string{
		"since ", "the consensus client hears nothing", "neither attest nor propose",
		"systemctl status executionbackup",
	}) || strings.Contains(got, "vote") {
		t.Errorf("the headline's box says %q", got)
	}
	if got := b.text("#old"); !strings.HasPrefix(got, "What follows is old: it was so at ") {
		t.Errorf("nothing says that the nodes are old: %q", got)
	}
	const before = `getComputedStyle(document.querySelector(".state .word"), "::before").content`
	if got := eval[string](b, before); got != `"was "` {
		t.Errorf("before a node's state: %s", got)
	}
	b.shootAll("2-lost")
	start(t, nodes[:1], func(c *config.Config) { c.Port = m.App.Addr().(*net.TCPAddr).Port })
	b.sees("it is back", `document.getElementById("connection").textContent === "live" && `+
		`document.querySelectorAll(".card").length === 1 && document.getElementById("old").hidden`)
	if !eval[bool](b, "window.sameVisit === true") {
		t.Error("the page was loaded anew")
	}
}

// The theme follows the system until one is chosen, and the choice lasts.
func dashboardTheme(t *testing.T, chromium context.Context) {
	m := start(t, apptest.Fakes(clients(t, 1)...), nil)
	b := browse(t, chromium, m)
	background := func() string { return eval[string](b, "getComputedStyle(document.body).backgroundColor") }
	const light, dark = "rgb(245, 246, 248)", "rgb(14, 17, 22)"
	check := func(what, want string) {
		t.Helper()
		if got := background(); got != want {
			t.Errorf("%s: got %s, want %s", what, got, want)
		}
	}
	b.view("light", 1280, 800)
	check("a light system", light)
	b.view("dark", 1280, 800)
	check("a dark system", dark)
	b.do(chromedp.Click(chromedp.CSS("#theme")))
	check("light chosen on a dark system", light)
	b.do(chromedp.Reload())
	check("after a reload", light)
	b.view("light", 1280, 800)
	b.do(chromedp.Click(chromedp.CSS("#theme")))
	check("dark chosen on a light system", dark)
}

// Everything can be reached and used with the keyboard.
func dashboardKeyboard(t *testing.T, chromium context.Context) {
	m := start(t, apptest.Fakes(clients(t, 3)...), nil)
	b := browse(t, chromium, m)
	chain := enginetest.Chain(4, 3, nil)
	m.follow(t, chain)
	b.sees("three blocks", `document.querySelectorAll("#blocks li").length === 3`)
	b.do(chromedp.KeyEvent("\t")) // the theme, and then the strip and its second block
	b.do(chromedp.KeyEvent("\t"), chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent("\r"))
	second := `document.querySelector("#block h3").textContent.includes("` + chain[1].Hash() + `") && ` +
		`document.activeElement.getAttribute("aria-pressed") === "true"`
	b.sees("the second block is chosen", second)
	m.newPayload(t, chain[2])
	b.sees("a fourth block", `document.querySelectorAll("#blocks li").length === 4`)
	b.sees("the second is still looked at", second)
	b.do(chromedp.KeyEvent("\x1b"))
	b.sees("the newest is", `document.querySelector("#block h3").textContent.includes("`+chain[2].Hash()+`")`)
}

// gated is the multiplexer behind a proxy that has it under a folder, and lets requests through once gate is closed.
func gated(t testing.TB, m *multiplexer, folder string, gate <-chan struct{}) (url string) {
	t.Helper()
	target, err := neturl.Parse(m.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // pages that are closed
	}
	server := httptest.NewServer(http.StripPrefix(strings.TrimSuffix(folder, "/"), http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/events" {
				select {
				case <-gate:
				case <-r.Context().Done():
					return
				}
			}
			proxy.ServeHTTP(w, r)
		})))
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	return server.URL + folder
}

// While it loads, the page says nothing that isn't known.
func dashboardLoads(t *testing.T, chromium context.Context) {
	m := start(t, named(clients(t, 3)), nil)
	gate := make(chan struct{})
	b := browseAt(t, chromium, gated(t, m, "/", gate))
	b.sees("it waits", `document.getElementById("connection").textContent === "connecting"`)
	if got := strings.Join(strings.Fields(b.text("main")), " "); got != "Waiting for the first news" {
		t.Errorf("before there is any news, the page says %q", got)
	}
	b.shootAll("0-loading")
	close(gate)
	b.sees("it is there", `document.querySelectorAll(".card").length === 3`)
	if got := b.text("main"); !strings.Contains(got, "The consensus client has sent no payload yet.") {
		t.Errorf("the page says %q", got)
	}
}

// The page works under a folder behind a proxy: evidence is listed and downloaded there, too.
func dashboardBehindProxy(t *testing.T, chromium context.Context) {
	nodes := clients(t, 3)
	_, record := recording(t)
	m := start(t, named(nodes), record)
	open := make(chan struct{})
	close(open)
	b := browseAt(t, chromium, gated(t, m, "/eb/", open))
	chain := enginetest.Chain(4, 2, nil)
	m.follow(t, chain[:1])
	nodes[1].Script(enginetest.Rule{Method: "engine_newPayload", Status: "INVALID", ValidationError: "bad"})
	m.newPayload(t, chain[1])
	b.sees("the dispute, and its file", `document.querySelector("#pinned article") && `+
		`document.querySelector("#files").innerText.includes("KiB")`)
	downloads := t.TempDir()
	call(b, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{
		Behavior: "allow", DownloadPath: downloads,
	})
	eval[bool](b, `document.querySelector("#files button").click() || true`)
	apptest.Until(t, "the file is there", func() bool {
		found, err := filepath.Glob(filepath.Join(downloads, "*.json.gz"))
		m.REST(t, "GET", "/healthz", "") // a pause
		return err == nil && len(found) == 1
	})
}

// A dispute that goes on is one entry, told in the present; what to do can be pasted. When it is over, it is told so.
func dashboardOngoing(t *testing.T, chromium context.Context) {
	nodes := clients(t, 3)
	m := start(t, named(nodes), func(c *config.Config) { c.Version = "v9.8.7" })
	b := browse(t, chromium, m)
	chain := enginetest.Chain(4, 30, nil)
	m.follow(t, chain[:2])
	undo := nodes[1].Script(enginetest.Rule{Method: "engine_", Status: "INVALID", ValidationError: "bad state root"})
	m.follow(t, chain[2:28])
	b.sees("all of it", `document.querySelector("#pinned article")?.innerText.includes("52 calls so far")`)
	if got := b.text("#pinned"); strings.Count(got, "⚑") != 1 || !strings.Contains(got, "hears SYNCING") ||
		strings.Contains(got, "heard") || strings.Contains(got, "it went on") {
		t.Errorf("the dispute is told so: %q", got)
	}
	if got := b.text("#summary"); !containsAll(got, []string{
		"Dispute: nethermind-a calls block 3 INVALID, the consensus client hears SYNCING", "since ",
		"Validators don't attest", "executionbackup nodes drain nethermind-a",
	}) {
		t.Errorf("the summary says %q", got)
	}
	host, _ := os.Hostname()
	if got := eval[string](b, "document.title"); !strings.HasPrefix(got, "✕ Dispute: ") ||
		!strings.Contains(got, " – "+host+" · mainnet – ExecutionBackup") {
		t.Errorf("the title is %q", got)
	}
	if got := b.text("#instance"); !containsAll(got, []string{host, "mainnet", "v9.8.7", "up ", "on dispute: halt"}) {
		t.Errorf("who it is: %q", got)
	}
	b.sees("what the objector lost",
		`document.querySelector(".card[data-node=nethermind-a]").innerText.includes("52 lost")`)
	undo()
	m.must(t, "/clear_objections", "nethermind-a")
	m.follow(t, chain[28:])
	b.sees("it is over",
		`document.querySelector("#pinned article").innerText.includes("it went on for 52 calls, until")`)
}

// With one node, what it says and what it builds are shown.
func dashboardAlone(t *testing.T, chromium context.Context) {
	nodes := clients(t, 1)
	m := start(t, named(nodes), nil)
	b := browse(t, chromium, m)
	chain := enginetest.Chain(4, 3, nil)
	m.follow(t, chain)
	id := m.build(t, chain[2]).PayloadID
	offer(nodes[0], chain[2], "0x11c37937e08000", nil)
	m.call(t, "engine_getPayloadV4", id)
	b.sees("its verdicts", `document.querySelectorAll("#blocks .cell[data-vote=VALID]").length === 3`)
	b.sees("its build", `document.querySelector(".proposal")?.innerText.includes("0.005000 ETH")`)
}

// The page in the states that it is to be readable in. What is seen here is for people: screenshots/.
func dashboardScreens(t *testing.T, chromium context.Context) {
	for _, screen := range []struct {
		name  string
		nodes int
		ready string // holds when the state is reached, in JavaScript
		make  func(t *testing.T, m *multiplexer, nodes []*enginetest.Node, chain []enginetest.Payload)
	}{
		{"1-start", 1, `document.querySelectorAll(".card[data-condition=alive]").length === 1`,
			func(*testing.T, *multiplexer, []*enginetest.Node, []enginetest.Payload) {}},
		{"1-follows", 1, `document.querySelectorAll("#blocks li").length === 40`,
			func(t *testing.T, m *multiplexer, nodes []*enginetest.Node, chain []enginetest.Payload) {
				m.follow(t, chain)
			}},
		{"3-healthy", 3, `document.querySelectorAll("#blocks li").length === 40 && ` +
			`document.querySelectorAll(".proposal").length === 2`,
			func(t *testing.T, m *multiplexer, nodes []*enginetest.Node, chain []enginetest.Payload) {
				nodes[2].Script(enginetest.Rule{
					Method: "engine_newPayload", BlockHash: chain[30].Hash(), Delay: 300 * time.Millisecond,
				})
				m.follow(t, chain)
				propose(t, m, nodes, chain[39])
			}},
		{"3-dispute", 3, `document.querySelector("#pinned article")`,
			func(t *testing.T, m *multiplexer, nodes []*enginetest.Node, chain []enginetest.Payload) {
				m.follow(t, chain[:37])
				nodes[1].Script(enginetest.Rule{Method: "engine_", Status: "INVALID",
					ValidationError: "invalid block: state root mismatch, want 0x4c3d…, got 0x91ab…"})
				m.follow(t, chain[37:])
			}},
		{"3-majority", 3, `document.querySelector("#pinned article")`,
			func(t *testing.T, m *multiplexer, nodes []*enginetest.Node, chain []enginetest.Payload) {
				m.follow(t, chain[:37])
				nodes[1].Script(enginetest.Rule{
					Method: "engine_", Status: "INVALID", ValidationError: "bad state root",
				})
				m.follow(t, chain[37:])
			}},
		{"3-late-objection", 3, `document.querySelector("#pinned article")?.innerText.includes("Late objection")`,
			func(t *testing.T, m *multiplexer, nodes []*enginetest.Node, chain []enginetest.Payload) {
				m.follow(t, chain[:37])
				nodes[2].Script(enginetest.Rule{
					Method: "engine_newPayload", Status: "INVALID", ValidationError: "too late",
					Delay: 400 * time.Millisecond,
				})
				m.newPayload(t, chain[37])
			}},
		{"3-late", 3, `document.querySelector(".card[data-condition=late]")`,
			func(t *testing.T, m *multiplexer, nodes []*enginetest.Node, chain []enginetest.Payload) {
				m.follow(t, chain[:30])
				nodes[2].Script(enginetest.Rule{Method: "engine_newPayload", Delay: 350 * time.Millisecond})
				m.follow(t, chain[30:])
			}},
		{"3-shadow", 3, `document.querySelectorAll("#blocks .would").length === 3 && ` +
			`document.querySelectorAll(".proposal").length === 2`,
			func(t *testing.T, m *multiplexer, nodes []*enginetest.Node, chain []enginetest.Payload) {
				m.follow(t, chain[:37])
				m.settled(t, chain[36])
				propose(t, m, nodes, chain[36])
				nodes[1].Script(enginetest.Rule{
					Method: "engine_newPayload", Status: "INVALID", ValidationError: "bad state root",
				})
				m.follow(t, chain[37:])
				m.settled(t, chain[39])
			}},
		{"3-off", 3, `document.querySelector("#summary h1")?.textContent.startsWith("Mode off")`,
			func(t *testing.T, m *multiplexer, _ []*enginetest.Node, chain []enginetest.Payload) {
				m.follow(t, chain)
				m.must(t, "/drain_nodes", "besu-a")
				got := m.REST(t, "POST", "/mode", `{"mode":"off"}`, "Content-Type", "application/json")
				if got.Status != http.StatusOK {
					t.Fatal(got)
				}
			}},
		{"3-disputes", 3, `document.querySelectorAll("#pinned article").length === 1 && ` +
			`document.querySelectorAll("#pinned details").length === 4`,
			func(t *testing.T, m *multiplexer, nodes []*enginetest.Node, chain []enginetest.Payload) {
				m.follow(t, chain[:10])
				for i := 10; i < 20; i += 2 {
					nodes[2].Script(enginetest.Rule{
						Method: "engine_", BlockHash: chain[i].Hash(), Status: "INVALID", Times: 1,
					})
					m.newPayload(t, chain[i])
					m.must(t, "/clear_objections", "besu-a")
					m.follow(t, chain[i:i+2])
				}
			}},
		{"3-bad", 3, `document.querySelector(".card[data-condition=dead]") && ` +
			`document.querySelector(".card[data-condition=syncing]")`,
			func(t *testing.T, m *multiplexer, nodes []*enginetest.Node, chain []enginetest.Payload) {
				m.follow(t, chain[:37])
				nodes[1].Close()
				nodes[2].Script(enginetest.Rule{Method: "engine_", Status: "SYNCING"})
				nodes[2].Update(func(c *enginetest.Client) { c.Syncing = true })
				m.follow(t, chain[37:])
			}},
		{"3-none", 3, `document.querySelectorAll(".card[data-condition=dead]").length === 3`,
			func(t *testing.T, m *multiplexer, nodes []*enginetest.Node, chain []enginetest.Payload) {
				m.follow(t, chain[:10])
				for _, n := range nodes {
					n.Close()
				}
				m.newPayload(t, chain[10])
			}},
		{"12-mixed", 12, `document.querySelectorAll(".proposal").length === 2 && ` +
			`document.querySelector(".card[data-condition=late]")`,
			func(t *testing.T, m *multiplexer, nodes []*enginetest.Node, chain []enginetest.Payload) {
				m.follow(t, chain[:30])
				nodes[4].Close()
				nodes[7].Update(func(c *enginetest.Client) { c.Syncing = true })
				nodes[7].Script(enginetest.Rule{Method: "engine_", Status: "SYNCING"})
				nodes[9].Script(enginetest.Rule{Method: "engine_newPayload", Delay: 350 * time.Millisecond})
				m.must(t, "/drain_nodes", "reth-b")
				m.follow(t, chain[30:])
				propose(t, m, nodes, chain[39])
			}},
	} {
		t.Run(screen.name, func(t *testing.T) {
			nodes := clients(t, screen.nodes)
			m := start(t, named(nodes), func(c *config.Config) {
				c.Grace = 100 * time.Millisecond
				c.BuildGrace = 300 * time.Millisecond
				switch screen.name {
				case "3-majority":
					c.Rules.OnDispute = quorum.Majority
				case "3-shadow":
					c.Mode, c.ShadowNode = config.Shadow, "geth-a"
					c.Nodes[2].DoNotUse, c.Nodes[2].Shadow = true, true
				case "3-off":
					c.ShadowNode = "geth-a"
				}
			})
			b := browse(t, chromium, m)
			screen.make(t, m, nodes, enginetest.Chain(4, 40, func(p *enginetest.Payload) {
				if p.Number == 1 {
					p.Number = 25_214_000
				}
			}))
			b.sees(screen.name, screen.ready)
			b.sees("the heads", `[...document.querySelectorAll(".card[data-condition=alive]")].every((card) => `+
				`!card.innerText.includes("behind"))`)
			b.shootAll(screen.name)
		})
	}
}

// settled waits until all nodes have said what they say to the newPayload of a block: in shadow mode nobody else does.
func (m *multiplexer) settled(t testing.TB, block enginetest.Payload) {
	t.Helper()
	for _, n := range m.Nodes(t) {
		apptest.Until(t, n.Name+" has spoken", func() bool { return m.said(t, block, n.Name).Status != "" })
	}
}

// propose asks for two payloads: an ordinary one, and one for which the most valuable offer is no good.
func propose(t testing.TB, m *multiplexer, nodes []*enginetest.Node, head enginetest.Payload) {
	t.Helper()
	for _, wrong := range []uint64{0, 1} {
		begun := func() float64 { return m.Metric(t, "executionbackup_builds_total") }
		before := begun()
		id := m.build(t, head).PayloadID
		// In shadow mode the consensus client has its id before the others have given theirs.
		apptest.Until(t, "every node's id is known", func() bool { return begun() > before })
		for i, n := range nodes {
			value := fmt.Sprintf("0x%x", 31_000_000_000_000_000+uint64(i*7919%5)*4_123_456_789_012_345)
			offer(n, head, value, func(p *enginetest.Payload) {
				if i == 2 {
					p.Timestamp += wrong
				}
			})
		}
		m.call(t, "engine_getPayloadV4", id)
	}
}
