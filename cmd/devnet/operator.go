package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"executionbackup/internal/config"
)

// operator breaks nodes and mends them, as the keys say or by a plan. All that it does, one goroutine does.
type operator struct {
	net    *network
	screen *screen
	quit   func()
	chaos  *chaos // nil where there is no plan

	slots chan bool
	done  chan struct{}
	errs  []error // of nodes that could not be broken or mended
	mode  int     // which of config.Modes there is
}

// startOperator starts the operator, who works until ctx ends.
func startOperator(
	ctx context.Context, net *network, screen *screen, planned bool, keys <-chan byte, quit func(),
) *operator {
	o := &operator{net: net, screen: screen, quit: quit, slots: make(chan bool), done: make(chan struct{})}
	if planned {
		o.chaos = new(chaos)
	}
	go func() {
		defer close(o.done)
		o.work(ctx, keys)
	}()
	return o
}

// wait waits until the operator has ended, and says what could not be done.
func (o *operator) wait() error {
	<-o.done
	return errors.Join(o.errs...)
}

// hear tells the operator that a slot is over, and whether all is well. While it is busy it doesn't listen.
func (o *operator) hear(well bool) {
	select {
	case o.slots <- well:
	default:
	}
}

func (o *operator) work(ctx context.Context, keys <-chan byte) {
	for {
		select {
		case key := <-keys:
			o.press(ctx, key)
		case well := <-o.slots:
			if o.chaos == nil {
				continue
			}
			for _, key := range []byte(o.chaos.slot(well)) {
				o.press(ctx, key)
			}
		case <-ctx.Done():
			return
		}
	}
}

// rows are the keys for each fault, one for each node.
var rows = [...]string{stopped: "123", hangs: "qwe", lies: "asd"}

const ctrlC = 3 // a raw terminal sends no signal

func (o *operator) press(ctx context.Context, key byte) {
	switch key {
	case 'c':
		o.screen.remark(bold, "> clear objections")
		if err := o.net.rest(ctx, "/clear_objections", map[string]any{"nodes": nodeNames}, nil); err != nil {
			o.failed(err)
		}
	case 'm':
		o.chooseMode(ctx)
	case '?':
		help(o.screen)
	case 'x', ctrlC:
		o.quit()
	}
	for fault, row := range rows {
		if i := strings.IndexByte(row, key); i >= 0 {
			o.toggle(o.net.nodes[i], mode(fault))
		}
	}
}

// chooseMode goes from one mode to the next.
func (o *operator) chooseMode(ctx context.Context) {
	modes := config.Modes()
	o.mode = (o.mode + 1) % len(modes)
	o.screen.remark(bold, "> mode "+string(modes[o.mode]))
	if err := o.net.rest(ctx, "/mode", map[string]config.Mode{"mode": modes[o.mode]}, nil); err != nil {
		o.failed(err)
	}
}

// toggle breaks a node in one way, or mends it where it is broken in that way.
func (o *operator) toggle(n *node, fault mode) {
	do := [...]string{stopped: "stop %s", hangs: "hang %s", lies: "make %s lie"}
	undo := [...]string{stopped: "start %s", hangs: "resume %s", lies: "make %s honest"}
	to, what := fault, do[fault]
	switch n.gate.now() {
	case fault:
		to, what = works, undo[fault]
	case stopped:
		o.screen.remark(bold, "> "+n.name+" is stopped: start it first")
		return
	}
	o.screen.remark(bold, "> "+fmt.Sprintf(what, n.name))
	if err := n.switchTo(to); err != nil {
		o.failed(err)
	}
}

func (o *operator) failed(err error) {
	o.errs = append(o.errs, err)
	o.screen.remark(red, "> "+err.Error())
}

// faults are what --chaos does to the nodes, by the keys that do it: one dies, one hangs, one lies, two die. A lie is a
// short one, because the dispute halts the chain.
var faults = []struct {
	keys  string
	slots int // that it lasts at least
}{{"1", 5}, {"w", 5}, {"d", 2}, {"23", 5}}

// pause is how many slots there are at least between two faults.
const pause = 5

// chaos is the plan of --chaos: after each fault it waits until all is well again. Then comes the next, and in the end
// the first again, for the next node.
type chaos struct {
	fault  int // how many are over
	broken bool
	slots  int // since the last change
}

// slot returns the keys to press after a slot, which went well or not.
func (c *chaos) slot(well bool) string {
	c.slots++
	fault, round := faults[c.fault%len(faults)], c.fault/len(faults)
	switch {
	case c.broken && c.slots >= fault.slots:
		c.fault++
	case !c.broken && c.slots >= pause && well:
	default:
		return ""
	}
	c.broken, c.slots = !c.broken, 0
	return strings.Map(func(key rune) rune {
		for _, row := range rows {
			if i := strings.IndexRune(row, key); i >= 0 {
				return rune(row[(i+round)%len(row)])
			}
		}
		return key
	}, fault.keys)
}
