package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"executionbackup/internal/engine"
)

// healthTimeout is less than what container runtimes allow a health check.
const healthTimeout = 5 * time.Second

func (p *program) healthcheckCommand() *cli.Command {
	return &cli.Command{
		Name:  "healthcheck",
		Usage: "ask a running ExecutionBackup whether it is ready, for containers",
		Description: `The exit status is 0 if it takes calls, and 1 if it doesn't yet, doesn't any more ` +
			`or isn't there. Whether nodes
are alive doesn't matter.

Example:
  HEALTHCHECK CMD ["executionbackup", "healthcheck"]`,
		Flags: append(p.remoteFlags(),
			&cli.BoolFlag{Name: "live", Usage: "ask only whether it runs"},
			&cli.IntFlag{Name: "voters", Usage: "ask also whether so many voters are alive"},
		),
		Action: alone(p.healthcheck),
	}
}

func (p *program) healthcheck(ctx context.Context, cmd *cli.Command) error {
	r, err := p.remoteAt(cmd, healthTimeout, callsAddr)
	if err != nil {
		return err
	}
	path := "/readyz"
	switch voters := cmd.Int("voters"); {
	case cmd.Bool("live") && voters != 0:
		return usageError("--live and --voters exclude each other")
	case cmd.Bool("live"):
		path = "/healthz"
	case voters != 0:
		path += "?voters=" + strconv.Itoa(voters)
	}
	answer, err := r.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	answer = answer[:min(len(answer), 200)] // it may be the page of something else
	_, err = fmt.Fprintln(p.stdout, engine.Printable(strings.TrimSpace(string(answer))))
	return err
}
