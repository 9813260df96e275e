package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"executionbackup/internal/auth"
	"executionbackup/internal/config"
	"executionbackup/internal/engine"
	"executionbackup/internal/state"
	"executionbackup/internal/webhook"
)

func (p *program) checkCommand() *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "connect to every node once and show what is wrong",
		Description: `Takes its settings as the daemon does, from flags, environment and file, but doesn't listen. ` +
			`The clock skew is
an estimate, FORK has the fork ids that a node tells of (eth_config), and LACKS lists the engine methods that others
have. The exit status is 1 if something is wrong; warnings and notes are not.

With --fork it shows what each node says of the next fork, and the exit status is 0 only if all know the same one. With
--offline it asks no node: it reads the file, the environment, the flags and the secrets as the daemon would. With
--webhook a test alert, and its end, are sent to --webhook-url: see whether both arrive.

Example:
  executionbackup check --nodes http://127.0.0.1:8551,http://127.0.0.1:8552 --jwt-secret /etc/ethereum/jwt.hex`,
		Flags: append(p.settingFlags(),
			&cli.BoolFlag{Name: "fork", Usage: "show who is ready for the next fork, and nothing else", Local: true},
			&cli.BoolFlag{Name: "offline", Usage: "check the configuration, and ask no node", Local: true},
			&cli.BoolFlag{Name: "webhook", Usage: "send a test alert to --webhook-url, too", Local: true}, jsonFlag()),
		Action: alone(p.check),
	}
}

func (p *program) check(ctx context.Context, cmd *cli.Command) error {
	if cmd.Bool("fork") && (cmd.Bool("offline") || cmd.Bool("json") || cmd.Bool("webhook")) {
		return usageError("check: --fork goes neither with --offline nor with --webhook nor with --json (which has " +
			"what --fork shows)")
	}
	c, err := p.load()
	if err != nil {
		return err
	}
	var f *findings
	if cmd.Bool("offline") {
		if f, err = p.unasked(c); err != nil {
			return err
		}
	} else {
		inspections, home, forks := inspect(ctx, c.Nodes)
		if cmd.Bool("fork") {
			return p.printForks(inspections, &forks)
		}
		f = judge(inspections, home, forks)
	}
	switch c.Mode {
	case config.Shadow:
		f.note("", "mode shadow: %s alone answers the consensus client, which is protected from nothing; "+
			"the others get every call too", c.ShadowNode)
	case config.Off:
		f.note("", "mode off: %s alone is asked, and the consensus client is protected from nothing", c.ShadowNode)
	}
	if c.FirstNodeSecret {
		f.note("", "without --jwt-secret the consensus client must use the secret of %s", c.Nodes[0].Name)
	}
	if cmd.Bool("webhook") {
		f.tryWebhook(ctx, c)
	}
	if cmd.Bool("json") {
		err = printJSON(p.stdout, f)
	} else {
		err = p.printFindings(f)
	}
	switch n := len(f.Problems); {
	case err != nil:
		return err
	case n == 1:
		return errors.New("1 problem found")
	case n > 1:
		return fmt.Errorf("%d problems found", n)
	}
	return nil
}

// unasked are the findings where no node is asked. What is wrong with a configuration is an error: most when it is
// loaded, the rest here, where the daemon finds it out when it starts.
func (p *program) unasked(c *config.Config) (*findings, error) {
	if c.StateURL != "" {
		if _, err := state.ParseURL(c.StateURL); err != nil {
			return nil, config.Invalid{Err: fmt.Errorf("--state-url: %w", err)}
		}
	}
	for _, file := range []struct{ flag, path string }{
		{"--state-password-file", c.StatePasswordFile}, {"--state-ca-file", c.StateCAFile},
	} {
		if file.path == "" {
			continue
		}
		if _, err := auth.ReadFile(file.path, p.files.ReadFile); err != nil {
			return nil, config.Invalid{Err: fmt.Errorf("%s: %w", file.flag, err)}
		}
	}
	f := newFindings()
	f.OK, f.Offline = true, true
	for _, n := range c.Nodes {
		f.Nodes = append(f.Nodes, checkedNode{Name: n.Name, URL: n.Display(), Lacks: []string{}})
	}
	return f, nil
}

// tryWebhook finds out whether alerts would get out.
func (f *findings) tryWebhook(ctx context.Context, c *config.Config) {
	err := errors.New("there is no --webhook-url")
	if !c.Webhook.IsZero() {
		instance := webhook.Instance(adminAddr(c)) // as in the alerts to come
		if err = webhook.Try(ctx, c.Webhook, instance, c.Version); err == nil {
			f.note("", "%v took a test alert and its end (ExecutionBackupTest)", c.Webhook)
			return
		}
		err = fmt.Errorf("%v can't be told of alerts: %w", c.Webhook, err)
	}
	f.OK, f.Problems = false, append(f.Problems, remark{"", "--webhook: " + err.Error()})
}

// printFindings writes the findings for people.
func (p *program) printFindings(f *findings) error {
	if err := printTable(p.stdout, f.table()); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout)
	for _, line := range f.lines() {
		fmt.Fprintln(p.stdout, engine.Printable(line))
	}
	switch {
	case !f.OK:
	case f.Offline:
		fmt.Fprintln(p.stdout, "the configuration is good; no node was asked")
	default:
		fmt.Fprintln(p.stdout, "no problem found")
	}
	return nil
}
