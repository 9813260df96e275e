package main

import (
	"bytes"
	"strings"
	"testing"
)

// What is remarked stays within the screen's width, long explanations too; what has no space isn't broken.
func TestRemarkFolds(t *testing.T) {
	var out bytes.Buffer
	long := strings.Repeat("Wörter ", 40)
	newScreen(&out).remark(dim, "first", "second=2", `why="`+long+`"`, strings.Repeat("x", 130), "last")
	var widths []int
	for line := range strings.Lines(out.String()) {
		widths = append(widths, len([]rune(line))-1)
	}
	if len(widths) != 6 || widths[1] > 120 || widths[2] > 120 || widths[3] > 120 || widths[4] != 136 {
		t.Errorf("widths %v of\n%s", widths, out.String())
	}
	if got := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(got, strings.TrimSpace(long)) {
		t.Errorf("the words have changed:\n%s", out.String())
	}
}
