// Package auth is the authentication of the Engine API: the shared secret of 32 bytes, the tokens made with it, and
// the handler that demands one. The administrator's token for the REST API is here too, because it must hide as well.
//
// https://github.com/ethereum/execution-apis/blob/main/src/engine/authentication.md
package auth

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unique"
)

// Secret is the 32 bytes that a consensus client and an execution client share. It cannot print itself. Two Secrets
// are == when their bytes are the same; the zero Secret is none at all: it signs nothing and accepts nothing.
type Secret struct {
	hidden
	key unique.Handle[string]
}

// IsZero reports whether s is no secret.
func (s Secret) IsZero() bool { return s == Secret{} }

// ParseSecret reads 64 hexadecimal digits with or without 0x; white space around them is ignored. One digit again and
// again is a placeholder, and no secret. An error doesn't have the text.
func ParseSecret(text string) (Secret, error) {
	text = strings.TrimSpace(text)
	if err := dressed(text); err != nil {
		return Secret{}, fmt.Errorf("not a secret: %w", err)
	}
	digits := trimHexPrefix(text)
	if len(digits) != 64 {
		return Secret{}, fmt.Errorf("not a secret: want 64 hexadecimal digits, got %d characters", len(digits))
	}
	key, err := hex.DecodeString(digits)
	if err != nil {
		return Secret{}, errors.New("not a secret: want 64 hexadecimal digits, got other characters")
	}
	if repeated(strings.ToLower(digits)) {
		return Secret{}, errors.New("a placeholder, not a secret: make one with: openssl rand -hex 32")
	}
	return Secret{key: unique.Make(string(key))}, nil
}

// ReadSecret reads a secret file. An error has the path, unless that may be a secret, and never the content.
func ReadSecret(path string, readFile func(string) ([]byte, error)) (Secret, error) {
	data, err := ReadFile(path, readFile)
	if errors.Is(err, errItself) {
		return Secret{}, err
	}
	if err != nil {
		return Secret{}, fmt.Errorf("read the secret file: %w%s", err, remedy(err))
	}
	secret, err := ParseSecret(string(data))
	if err != nil {
		return Secret{}, fmt.Errorf("%s: %w", path, err)
	}
	return secret, nil
}

// remedy says what to do about a secret file that can't be read.
func remedy(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ": give the node's own file, or make one for both with: openssl rand -hex 32"
	case errors.Is(err, fs.ErrPermission):
		return ": the user that runs this must be able to read it"
	}
	return ""
}

func trimHexPrefix(s string) string {
	if strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X") {
		return s[2:]
	}
	return s
}
