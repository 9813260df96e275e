package jsonrpc

import "strings"

// maxExcerpt bounds what is kept of a text from outside, in bytes.
const maxExcerpt = 1 << 10

// Excerpt returns what logs, reports and memories keep of a text that somebody else wrote: its beginning, as a string of
// its own, so that ten megabytes of reasons aren't kept for the sake of a line.
func Excerpt(text string) string {
	if len(text) <= maxExcerpt {
		return text
	}
	return strings.ToValidUTF8(text[:maxExcerpt], "") + "…"
}
