package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/enginetest"
	"executionbackup/internal/geth"
)

// told are nodes n1, n2, … that say these of their forks, in the order of the words (see tell), and the flags for them.
// date is that of the next fork.
func told(t *testing.T, words string) (nodes []*enginetest.Node, flags []string, date string) {
	t.Helper()
	at := time.Now().Add(6*24*time.Hour + time.Hour)
	flags = []string{"-j", secretFile(t)}
	for i, word := range strings.Fields(words) {
		n := enginetest.New(t, enginetest.Client{})
		tell(n, word, at)
		nodes = append(nodes, n)
		flags = append(flags, "-n", spec(n, fmt.Sprintf("#name=n%d#timeout=500", i+1)))
	}
	return nodes, flags, at.UTC().Format("2006-01-02 15:04:05 UTC")
}

// tell makes a node know the next fork (ready; foreign: on another chain; wrong: with another present one), another at
// that time (other), none (late), or fail to say so. One that is mute doesn't have the method, one that is old none of
// newPayload's for the fork.
func tell(n *enginetest.Node, word string, at time.Time) {
	now := enginetest.Fork{At: time.Unix(1764798551, 0), ID: "0x5167e2a6"}
	next := enginetest.Fork{At: at, ID: "0x0000000a"}
	switch word {
	case "ready":
		n.TellForks(now, next)
	case "foreign":
		n.Update(func(c *enginetest.Client) { c.ChainID = 5 })
		n.TellForks(now, next)
	case "wrong":
		now.ID = "0x00000001"
		n.TellForks(now, next)
	case "other":
		next.ID = "0x0000000b"
		n.TellForks(now, next)
	case "old":
		n.TellForks(now, next)
		n.Update(func(c *enginetest.Client) { c.Capabilities = []string{"engine_newPayloadV4"} })
	case "late":
		n.TellForks(now)
	case "dead":
		n.Close()
	case "hangs":
		n.Script(enginetest.Rule{Method: "eth_config", Hang: true})
	case "nonsense":
		n.Script(enginetest.Rule{Method: "eth_config", Result: `[]`})
	}
}

// What check finds wrong with forks. DATE is that of the next one.
func TestCheckForks(t *testing.T) {
	const (
		one    = "one at DATE, in 6 days (fork id 0x0000000a)"
		before = "upgrade it, or set its forks (geth: --override.…), before DATE"
		others = "upgrade the others, unless no such fork is planned"
		now    = "find out which side is right, and upgrade or configure the other one now: they judge blocks by "
		both   = "0x5167e2a6, next 0x0000000a"
	)
	for _, test := range []struct {
		said  string
		fork  string // the last node's column
		below []string
	}{
		{"ready ready ready", both, nil},
		{"late late", "0x5167e2a6", nil},
		{"mute mute", "-", nil},
		{"ready ready mute", "-",
			[]string{"note: n3: it doesn't tell all of its forks: the method eth_config does not exist"}},
		{"ready nonsense", "-", []string{"note: n2: it doesn't tell all of its forks: no object"}},
		{"ready hangs", "-", []string{"note: n2: it doesn't tell all of its forks: no answer in "}},
		{"ready dead", "", []string{"problem: n2: unreachable: dial tcp "}}, // and no note
		{"ready ready late", "0x5167e2a6",
			[]string{"problem: n3: its forks differ in next: no next fork; the others: " + one + ": " + before}},
		{"late late ready", both,
			[]string{"problem: n3: its forks differ in next: " + one + "; the others: no next fork: " + others}},
		{"late ready", both, []string{
			"problem: n1: its forks differ in next: no next fork; the others: " + one + ": " + before,
			"problem: n2: its forks differ in next: " + one + "; the others: no next fork: " + others,
		}},
		{"ready ready other", "0x5167e2a6, next 0x0000000b", []string{
			"problem: n3: its forks differ in next.forkId: 0x0000000b; the others: 0x0000000a: " + before,
		}},
		{"ready ready wrong", "0x00000001, next 0x0000000a", []string{
			"problem: n3: its forks differ in current.forkId: 0x00000001; the others: 0x5167e2a6: " + now,
		}},
	} {
		t.Run(test.said, func(t *testing.T) {
			t.Parallel()
			_, flags, date := told(t, test.said)
			status, table, below := checked(t, flags...)
			var lines []string
			problems := 0
			for line := range strings.Lines(strings.ReplaceAll(below, date, "DATE")) {
				if strings.HasPrefix(line, "problem: ") {
					problems++
				}
				lines = append(lines, line)
			}
			if status != min(1, problems) || len(lines) != len(test.below)+1 {
				t.Errorf("status %d:\n%s", status, below)
			}
			for i, want := range test.below {
				if i < len(lines) && !strings.HasPrefix(lines[i], want) {
					t.Errorf("got  %swant %s", lines[i], want)
				}
			}
			row := strings.Join(table[len(table)-1], " ")
			if want := "geth/v1.17.10 " + test.fork + " -"; test.fork != "" && !strings.HasSuffix(row, want) {
				t.Errorf("got %s, want %s", row, want)
			}
		})
	}
}

