package main

import (
	"context"
	"net/http"
	"sync"
)

// operator breaks the nodes and mends them: as the keys say, and with --chaos by a plan of its own.
type operator struct {
	net     *network
	screen  *screen
	quit    func()
	slots   chan int
	running sync.WaitGroup
}

// startOperator works until ctx ends; wait for it then.
func startOperator(ctx context.Context, net *network, s *screen, chaos bool, keys <-chan byte, quit func()) *operator {
	o := &operator{net: net, screen: s, quit: quit, slots: make(chan int, 1)}
	o.running.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case key := <-keys:
				o.press(ctx, key)
			case slot := <-o.slots:
				if chaos {
					o.press(ctx, plan(slot))
				}
			}
		}
	})
	return o
}

func (o *operator) wait() { o.running.Wait() }

// told hears of every slot that is over, unless it is busy.
func (o *operator) told(slots int) {
	select {
	case o.slots <- slots:
	default:
	}
}

// chaos is what --chaos presses after which slots. Then it begins again with the next node in each one's place.
var chaos = map[int]byte{3: '1', 6: '1', 9: 'w', 12: 'w', 15: 'd', 17: 'd', 20: '2', 22: '3', 25: '2', 28: '3'}

const chaosRound = 30

// plan returns the key for a slot, or 0.
func plan(slot int) byte {
	key := chaos[slot%chaosRound]
	for _, row := range rows {
		for i := range row {
			if row[i] == key {
				return row[(i+slot/chaosRound)%len(row)]
			}
		}
	}
	return 0
}

// rows are the keys of the nodes, one row for each way to break them.
var rows = map[mode]string{stopped: "123", hangs: "qwe", lies: "asd"}

// press does what a key stands for.
func (o *operator) press(ctx context.Context, key byte) {
	const ctrlC = 3
	switch key {
	case 'x', ctrlC:
		o.quit()
	case '?':
		help(o.screen)
	case 'c':
		o.report("objections are cleared", o.net.rest(ctx, http.MethodPost, "/clear_objections", nil))
	}
	for broken, row := range rows {
		for i := range row {
			if row[i] == key {
				o.toggle(o.net.nodes[i], broken)
			}
		}
	}
}

// toggle breaks a node in a way, or mends it where it is broken so.
func (o *operator) toggle(n *node, broken mode) {
	to, what := broken, map[mode]string{stopped: "is killed", hangs: "hangs", lies: "lies: INVALID for VALID"}[broken]
	if n.gate.now() == broken {
		to, what = works, map[mode]string{stopped: "is started again", hangs: "resumes", lies: "is honest again"}[broken]
	}
	o.report(n.name+" "+what, n.switchTo(to))
}

func (o *operator) report(what string, err error) {
	if err != nil {
		o.screen.line("%s", o.screen.paint(red, "    "+what+": "+err.Error()))
		return
	}
	o.screen.line("%s", o.screen.paint(bold, "    "+what))
}
