//go:build e2e

package soak

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// level is what the process of ExecutionBackup has in use at some time, while nothing is broken.
type level struct {
	process                              int           // which of those that were started
	age                                  time.Duration // since that one was started
	resident                             int           // bytes
	goroutines, descriptors, connections int
}

func (l level) String() string {
	return fmt.Sprintf("%d MB resident, %d goroutines, %d descriptors, %d connections", l.resident>>20, l.goroutines,
		l.descriptors, l.connections)
}

// level reads it all.
func (m *multiplexer) level() (l level, err error) {
	p, starts := m.current()
	l.process, l.age = starts, m.age()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Cmd.Process.Pid))
	if err != nil {
		return l, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kilobytes, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		return l, err
	}
	l.resident = kilobytes << 10
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Cmd.Process.Pid))
	if err != nil {
		return l, err
	}
	l.descriptors = len(files)
	goroutines, err := m.metric("go_goroutines")
	if err != nil {
		return l, err
	}
	connections, err := m.metric("executionbackup_connections")
	l.goroutines, l.connections = int(goroutines), int(connections)
	return l, err
}

// grown is from when on a process should not grow: what it keeps is full.
const grown = 10 * time.Minute

// base is the level of the last process that its last one is held against: that after ten minutes, or where it isn't
// twice as old, after half of its life. Of those before, the nearest counts; where there is none, the first after it.
func base(levels []level) (b level) {
	last := levels[len(levels)-1]
	for _, l := range levels {
		if l.process == last.process && (b.process == 0 || l.age <= min(grown, last.age/2)) {
			b = l
		}
	}
	return b
}

// compare says what has grown from one level to another. The margins are for what comes and goes: a goroutine and a
// descriptor for each connection, of which a node that came back has a few more, and garbage that isn't collected yet.
func compare(before, after level) (wrong []string) {
	for _, c := range []struct {
		what          string
		before, after int
		margin        int
	}{
		{"goroutines", before.goroutines, after.goroutines, 15},
		{"descriptors", before.descriptors, after.descriptors, 10},
		{"connections", before.connections, after.connections, 5},
		{"MB resident", before.resident >> 20, after.resident >> 20, 24 + before.resident>>22},
	} {
		if c.after > c.before+c.margin {
			wrong = append(wrong, fmt.Sprintf("%d %s after %v, %d after %v", c.before, c.what,
				before.age.Round(time.Second), c.after, after.age.Round(time.Second)))
		}
	}
	return wrong
}

// Which level is the base, and what is too much beside it.
func TestLevels(t *testing.T) {
	at := func(process int, minutes time.Duration) level {
		return level{process: process, age: minutes * time.Minute, resident: 80 << 20, goroutines: 50, descriptors: 30,
			connections: 4}
	}
	for _, c := range []struct {
		levels []level
		want   level
	}{
		{[]level{at(1, 1), at(1, 9), at(1, 10), at(1, 11), at(1, 60)}, at(1, 10)},
		{[]level{at(1, 10), at(2, 1), at(2, 2), at(2, 3), at(2, 4)}, at(2, 2)},
		{[]level{at(1, 10), at(2, 1)}, at(2, 1)},
		{[]level{at(1, 2), at(1, 3), at(1, 8), at(1, 10)}, at(1, 3)},
		{[]level{at(1, 8), at(1, 9), at(1, 10)}, at(1, 8)},
	} {
		if got := base(c.levels); got != c.want {
			t.Errorf("the base of %v is %v, want %v", c.levels, got, c.want)
		}
	}
	before := at(1, 10)
	if wrong := compare(before, before); wrong != nil {
		t.Errorf("the same level: %q", wrong)
	}
	for _, grow := range []func(l *level){
		func(l *level) { l.goroutines += 16 },
		func(l *level) { l.descriptors += 11 },
		func(l *level) { l.connections += 6 },
		func(l *level) { l.resident += 45 << 20 },
	} {
		after := before
		grow(&after)
		if wrong := compare(before, after); len(wrong) != 1 {
			t.Errorf("%v after %v: %q", after, before, wrong)
		}
	}
}
