package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"executionbackup/internal/config"
)

// manCommand prints the manual page, for packages.
func (p *program) manCommand() *cli.Command {
	return &cli.Command{
		Name: "man", Hidden: true, Usage: "print the manual page",
		Description: "Example:\n  executionbackup man > executionbackup.1",
		Action: alone(func(_ context.Context, cmd *cli.Command) error {
			manual(p.stdout, cmd.Root())
			return nil
		}),
	}
}

// manual writes a page in the language of man(7), from what help knows.
func manual(w io.Writer, root *cli.Command) {
	fmt.Fprintf(w, ".TH EXECUTIONBACKUP 1 \"\" %s \"User Commands\"\n", quoted(root.Version))
	fmt.Fprintf(w, ".SH NAME\n%s \\- %s\n", root.Name, roff(root.Usage))
	fmt.Fprintf(w, ".SH SYNOPSIS\n.nf\n%s\n.fi\n", roff(root.UsageText))
	fmt.Fprintf(w, ".SH DESCRIPTION\n%s", paragraphs(root.Description))
	fmt.Fprint(w, ".SH OPTIONS\n")
	for _, s := range config.Settings() {
		names := []string{"--" + s.Key}
		for _, alias := range s.Aliases {
			names = append(names, "--"+alias)
		}
		if s.Short != "" {
			names = append(names, "-"+s.Short)
		}
		text := s.Help
		if s.Default != "" {
			text += fmt.Sprintf(" (default: %s)", s.Default)
		}
		text += ". " + s.Env()
		if s.Key != "config" { // a file can't name another
			text += "; " + s.YAML() + " in the file"
		}
		fmt.Fprintf(w, ".TP\n.B %s\n%s.\n", roff(strings.Join(names, ", ")), roff(text))
	}
	fmt.Fprint(w, ".SH COMMANDS\n")
	commands(w, root)
	fmt.Fprint(w, ".SH FILES\n.TP\n.I /etc/executionbackup/executionbackup.yaml\nThe service's settings.\n"+
		".TP\n.I /etc/executionbackup/jwt.hex\nThe consensus client's secret.\n"+
		".TP\n.I /usr/share/doc/executionbackup\nAn example of a configuration file, licences, changes.\n")
}

// commands writes a section for each command below one.
func commands(w io.Writer, parent *cli.Command) {
	for _, cmd := range parent.Commands {
		if cmd.Hidden || cmd.Name == "help" {
			continue
		}
		line := strings.TrimSpace(cmd.FullName() + " " + cmd.ArgsUsage)
		fmt.Fprintf(w, ".SS %s\n%s.\n%s", quoted(line), roff(cmd.Usage), paragraphs(cmd.Description))
		commands(w, cmd)
	}
}

// paragraphs writes a help text: its indented lines as they are, the others filled.
func paragraphs(text string) string {
	var b strings.Builder
	for i, part := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 || text != "" {
			b.WriteString(".PP\n")
		}
		verbatim := slices.ContainsFunc(strings.Split(part, "\n"), func(line string) bool {
			return strings.HasPrefix(line, "  ")
		})
		if verbatim {
			fmt.Fprintf(&b, ".nf\n%s\n.fi\n", roff(part))
		} else {
			fmt.Fprintln(&b, roff(part))
		}
	}
	return b.String()
}

func quoted(text string) string { return `"` + strings.ReplaceAll(roff(text), `"`, `\(dq`) + `"` }

// roff keeps a text from being read as requests and escapes.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
