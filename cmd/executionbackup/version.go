package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v3"
)

// version and commit are set by the linker: -X main.version=v1.2.3. Without that, version control tells: see built.
var version, commit string

// The version has two letters: -v is the library's, -V the original's.
func init() { cli.VersionFlag.(*cli.BoolFlag).Aliases = []string{"v", "V"} }

// built returns the version that this is, and the commit that it was built from, short; "" where that isn't known.
func built() (v, revision string) {
	v, revision = version, commit
	if info, ok := debug.ReadBuildInfo(); ok && v == "" {
		v = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	return v, revision[:min(len(revision), 12)]
}

// fullVersion returns the version that this is, and what it was built from and with.
func fullVersion() string {
	v, revision := built()
	if revision != "" {
		v += " commit " + revision
	}
	return fmt.Sprintf("%s %s %s/%s", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:        "version",
		Usage:       "print the version",
		Description: "Example:\n  executionbackup version",
		Action: alone(func(_ context.Context, cmd *cli.Command) error {
			cli.ShowVersion(cmd.Root())
			return nil
		}),
	}
}
