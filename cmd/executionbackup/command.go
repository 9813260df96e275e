package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"executionbackup/internal/config"
	"executionbackup/internal/engine"
)

// program is one run of the command, with the world that it sees.
type program struct {
	environ        []string // without links
	links          []string // the variables that Kubernetes set for a Service, which are no settings
	stdout, stderr io.Writer
	given          map[string][]string // the settings among the flags, as config.Inputs has them
	files          config.Files        // those that the settings come from
}

// command returns the tree of commands.
func (p *program) command() *cli.Command {
	root := &cli.Command{
		Name:      "executionbackup",
		Usage:     "one Ethereum consensus client, many execution clients",
		UsageText: "executionbackup --nodes URL,URL --jwt-secret FILE [flags]\nexecutionbackup COMMAND [flags]",
		Description: `Passes the Engine API calls of a consensus client on to all nodes, and answers what they agree on.

Every flag can also be set in the environment (EXECUTIONBACKUP_JWT_SECRET) and in the YAML file that
--config names (jwt_secret). A flag beats the environment, which beats the file. SIGHUP reads all of them
again; SIGTERM lets the calls in flight have their answers. The other commands take their settings in the same way.

The exit status is 0 where all is well, 1 where something is wrong with what was looked at, 2 where the command line
has no meaning, and 78 where the configuration is no good (1 where a file that it names isn't there yet).

Example:
  executionbackup --nodes http://127.0.0.1:8551,http://127.0.0.1:8552#name=besu --jwt-secret /etc/ethereum/jwt.hex`,
		Version: fullVersion(),
		Flags:   p.settingFlags(),
		Action:  alone(p.daemon),
		Commands: []*cli.Command{p.checkCommand(), p.decideCommand(), p.statusCommand(), p.nodesCommand(),
			p.modeCommand(), p.reloadCommand(), p.evidenceCommand(), p.replayCommand(), p.healthcheckCommand(),
			containerCommand(), p.manCommand(), versionCommand()},
		Writer:                p.stdout,
		ErrWriter:             p.stderr,
		EnableShellCompletion: true,
		ConfigureShellCompletionCommand: func(cmd *cli.Command) {
			cmd.Hidden = false
			cmd.Usage = "print a script that makes a shell complete our commands and flags"
			cmd.Description = completionHelp
		},
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // run does that
	}
	// Not inherited, and without it a wrong flag prints all of the help.
	_ = root.Walk(func(cmd *cli.Command) error {
		cmd.OnUsageError = flagError
		return nil
	})
	return root
}

const completionHelp = `Example:
  source <(executionbackup completion bash)    # in ~/.bashrc
  source <(executionbackup completion zsh)     # in ~/.zshrc
  executionbackup completion fish > ~/.config/fish/completions/executionbackup.fish
  executionbackup completion pwsh > executionbackup.ps1`

// inputs are where the settings of every command come from.
func (p *program) inputs() config.Inputs {
	return config.Inputs{Flags: p.given, Environ: p.environ, ReadFile: p.files.ReadFile}
}

// load reads the settings from wherever they come.
func (p *program) load() (*config.Config, error) {
	p.files.Forget()
	c, err := config.Load(p.inputs())
	if err != nil {
		return nil, err
	}
	c.Version, c.Revision = built()
	return c, nil
}

// look reads the settings for whoever only asks a running process. A file that is no good is said, and no more: the
// process goes by an older one, and who asks how it is must hear that.
func (p *program) look() (*config.Config, error) {
	c, err := config.Look(p.inputs())
	if c == nil {
		return nil, err
	}
	if err != nil {
		fmt.Fprintln(p.stderr, engine.Printable("going on without what is no good: "+err.Error()))
	}
	return c, nil
}

// settingFlag is the flag of a setting. It hands on what the user wrote, unchanged: only config knows what a value
// means.
type settingFlag struct {
	*cli.GenericFlag // its names and help
	setting          config.Setting
	given            map[string][]string
}

