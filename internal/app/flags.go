package app

import (
	"net"
	"strings"

	"executionbackup/internal/config"
	"executionbackup/internal/fleet"
	"executionbackup/internal/overview"
)

// commandFlags are what commands that help an operator need to go by the settings that we have: the same file, and what
// flags and variables say of where we are, which aren't there in another shell.
func commandFlags(c *config.Config, admin net.Addr) overview.Flags {
	remote, check, evidence := "", "", ""
	given := make(map[string]string)
	for _, v := range c.Values() {
		if v.From != "" && !v.InFile() {
			given[v.Key] = " --" + v.Key + " " + fleet.InShell(v.Text)
		}
	}
	for _, key := range []string{"config", "listen-addr", "port", "admin-addr", "tls-cert-file", "admin-token-file"} {
		remote += given[key]
	}
	if given["port"] == " --port 0" || strings.HasSuffix(c.AdminAddr, ":0") {
		remote = " --url http://" + admin.String() + given["admin-token-file"]
	}
	for _, key := range []string{"config", "nodes", "jwt-secret", "ca-file"} {
		check += given[key]
	}
	evidence = given["config"] + " --evidence-dir " + fleet.InShell(c.EvidenceDir)
	return overview.Flags{
		Remote: remote, Check: check, Evidence: evidence, NoToken: c.AdminToken.IsZero() && !c.OpenAdmin,
	}
}
