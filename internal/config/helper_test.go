package config

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"executionbackup/internal/auth"
)

const (
	hexA = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	hexB = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
)

// files is a file system in memory, with a method for Inputs.ReadFile.
type files map[string]string

func (f files) ReadFile(path string) ([]byte, error) {
	if content, ok := f[path]; ok {
		return []byte(content), nil
	}
	return nil, fmt.Errorf("open %s: %w", path, fs.ErrNotExist)
}

// disk has what most tests need.
var disk = files{
	"a.hex": "0x" + hexA + "\n", "b.hex": hexB, "bad.hex": "0x1234",
	"admin": "0123456789abcdef\n", "admin2": "fedcba9876543210\n", "short": "0123456789\n",
	"hook":  "https://u:p@hooks.example/services/T0/secret?key=secret\n",
	"hook2": "https://hooks.example/T0", "empty": " \n",
}

func secret(t testing.TB, text string) auth.Secret {
	t.Helper()
	s, err := auth.ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// flags reads a command line of --key=value and --key.
func flags(line string) map[string][]string {
	given := make(map[string][]string)
	for _, field := range strings.Fields(line) {
		key, value, ok := strings.Cut(strings.TrimPrefix(field, "--"), "=")
		if !ok {
			value = "true"
		}
		given[key] = append(given[key], value)
	}
	return given
}

// message returns the text of an error, "" for none.
func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
