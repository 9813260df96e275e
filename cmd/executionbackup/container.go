package main

import (
	"context"
	"strings"

	"github.com/urfave/cli/v3"

	"executionbackup/internal/auth"
	"executionbackup/internal/config"
)

// containerCommand is there for the help: run takes the word away before commands are looked up.
func containerCommand() *cli.Command {
	return &cli.Command{
		Name: "container", ArgsUsage: "[COMMAND] [flags]",
		Usage: "any of this, with the environment variables of the container image",
		Description: `The image's entry point. It takes NODES, PORT, JWT_SECRET (a file, ` +
			`or the 64 digits themselves), FCU_MAJORITY,
SHOW_NODE_TIMINGS and LOG_LEVEL, as the original's image does, and listens on every address. Our own variables and
flags beat these.

Example:
  NODES=geth:8551,besu:8551 JWT_SECRET=/run/secrets/jwt executionbackup container`,
		Action: func(context.Context, *cli.Command) error {
			return usageError("container: write it before everything else")
		},
	}
}

// enterContainer translates the environment of a container. The secret stays in memory.
func (p *program) enterContainer() {
	variables := make(map[string]string)
	for _, variable := range p.environ {
		name, value, _ := strings.Cut(variable, "=")
		variables[name] = value
	}
	set := func(name, value string) {
		if value != "" && variables[config.EnvPrefix+name] == "" {
			p.environ = append(p.environ, config.EnvPrefix+name+"="+value)
		}
	}
	set("LISTEN_ADDR", "::")
	set("PORT", variables["PORT"])
	set("NODES", withScheme(variables["NODES"]))
	set("FCU_MAJORITY", variables["FCU_MAJORITY"])
	set("NODE_TIMINGS", variables["SHOW_NODE_TIMINGS"])
	set("LOG_LEVEL", variables["LOG_LEVEL"])
	secret := variables["JWT_SECRET"]
	if !auth.LooksSecret(secret) {
		set("JWT_SECRET", secret) // a path
		return
	}
	const inVariable = "the variable JWT_SECRET" // instead of a path
	set("JWT_SECRET", inVariable)
	p.files.Read = func(path string) ([]byte, error) {
		if path == inVariable {
			return []byte(secret), nil
		}
		return config.ReadFile(path)
	}
}

// withScheme makes URLs of nodes that are written as host:port.
func withScheme(nodes string) string {
	if nodes == "" {
		return ""
	}
	specs := strings.Split(nodes, ",")
	for i, spec := range specs {
		if spec = strings.TrimSpace(spec); spec != "" && !strings.Contains(spec, "://") {
			spec = "http://" + spec
		}
		specs[i] = spec
	}
	return strings.Join(specs, ",")
}
