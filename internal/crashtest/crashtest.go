//go:build unix

// Package crashtest shows what outlives a process: it plays one script to two ExecutionBackups, each before nodes of
// its own that say the same. One of the two is killed with kill -9 again and again. What they answer is compared.
//
//	script.go   what happens: blocks, disputes and their ends, builds, drains, deaths
//	side.go     an ExecutionBackup, its nodes, and who starts it again
//	play.go     the comparison, and the kills
package crashtest

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Options say how much is played.
type Options struct {
	Command []string // the daemon: a program, and the arguments before its flags
	Env     []string
	Slots   int // how many payloads at least
	Kills   int // how many at least
	Seed    uint64
}

// Run plays a script to an ExecutionBackup that is killed, and to its twin, which isn't. It fails the test where the
// former answers what it may not.
func Run(t *testing.T, o Options) {
	t.Logf("the seed is %d", o.Seed)
	p := &play{
		t: t, random: rand.New(rand.NewPCG(o.Seed, 1)), kills: o.Kills, heard: make(map[string]int),
		subject: newSide(t, "the one that is killed", o), twin: newSide(t, "its twin", o),
	}
	s := newScript(o.Seed)
	begun := time.Now()
	for s.slots < o.Slots || p.killed < o.Kills {
		for _, st := range s.next() {
			p.step(&st)
		}
		p.compareNodes("after an episode", kept.whole)
	}
	p.end()
	t.Logf("%d slots and %d answers in %v; %d kills, %d of them in the middle of a call; the twin said %v, and the "+
		"other one %d times SYNCING to its INVALID; %d times something said late was lost", s.slots, p.answers,
		time.Since(begun).Round(time.Second), p.killed, p.broken, p.heard, p.unsure, p.excused)
}
