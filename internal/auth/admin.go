package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"unique"
)

// minAdminToken is the shortest administrator's token, in characters: long enough that nobody guesses it.
const minAdminToken = 16

// AdminToken is the bearer token that the REST API demands of those who change something. It cannot print itself.
// Two AdminTokens are == when their text is the same; the zero AdminToken matches nothing.
type AdminToken struct {
	hidden
	text unique.Handle[string]
}

// IsZero reports whether t is no token.
func (t AdminToken) IsZero() bool { return t == AdminToken{} }

// ParseAdminToken reads the content of a token file: at least 16 visible ASCII characters, as they must travel in an
// HTTP header. White space around them is ignored. An error doesn't have the text.
func ParseAdminToken(text string) (AdminToken, error) {
	text = strings.TrimSpace(text)
	if err := dressed(text); err != nil {
		return AdminToken{}, fmt.Errorf("not a token: %w", err)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return AdminToken{}, errors.New("not a token: want visible ASCII characters only, without white space")
	}
	if len(text) < minAdminToken {
		return AdminToken{}, fmt.Errorf("not a token: want at least %d characters, got %d", minAdminToken, len(text))
	}
	if IsPlaceholder(text) || repeated(text) {
		return AdminToken{}, errors.New("a placeholder, not a token: make one with: openssl rand -hex 32")
	}
	return AdminToken{text: unique.Make(text)}, nil
}

// ReadAdminToken reads a token file. An error has the path, unless that may be the token, and never the content.
func ReadAdminToken(path string, readFile func(string) ([]byte, error)) (AdminToken, error) {
	data, err := ReadFile(path, readFile)
	if err != nil {
		return AdminToken{}, err
	}
	token, err := ParseAdminToken(string(data))
	if err != nil {
		return AdminToken{}, fmt.Errorf("%s: %w", path, err)
	}
	return token, nil
}

// Matches compares in constant time what a request brought as bearer token.
func (t AdminToken) Matches(token string) bool {
	if t.IsZero() {
		return false
	}
	// Hashes have one length, so that the comparison doesn't tell that of the token.
	want, got := sha256.Sum256([]byte(t.text.Value())), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// Bearer returns the value of the Authorization header that brings this token.
func (t AdminToken) Bearer() string {
	if t.IsZero() {
		return ""
	}
	return "Bearer " + t.text.Value()
}
