package fleet

import (
	"strings"
	"unicode"
)

// HowObjectionsEnd says so for people, with the commands to paste for nodes whose objections should end.
func HowObjectionsEnd(nodes ...string) string {
	return "an objection ends when its node says VALID to the block or to a new payload on top of it, or by: " +
		ClearCommand(nodes...) + "; where it is wrong and goes on objecting: " + DrainCommand(nodes...)
}

// ClearCommand is the command to paste that ends the objections of nodes.
func ClearCommand(nodes ...string) string {
	return "executionbackup nodes clear-objections " + strings.Join(inShell(nodes), " ")
}

// DrainCommand is the command to paste that sets nodes aside.
func DrainCommand(nodes ...string) string {
	return "executionbackup nodes drain " + strings.Join(inShell(nodes), " ")
}

// UndrainCommand is the command to paste that lets a node vote again.
func UndrainCommand(node string) string {
	return "executionbackup nodes undrain " + inShell([]string{node})[0]
}

// inShell writes words as a shell reads them.
func inShell(words []string) []string {
	var quoted []string
	for _, w := range words {
		quoted = append(quoted, InShell(w))
	}
	return quoted
}

// InShell writes a word as a shell reads it.
func InShell(word string) string {
	if strings.ContainsFunc(word, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.:/@%+", r)
	}) {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}
