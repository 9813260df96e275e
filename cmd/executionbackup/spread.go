package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
)

// spread writes -p7000 as -p 7000, which the parser doesn't do, and the original's did: where the letter is a flag of
// the daemon that takes a value. Whatever is a flag's value, or follows --, stays as it is.
func spread(root *cli.Command, args []string) (spread []string) {
	valued := valuedFlags(root)
	for i := 0; i < len(args); i++ {
		arg := args[i]
		name, isShort := strings.CutPrefix(arg, "-")
		long, isLong := strings.CutPrefix(name, "-")
		switch {
		case arg == "--":
			return slices.Concat(spread, args[i:])
		case !isShort, strings.Contains(arg, "=") && isLong:
			spread = append(spread, arg)
		case slices.Contains(valued, name) || isLong && slices.Contains(valued, long): // and its value
			spread = append(spread, args[i:min(i+2, len(args))]...)
			i++
		case !isLong && len(name) > 1 && name[1] != '=' && isGlued(root, name):
			spread = append(spread, arg[:2], arg[2:])
		default:
			spread = append(spread, arg)
		}
	}
	return spread
}

// isGlued reports whether a word after a dash is a letter that takes a value, and the value, and no flag's own name.
func isGlued(root *cli.Command, word string) bool {
	name, _, _ := strings.Cut(word, "=")
	takesValue := false
	for _, f := range root.Flags {
		if slices.Contains(f.Names(), name) {
			return false
		}
		takesValue = takesValue || slices.Contains(f.Names(), word[:1]) && takes(f)
	}
	return takesValue
}

// valuedFlags are the names of all commands' flags that take a value.
func valuedFlags(root *cli.Command) (names []string) {
	_ = root.Walk(func(cmd *cli.Command) error {
		for _, f := range cmd.Flags {
			if takes(f) {
				names = append(names, f.Names()...)
			}
		}
		return nil
	})
	return names
}

// takes reports whether a flag takes a value.
func takes(f cli.Flag) bool {
	documented, ok := f.(cli.DocGenerationFlag)
	return ok && documented.TakesValue()
}
