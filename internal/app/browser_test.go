package app_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"executionbackup/internal/apptest"
)

// Tests in a browser don't run beside others: they take the machine that those measure time on.

// browser is a tab of a headless Chromium, and what its console has said.
type browser struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	problems []string
	refused  bool // connections are to be refused: that is no problem, whenever the console tells of it
}

// findBrowser returns the path of a Chromium. Without one the test is skipped, but never in CI.
func findBrowser(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("no browser found, and CI must have one: install Debian's package chromium")
	}
	t.Skip("no browser found: install chromium to test the dashboard")
	return ""
}

// launch starts a headless Chromium for the tests below t.
func launch(t *testing.T) context.Context {
	t.Helper()
	alloc, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(findBrowser(t)), chromedp.DisableGPU, chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))...)
	ctx, _ := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("close the browser: %v", err)
		}
		stop()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	return ctx
}

// browse opens the dashboard in a tab of its own, and closes it with the test. By then its console must not have said
// anything.
func browse(t testing.TB, chromium context.Context, m *multiplexer) *browser {
	t.Helper()
	return browseAt(t, chromium, m.URL+"/")
}

// browseAt is browse, where the page has another address.
func browseAt(t testing.TB, chromium context.Context, url string) *browser {
	t.Helper()
	ctx, _ := chromedp.NewContext(chromium)
	b := &browser{t: t, ctx: ctx}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("close the tab: %v", err)
		}
		if said := b.said(); len(said) > 0 {
			t.Errorf("the console has:\n%s", strings.Join(said, "\n"))
		}
	})
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	call(b, cdplog.Enable, cdp.Empty{})
	call(b, runtime.Enable, cdp.Empty{})
	b.do(chromedp.Navigate(url))
	return b
}

// listen notes errors, warnings and violations of the Content-Security-Policy.
func (b *browser) listen(event any) {
	problem := ""
	switch e := event.(type) {
	case *cdplog.EventEntryAdded:
		problem = fmt.Sprintf("%s (%s): %s %s", e.Entry.Level, e.Entry.Source, e.Entry.Text, e.Entry.URL)
	case *runtime.EventExceptionThrown:
		problem = "exception: " + e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		problem = "console: " + string(e.Type)
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.refused || !strings.Contains(problem, "net::ERR_") {
		b.problems = append(b.problems, problem)
	}
}

// said returns what the console has said since it was last asked.
func (b *browser) said() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	said := b.problems
	b.problems = nil
	return said
}

// call makes a call of the browser's own protocol.
func call[P, R any](b *browser, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	result, err := chromedp.Call(b.ctx, command, params)
	if err != nil {
		b.t.Fatalf("browser: %s: %v", command.Method, err)
	}
	return result
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatalf("browser: %v", err)
	}
}

// eval returns the value of a JavaScript expression.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("browser: %v in %s", err, expression)
	}
	return v
}

// sees returns once a JavaScript condition holds, with the time that this took in the page.
func (b *browser) sees(what, condition string) time.Duration {
	b.t.Helper()
	ms := eval[float64](b, fmt.Sprintf(`(async () => {
		const begun = performance.now();
		while (!(%s)) {
			if (performance.now() - begun > %d) return -1;
			await new Promise((next) => setTimeout(next, 20));
		}
		return performance.now() - begun;
	})()`, condition, apptest.Patience.Milliseconds()))
	if ms < 0 {
		b.shoot("failed")
		b.t.Fatalf("not seen within %v: %s (%s); the page has:\n%s", apptest.Patience, what, condition, b.text("body"))
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// text returns an element's visible text.
func (b *browser) text(selector string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf("document.querySelector(%q)?.innerText ?? 'no such element'", selector))
}

// view sets the theme that the system prefers, and the size of the window in pixels.
func (b *browser) view(theme string, width, height int64) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
	})
	b.do(chromedp.EmulateViewport(width, height))
}

// artefacts is where screenshots end up, unless SCREENSHOTS names another directory. Git ignores it.
var artefacts = cmp.Or(os.Getenv("SCREENSHOTS"), "../../screenshots")

// shoot keeps a picture of the whole page.
func (b *browser) shoot(name string) {
	b.t.Helper()
	whole := true
	picture := call(b, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &whole}).Data
	if err := os.MkdirAll(artefacts, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(artefacts, name+".png"), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// shootAll keeps pictures in both themes, on a desk and on a phone. Nothing may stick out, and all must be readable.
func (b *browser) shootAll(name string) {
	b.t.Helper()
	for _, theme := range []string{"light", "dark"} {
		for device, size := range map[string][2]int64{"desk": {1440, 900}, "phone": {390, 844}} {
			b.view(theme, size[0], size[1])
			b.shoot(name + "-" + device + "-" + theme)
			if wide := eval[int64](b, "document.documentElement.scrollWidth"); wide > size[0] {
				b.t.Errorf("%s on a %s is %d pixels wide, want %d", name, device, wide, size[0])
			}
			if faint := eval[string](b, faintText); faint != "" {
				b.t.Errorf("%s on a %s, %s: too little contrast in %s", name, device, theme, faint)
			}
			b.isAccessible(name + " on a " + device + ", " + theme)
		}
	}
}

// axe is the source of axe-core, which finds what keeps people from using a page by keyboard or screen reader; "" where
// AXE doesn't name its file (axe.min.js of the npm package axe-core), which is an error in CI only.
var axe = sync.OnceValues(func() (source string, err error) {
	path := os.Getenv("AXE")
	if path == "" {
		if os.Getenv("CI") == "true" {
			return "", errors.New("AXE is not set, and CI must have axe-core: see .ci/run")
		}
		return "", nil
	}
	content, err := os.ReadFile(path)
	return string(content), err
})

// isAccessible fails the test where axe-core finds something serious or critical. Without axe-core it says so.
func (b *browser) isAccessible(what string) {
	b.t.Helper()
	source, err := axe()
	if err != nil {
		b.t.Fatal(err)
	}
	if source == "" {
		b.t.Log("AXE doesn't name axe-core's axe.min.js: what it would find isn't looked for")
		return
	}
	eval[bool](b, source+"; true")
	for _, found := range eval[[]string](b, `axe.run(document, { resultTypes: ["violations"] }).then((r) => r.violations
		.filter((v) => v.impact === "serious" || v.impact === "critical")
		.flatMap((v) => v.nodes.map((n) => v.id + ": " + v.help + ": " + n.html.slice(0, 200) + " " +
			n.any.map((c) => c.message).join("; "))))`) {
		b.t.Errorf("%s: %s", what, found)
	}
}

// faintText finds a text whose contrast to what is behind it is less than 4.5 to 1 (WCAG 2, AA).
const faintText = `(() => {
	const parse = (color) => color.match(/[\d.]+/g).map(Number);
	const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
		.map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
		.reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let text; (text = texts.nextNode());) {
		if (text.data.trim() === "" || !text.parentElement.checkVisibility()) continue;
		let behind = text.parentElement, color = parse(getComputedStyle(behind).color);
		while (behind && parse(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
		const [a, b] = [light(color), light(parse(getComputedStyle(behind).backgroundColor))].sort((a, b) => b - a);
		const ratio = (a + 0.05) / (b + 0.05);
		if (ratio < 4.5)
			return ratio.toFixed(1) + ": " + text.data + " in " + text.parentElement.outerHTML.slice(0, 200);
	}
	return "";
})()`
