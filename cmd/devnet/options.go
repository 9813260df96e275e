package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
)

// options are what the flags say.
type options struct {
	port    int
	period  time.Duration
	blocks  int
	chaos   bool
	cl      bool   // somebody else's consensus client makes the blocks
	genesis string // file
	data    string
}

const (
	blockTime = 2 * time.Second
	// slotTime is that of a consensus client that isn't ours, unless --period says otherwise.
	slotTime = 12 * time.Second
)

func parseOptions(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("devnet", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.port, "port", 7000, "`port` of ExecutionBackup; the nodes have the next three; 0 = any free ones")
	flags.DurationVar(&o.period, "period", blockTime,
		"`time` from block to block; with less than 1s the chain runs ahead of the clock;\n"+
			"with --cl the length of a slot, 12s unless set")
	flags.IntVar(&o.blocks, "blocks", 0,
		"end after this `number` of blocks, with status 1 if one was missed or a call failed")
	flags.BoolVar(&o.chaos, "chaos", false, "break the nodes by itself, one after the other")
	flags.BoolVar(&o.cl, "cl", false, "let your own consensus client make the blocks: says what it needs")
	flags.StringVar(&o.genesis, "genesis", "",
		"with --cl: `file` with the execution clients' genesis, in geth's form, of your consensus client's chain")
	flags.StringVar(&o.data, "data", "", "empty or new `directory` for the nodes' data and the log, kept at the end")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "Three geth nodes, ExecutionBackup before them, "+
			"and a consensus client that makes blocks through it.\n\nFlags:")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	set := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if o.cl && !set["period"] {
		o.period = slotTime
	}
	complain := func(text string) (options, error) {
		fmt.Fprintln(stderr, "devnet:", text)
		return o, errors.New(text)
	}
	switch {
	case flags.NArg() > 0:
		return complain(fmt.Sprintf("unexpected %q: there are only flags (see --help)", flags.Arg(0)))
	case o.period <= 0:
		return complain("--period must be more than 0")
	case o.cl && o.period < time.Second:
		return complain("--period must be 1s or more with --cl: it is the length of a slot")
	case o.genesis != "" && !o.cl:
		return complain("--genesis is for your own consensus client: it needs --cl")
	case o.port < 0 || o.port > 65535-len(nodeNames):
		return complain("--port must have room for three more ports after it")
	}
	return o, nil
}
