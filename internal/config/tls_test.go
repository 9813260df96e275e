package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"executionbackup/internal/enginetest"
)

func TestParseAdminAddr(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "127.0.0.1:7001": "127.0.0.1:7001", "[::1]:7001": "[::1]:7001", "[::]:0": "[::]:0",
		"localhost:07001": "localhost:7001", "0.0.0.0:7001": "0.0.0.0:7001",
	} {
		if got, err := parseAdminAddr(text); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
	const both = " is not an address and a port: write them like 127.0.0.1:7001 or [::1]:7001"
	for text, want := range map[string]string{
		":7001":          `":7001" has no address: write 127.0.0.1:7001, or 0.0.0.0:7001 for every one`,
		"7001":           `"7001"` + both,
		"127.0.0.1":      `"127.0.0.1"` + both,
		"::1:7001":       `"::1:7001"` + both,
		"http://a:1":     `"http://a:1"` + both,
		"a:":             `"" is not a port (0 to 65535)`,
		"a:65536":        `"65536" is not a port (0 to 65535)`,
		"a:http":         `"http" is not a port (0 to 65535)`,
		"user@a:1":       `"user@a" is not an address: write one without a port, such as 127.0.0.1, ::1 or localhost`,
		"[127.0.0.1:1]:": `"127.0.0.1:1" is not an address`,
	} {
		if got, err := parseAdminAddr(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %q, %v, want %s", text, got, err, want)
		}
	}
}

// Certificate and key come together, and are good, when the settings are loaded.
func TestTLSFiles(t *testing.T) {
	pair, other := enginetest.NewCertificate(t), enginetest.NewCertificate(t)
	missing := filepath.Join(t.TempDir(), "missing.pem")
	load := func(line string) (*Config, error) {
		line = "--nodes=https://a:1 --jwt-secret=a.hex " + line
		return Load(Inputs{Flags: flags(line), ReadFile: or(disk, os.ReadFile)})
	}
	c, err := load("--tls-cert-file=" + pair.File + " --tls-key-file=" + pair.KeyFile)
	if err != nil || c.TLSCertFile != pair.File || c.TLSKeyFile != pair.KeyFile {
		t.Errorf("got %+v, %v", c, err)
	}
	c, err = load("--ca-file=" + pair.File)
	if err != nil || c.CAs == nil || c.Nodes[0].CAs != c.CAs || c.NodeDefaults().CAs != c.CAs {
		t.Errorf("got %+v, %v", c, err)
	}
	const cert, key = "--tls-cert-file=", " --tls-key-file="
	for line, want := range map[string]string{
		cert + pair.File:                 "--tls-cert-file: there is no tls-key-file",
		key + pair.KeyFile:               "--tls-key-file: there is no tls-cert-file",
		cert + missing + key + "a.hex":   "--tls-cert-file: open " + missing + ": ",
		cert + pair.File + key + missing: "--tls-cert-file: its key: open " + missing + ": ",
		cert + pair.File + key + "a.hex": "--tls-cert-file: " + pair.File + " and a.hex: tls: ",
		cert + pair.File + key + other.KeyFile: "--tls-cert-file: " + pair.File + " and " + other.KeyFile +
			": tls: private key does not match public key",
		"--ca-file=" + missing:      "--ca-file: open " + missing + ": ",
		"--ca-file=a.hex":           "--ca-file: a.hex has no certificate in PEM",
		"--ca-file=" + pair.KeyFile: "--ca-file: " + pair.KeyFile + " has no certificate in PEM",
	} {
		_, err := load(line)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), hexA) {
			t.Errorf("%s: got %v, want %s", line, err, want)
		}
	}
}

// or reads what is in memory, or else from the disk.
func or(memory files, read func(string) ([]byte, error)) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if content, err := memory.ReadFile(path); err == nil {
			return content, nil
		}
		return read(path)
	}
}
