package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v3"
)

func (p *program) checkCommand() *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "connect to every node once and show what is wrong",
		Description: `Takes its settings as the daemon does, from flags, environment and file, but doesn't listen. ` +
			`The clock skew is
an estimate, FORK has the fork ids that a node tells of (eth_config), and LACKS lists the engine methods that others
have. The exit status is 1 if something is wrong; warnings and notes are not.

With --fork it shows what each node says of the next fork, and the exit status is 0 only if all know the same one.

Example:
  executionbackup check --nodes http://127.0.0.1:8551,http://127.0.0.1:8552 --jwt-secret /etc/ethereum/jwt.hex`,
		Flags: append(p.settingFlags(),
			&cli.BoolFlag{Name: "fork", Usage: "show who is ready for the next fork, and nothing else", Local: true}),
		Action: alone(p.check),
	}
}

func (p *program) check(ctx context.Context, cmd *cli.Command) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	inspections, home, forks := inspect(ctx, c.Nodes)
	if cmd.Bool("fork") {
		return p.printForks(inspections, &forks)
	}
	f := judge(inspections, home, forks)
	if err := printTable(p.stdout, f.table); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout)
	for _, line := range slices.Concat(f.problems, f.warnings) {
		fmt.Fprintln(p.stdout, printable(line))
	}
	if c.FirstNodeSecret {
		fmt.Fprintf(p.stdout, "note: without --jwt-secret the consensus client must use the secret of %s\n",
			c.Nodes[0].Name)
	}
	switch len(f.problems) {
	case 0:
		fmt.Fprintln(p.stdout, "no problem found")
		return nil
	case 1:
		return errors.New("1 problem found")
	}
	return fmt.Errorf("%d problems found", len(f.problems))
}