// check --fork succeeds only where all nodes know the same next fork, and says of each what it says.
func TestCheckFork(t *testing.T) {
	const fork = "DATE, in 6 days (fork id 0x0000000a)"
	const none = "executionbackup: no node knows of a next fork: either none is scheduled, or all of them are too old"
	for _, test := range []struct {
		said   string
		status int
		last   string // the last node's line
		end    string // the last line
	}{
		{"ready ready ready", 0, fork, "every node knows the next fork: " + fork},
		{"ready", 0, fork, "every node knows the next fork: " + fork},
		{"wrong ready", 0, fork, "every node knows the next fork: " + fork}, // that they differ now is for check
		{"ready ready late", 1, "it knows of no next fork",
			"executionbackup: not ready for the fork at " + fork + ": n3"},
		{"late dead ready other", 1, "it has another configuration for it",
			"executionbackup: not ready for the fork at " + fork + ": n1, n4; unknown: n2"},
		{"ready ready mute", 1, "unknown: the method eth_config does not exist",
			"executionbackup: not every node is known to be ready for the fork at " + fork + "; unknown: n3"},
		{"ready dead", 1, "unknown: dial tcp",
			"executionbackup: not every node is known to be ready for the fork at " + fork + "; unknown: n2"},
		{"ready hangs", 1, "unknown: no answer in ",
			"executionbackup: not every node is known to be ready for the fork at " + fork + "; unknown: n2"},
		{"ready ready foreign", 1, "unknown: it is on another chain",
			"executionbackup: not every node is known to be ready for the fork at " + fork + "; unknown: n3"},
		{"ready old", 1, fork + "; it lacks engine_newPayload",
			"executionbackup: not ready for the fork at " + fork + ": n2"},
		{"late late", 1, "it knows of no next fork", none},
		{"late mute", 1, "unknown: the method eth_config does not exist", none + "; unknown: n2"},
		{"mute mute", 1, "unknown: the method eth_config does not exist",
			"executionbackup: no node tells its forks: look at each client's releases"},
	} {
		t.Run(test.said, func(t *testing.T) {
			t.Parallel()
			nodes, flags, date := told(t, test.said)
			status, stdout, stderr := execute(t, nil, append([]string{"check", "--fork"}, flags...)...)
			text := strings.ReplaceAll(stdout+stderr, date, "DATE")
			lines := strings.Split(strings.TrimSpace(text), "\n")
			if status != test.status || len(lines) != len(nodes)+3 || lines[len(lines)-1] != test.end {
				t.Errorf("status %d:\n%s\nwant %s", status, text, test.end)
			}
			for i := range nodes {
				if !strings.HasPrefix(lines[i+1], fmt.Sprintf("n%d ", i+1)) {
					t.Errorf("got %s", lines[i+1])
				}
			}
			client := "geth/v1.17.10 "
			if strings.HasSuffix(test.said, "dead") {
				client = "unknown client "
			}
			row := strings.Join(strings.Fields(lines[len(nodes)]), " ")
			if want := fmt.Sprintf("n%d %s%s", len(nodes), client, test.last); !strings.HasPrefix(row, want) {
				t.Errorf("got %s, want %s", row, want)
			}
		})
	}
}

// Of three geths with one genesis one lacks the next fork: check says which, and so does check --fork.
func TestCheckForksOfGeths(t *testing.T) {
	at := uint64(time.Now().Add(3 * time.Hour).Unix())
	date := time.Unix(int64(at), 0).UTC().Format("2006-01-02 15:04:05 UTC")
	flags := []string{"-j", secretFile(t)}
	for i, amsterdam := range []*uint64{&at, nil, &at} {
		now := new(uint64)
		node, err := geth.Start(geth.Config{Secret: [32]byte(secret), Genesis: geth.Genesis(geth.Schedule{
			Shanghai: now, Cancun: now, Prague: now, Osaka: now, Amsterdam: amsterdam,
		})})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { node.Stop() })
		flags = append(flags, "-n", fmt.Sprintf("%s#name=g%d", node.AuthURL(), i+1))
	}
	status, _, below := checked(t, flags...)
	if want := "problem: g2: its forks differ in next: no next fork; the others: one at " + date; status != 1 ||
		!strings.HasPrefix(below, want) || strings.Count(below, "its forks differ") != 1 {
		t.Errorf("status %d: %s\nwant %s", status, below, want)
	}
	status, stdout, stderr := execute(t, nil, append([]string{"check", "--fork"}, flags...)...)
	for _, want := range []string{"not ready for the fork at " + date, ": g2\n"} {
		if status != 1 || !strings.Contains(stderr, want) {
			t.Errorf("status %d: %s%s\nwant %s", status, stdout, stderr, want)
		}
	}
}

// status counts down to the next fork, and says whose forks differ.
func TestStatusForks(t *testing.T) {
	_, flags, date := told(t, "ready ready late")
	d := start(t, nil, flags...)
	d.log.Wait(t, "a node's fork configuration differs", "node=n3")
	status, stdout, stderr := execute(t, nil, "status", d.URL)
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	stdout = stdout[strings.Index(stdout, "next fork in"):]
	lines := strings.Split(strings.ReplaceAll(stdout, date, "DATE"), "\n")
	for i, want := range []string{
		"next fork in 6 days, DATE (fork id 0x0000000a), 2 of 3 nodes know it",
		"3 of 3 nodes vote, no payload from the consensus client yet, no dispute yet",
		"n3's next: no next fork; the others: one at DATE, in 6 days (fork id 0x0000000a)",
	} {
		if lines[i] != want {
			t.Errorf("got  %s\nwant %s", lines[i], want)
		}
	}
}
