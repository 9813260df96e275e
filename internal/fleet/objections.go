package fleet

import (
	"strings"
	"unicode"
)

// HowObjectionsEnd says so for people, with the commands to paste for nodes whose objections should end.
func HowObjectionsEnd(nodes ...string) string {
	names := strings.Join(inShell(nodes), " ")
	return "an objection ends when its node says VALID to the block or to a new payload on top of it, or by: " +
		"executionbackup nodes clear-objections " + names +
		"; where it is wrong and goes on objecting: executionbackup nodes drain " + names
}

// inShell writes words as a shell reads them.
func inShell(words []string) []string {
	var quoted []string
	for _, w := range words {
		if strings.ContainsFunc(w, func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.:/@%+", r)
		}) {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		quoted = append(quoted, w)
	}
	return quoted
}
