package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"executionbackup/internal/admin"
	"executionbackup/internal/engine"
	"executionbackup/internal/identity"
)

// printTable writes rows in columns, the first row as their headings.
func printTable(w io.Writer, rows [][]string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = cmp.Or(engine.Printable(cell), "-")
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	return table.Flush()
}

// jsonFlag is for programs that read what a command says.
func jsonFlag() cli.Flag { return &cli.BoolFlag{Name: "json", Usage: "print JSON, for programs"} }

// printJSON writes a value, for programs.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// yes is how a table says true.
func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// clientOf names a node's client and its version.
func clientOf(n *admin.Node) string {
	info := identity.Info{Client: n.ClientName, Clients: n.Versions}
	return info.Label()
}

// heardText is what the consensus client heard, and would have heard in shadow mode where that is something else.
func heardText(verdict string, shadow bool, did string) string {
	switch {
	case !shadow:
		return verdict
	case did == verdict:
		return did
	}
	return fmt.Sprintf("%s (would: %s)", cmp.Or(did, "nothing yet"), verdict)
}

// stateOf is a node's state, with what the operator has made of it.
func stateOf(n *admin.Node) string {
	state := n.State
	if n.Alone {
		state += ", answers alone"
	}
	if n.Drained {
		state += ", drained"
	}
	switch {
	case n.Backup && n.Votes:
		state += ", backup that votes"
	case n.Backup:
		state += ", backup at rest"
	}
	switch {
	case n.Shadow:
		state += ", tried"
	case n.DoNotUse:
		state += ", do-not-use"
	}
	return state
}
