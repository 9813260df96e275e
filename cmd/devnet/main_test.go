package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A round of chaos: no block is missed, whatever happens to one or two nodes, and a stopped one votes again. How many
// blocks that takes depends on how long a geth takes to start.
func TestChaos(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	keys, typing := io.Pipe()
	out := &watcher{want: "the dispute is over", then: func(string) { typing.Write([]byte("x")) }}
	var complaints bytes.Buffer
	status := run(ctx, []string{"--port", "0", "--chaos", "--period", "200ms"}, keys, out, &complaints)
	text := out.text.String()
	if status != 0 || complaints.Len() > 0 {
		t.Fatalf("status %d: %s\n%s", status, complaints.String(), text)
	}
	for _, want := range []string{
		`(?m)^#\d+ .*VALID .*geth-1 VALID .*geth-2 VALID .*geth-3 VALID .*$`,
		`> stop geth-1`, `> start geth-1`, `caught up  node=geth-1`,
		`> hang geth-2`, `> resume geth-2`, `node is a laggard: nobody waits for it  node=geth-2`,
		`> make geth-3 lie`, `halted: dispute`, `the dispute is over`,
		`a fork: from now on engine_newPayloadV5`,
		`[1-9]\d* blocks, 0 missed, 0 failed calls; [1-9]\d* slots halted by a dispute`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no line like %q in\n%s", want, text)
		}
	}
	_, after, _ := strings.Cut(text, "caught up  node=geth-1")
	if !strings.Contains(after, "geth-1 VALID") {
		t.Errorf("geth-1 doesn't vote any more:\n%s", text)
	}
}

// The chain ends by itself after so many blocks.
func TestBlocks(t *testing.T) {
	var out bytes.Buffer
	args := []string{"--port", "0", "--blocks", "4", "--period", "50ms"}
	if status := run(t.Context(), args, strings.NewReader(""), &out, io.Discard); status != 0 {
		t.Fatalf("status %d:\n%s", status, out.String())
	}
	if !strings.Contains(out.String(), "4 blocks, 0 missed, 0 failed calls; 0 slots halted by a dispute") {
		t.Errorf("got\n%s", out.String())
	}
}

// The chain ends with a key, and what it needed is removed.
func TestKeys(t *testing.T) {
	keys, typing := io.Pipe()
	out := &watcher{want: "#3 ", then: func(string) { typing.Write([]byte("x")) }}
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	if status := run(t.Context(), []string{"--port", "0", "--period", "50ms"}, keys, out, io.Discard); status != 0 {
		t.Fatalf("status %d:\n%s", status, out.text.String())
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A slot begins with its payload's timestamp: no payload is asked about before it, nor very long after it.
func TestSlots(t *testing.T) {
	keys, typing := io.Pipe()
	var blocks []struct{ Asked *int64 } // microseconds
	var err error
	out := &watcher{want: "#5 ", then: func(text string) {
		defer typing.Write([]byte("x"))
		var response *http.Response
		if response, err = http.Get(regexp.MustCompile(`http://\S+`).FindString(text) + "/blocks"); err != nil {
			return
		}
		defer response.Body.Close()
		err = json.NewDecoder(response.Body).Decode(&blocks)
	}}
	if status := run(t.Context(), []string{"--port", "0", "--period", "1s"}, keys, out, io.Discard); status != 0 {
		t.Fatalf("status %d:\n%s", status, out.text.String())
	}
	if err != nil || len(blocks) < 4 {
		t.Fatalf("got %d blocks, %v", len(blocks), err)
	}
	for _, b := range blocks {
		if b.Asked == nil || *b.Asked < 0 || time.Duration(*b.Asked)*time.Microsecond > patience {
			t.Errorf("asked at %v:\n%s", b.Asked, out.text.String())
		}
	}
}

// watcher calls then, with what is written up to there, when want is written.
type watcher struct {
	text bytes.Buffer
	want string
	then func(text string)
}

func (w *watcher) Write(b []byte) (int, error) {
	w.text.Write(b)
	if w.then != nil && strings.Contains(w.text.String(), w.want) {
		go w.then(w.text.String())
		w.then = nil
	}
	return len(b), nil
}

func TestBadFlags(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"now", 2, `unexpected "now": there are only flags`},
		{"--period 0s", 2, "--period must be more than 0"},
		{"--port 65535", 2, "--port must have room for three more ports"},
		{fmt.Sprint("--port ", port-1), 1, "--port"},
		{fmt.Sprint("--data ", os.Args[0]), 1, "--data"},
		{"--genesis genesis.json", 2, "--genesis is for your own consensus client"},
		{"--cl --period 500ms", 2, "--period must be 1s or more with --cl"},
		{"--cl --genesis nowhere.json", 1, "--genesis: open nowhere.json"},
		{"--cl --genesis main_test.go", 1, "--genesis: main_test.go: invalid character"},
		{"--cl --genesis testdata/empty.json", 1, "--genesis: testdata/empty.json has no config.chainId"},
		{"--cl --genesis testdata/nocontracts.json", 1, "lacks the system contract 0x00000961"},
	} {
		var complaints bytes.Buffer
		status := run(t.Context(), strings.Fields(c.args), strings.NewReader(""), io.Discard, &complaints)
		if status != c.status || !strings.Contains(complaints.String(), c.want) {
			t.Errorf("%s: status %d, %q; want %d, %q", c.args, status, complaints.String(), c.status, c.want)
		}
	}
}