// settingFlags returns a flag for each setting.
func (p *program) settingFlags() []cli.Flag { return p.newFlags(nil) }

// someSettings returns a flag for each setting, for a command that goes by the shown ones, and its subcommands. The
// others are accepted, so that the daemon's command line will do.
func (p *program) someSettings(shown ...string) []cli.Flag { return p.newFlags(shown) }

// newFlags returns a flag for each setting. Where shown isn't nil, help has those alone.
func (p *program) newFlags(shown []string) []cli.Flag {
	var flags []cli.Flag
	for _, s := range config.Settings() {
		f := &cli.GenericFlag{
			Name: s.Key, Aliases: s.Aliases, Usage: s.Help, DefaultText: s.Default, HideDefault: s.Bool,
			Local: shown == nil, Hidden: shown != nil && !slices.Contains(shown, s.Key),
		}
		if s.Short != "" {
			f.Aliases = append([]string{s.Short}, s.Aliases...)
		}
		flags = append(flags, &settingFlag{f, s, p.given})
	}
	return flags
}

// Set notes a value. name is the one of the flag's names that the user wrote.
func (f *settingFlag) Set(name, value string) error {
	if name == f.setting.Short {
		name = f.setting.Key
	}
	f.given[name] = append(f.given[name], value)
	return nil
}

// IsBoolFlag tells the parser that the flag may stand without a value.
func (f *settingFlag) IsBoolFlag() bool { return f.setting.Bool }

// TakesValue and String are for the help.
func (f *settingFlag) TakesValue() bool { return !f.setting.Bool }
func (f *settingFlag) String() string   { return cli.FlagStringer(f) }

// alone is an action that takes no arguments.
func alone(action cli.ActionFunc) cli.ActionFunc {
	return func(ctx context.Context, cmd *cli.Command) error {
		if !cmd.Args().Present() {
			return action(ctx, cmd)
		}
		word := strconv.Quote(cmd.Args().First())
		switch {
		case strings.Contains(word, "://"):
			word = "URL" // there may be a password in it
		case !plainWord.MatchString(cmd.Args().First()):
			word = "argument" // it may be a token
		default:
			if meant := suggestCommand(cmd, cmd.Args().First()); meant != "" {
				return usageError("%s has no command %s%s", cmd.FullName(), word, meant)
			}
		}
		return usageError("unexpected %s: it is no command of %s and no flag's value "+
			"(one that needs none is written --flag=false): see %[2]s --help",
			word, cmd.FullName())
	}
}

// plainWord is what a command, a value or a short path looks like.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9./_-]{1,20}$`)

// flagError puts the parser's errors in our words.
func flagError(_ context.Context, cmd *cli.Command, err error, _ bool) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		return usageError("unknown flag %s%s", dashed(name), suggestFlag(cmd, name))
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: "); ok {
		return usageError("flag %s needs a value", name)
	}
	return usageError("%s", text)
}

// suggestFlag ends an error about an unknown flag with the flag that was probably meant; of one letter that is anyone's
// guess.
func suggestFlag(cmd *cli.Command, unknown string) string {
	if len(unknown) == 1 {
		return ""
	}
	var known []string
	for _, f := range slices.Concat(cmd.Flags, cmd.VisiblePersistentFlags()) {
		for _, name := range f.Names() {
			known = append(known, dashed(name))
		}
	}
	return config.Suggest(dashed(unknown), append(known, "--help"))
}

// suggestCommand ends an error about an unknown command with the command that was probably meant.
func suggestCommand(cmd *cli.Command, name string) string {
	var known []string
	for _, c := range cmd.VisibleCommands() {
		known = append(known, c.Names()...)
	}
	return config.Suggest(name, known)
}

// dashed returns a flag's name as one writes it.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// usageError is what is wrong with a command line.
func usageError(format string, args ...any) error {
	return cli.Exit(fmt.Errorf(format, args...), 2)
}
