package app_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image/png"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"

	"executionbackup/internal/enginetest"
)

var updatePicture = flag.Bool("picture", false, "write the picture of the page that README.md shows")

// The picture in README.md, and its size in pixels and at most in bytes.
const (
	pictureFile                 = "docs/images/page.png"
	pictureWidth, pictureHeight = 1200, 815
	pictureBytes                = 300_000
)

// README.md shows the page as it is, with three nodes that follow. Pixels are not compared, because every machine has
// its own fonts; but the picture must have the size of one that is made here.
func dashboardPicture(t *testing.T, chromium context.Context) {
	nodes := clients(t, 3)
	m := startLed(t, named(nodes), nil)
	b := browse(t, chromium, m)
	slot := uint64(time.Now().Unix()) - 1
	chain := enginetest.Chain(4, 16, func(p *enginetest.Payload) {
		if p.Number == 1 {
			p.Number = 25_214_000
		}
		p.Timestamp = slot
	})
	for i, usual := range []int{14, 41, 26} {
		for j, p := range chain {
			took := time.Duration(usual+(i+2)*(j*j*7%11)) * time.Millisecond
			nodes[i].Script(enginetest.Rule{Method: "engine_newPayload", BlockHash: p.Hash(), Delay: took})
		}
	}
	m.follow(t, chain)
	b.sees("the blocks", fmt.Sprintf(`document.querySelectorAll("#blocks li").length === %d`, len(chain)))
	b.sees("the heads", `[...document.querySelectorAll(".card")].`+
		`every((card) => card.innerText.includes("`+chain[len(chain)-1].Hash()[:8]+`"))`)

	b.view("light", pictureWidth, pictureHeight)
	// It has no name of this machine, and doesn't look like one that was started a second ago.
	eval[bool](b, `(() => {
		document.querySelector("#instance b").textContent = "validator-1";
		for (const age of document.querySelectorAll("#instance time, .card time"))
			age.dateTime = new Date(Date.now() - 3 * 86_400_000).toISOString();
		return true;
	})()`)
	b.sees("the ages", `document.querySelector("#instance time").textContent === "3 days"`)
	picture := call(b, page.CaptureScreenshot, page.CaptureScreenshotParams{}).Data
	if *updatePicture {
		if err := os.WriteFile("../../"+pictureFile, picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shown, err := os.ReadFile("../../" + pictureFile)
	if err != nil {
		t.Fatalf("%v (make it: go test ./internal/app -run TestDashboard/picture -picture)", err)
	}
	if got, want := pictureSize(t, shown), pictureSize(t, picture); got != want {
		t.Errorf("%s has the size %v, and the page's picture %v: make it again", pictureFile, got, want)
	}
}

// README.md shows the picture, which is not too large for it.
func TestPictureIsShown(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "]("+pictureFile+")") {
		t.Errorf("README.md doesn't show %s", pictureFile)
	}
	shown, err := os.ReadFile("../../" + pictureFile)
	if err != nil {
		t.Fatal(err)
	}
	want := [2]int{pictureWidth, pictureHeight}
	if got := pictureSize(t, shown); got != want || len(shown) > pictureBytes {
		t.Errorf("%s: got %v pixels in %d bytes, want %v in %d", pictureFile, got, len(shown), want, pictureBytes)
	}
}

func pictureSize(t testing.TB, picture []byte) [2]int {
	t.Helper()
	c, err := png.DecodeConfig(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	return [2]int{c.Width, c.Height}
}
