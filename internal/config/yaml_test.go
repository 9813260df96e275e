package config

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/enginetest"
)

func TestFileBackup(t *testing.T) {
	fs := files{"a.hex": hexA, "f.yaml": "jwt_secret: a.hex\nnodes:\n- {url: 'http://a:1', backup: true}\n" +
		"- {url: 'http://b:1', backup: false}"}
	c, err := Load(Inputs{Flags: flags("--config=f.yaml"), ReadFile: fs.ReadFile})
	if err != nil {
		t.Fatal(err)
	}
	if !c.Nodes[0].Backup || c.Nodes[1].Backup {
		t.Errorf("got backups %v and %v, want the first alone", c.Nodes[0].Backup, c.Nodes[1].Backup)
	}
}

func TestFileNodes(t *testing.T) {
	for _, test := range []struct{ name, file string }{
		{"one text", "nodes: http://a:1#jwt-secret=b.hex#timeout=2s#do-not-use#name=x, http://b:1"},
		{"list of texts", "nodes:\n- http://a:1#jwt-secret=b.hex#timeout=2s#do-not-use#name=x\n- http://b:1"},
		{"mappings", "nodes:\n- {url: 'http://a:1', jwt_secret: b.hex, timeout: 2000, do_not_use: true, name: x}\n" +
			"- url: http://b:1\n  do_not_use: false"},
		{"mixed", "nodes:\n- name: x\n  do_not_use: true\n  timeout: 2s\n  jwt_secret: b.hex\n" +
			"  url: http://a:1\n- http://b:1"},
	} {
		fs := files{"a.hex": hexA, "b.hex": hexB, "f.yaml": "jwt_secret: a.hex\n" + test.file}
		c, err := Load(Inputs{Flags: flags("--config=f.yaml"), ReadFile: fs.ReadFile})
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if len(c.Nodes) != 2 {
			t.Errorf("%s: got %d nodes, want 2", test.name, len(c.Nodes))
			continue
		}
		x, b := c.Nodes[0], c.Nodes[1]
		if x.Display() != "http://a:1" || x.Name != "x" || !x.DoNotUse || x.Timeout != 2*time.Second ||
			x.Secret != secret(t, hexB) {
			t.Errorf("%s: the first node is %+v", test.name, x)
		}
		if b.Display() != "http://b:1" || b.Name != "b:1" || b.DoNotUse || b.Timeout != 7500*time.Millisecond ||
			b.Secret != secret(t, hexA) {
			t.Errorf("%s: the second node is %+v", test.name, b)
		}
	}
}

// Values mean what they say, whatever YAML would make of them.
func TestFileValues(t *testing.T) {
	fs := files{"a.hex": hexA, "f.yaml": `
---
nodes: ["http://a:1"]
jwt_secret: 'a.hex'
port: "1"
timeout: 500
max_body: 1MB
max_in_flight: 2MB
max_connections: 3
fcu_majority: 1.0
open_admin: True
evidence_dir: ""
allow_namespaces: []
`}
	c, err := Load(Inputs{Flags: flags("--config=f.yaml"), ReadFile: fs.ReadFile, Environ: []string{"HOME=/h"}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Port != 1 || c.Timeout != 500*time.Millisecond || c.MaxBody != 1e6 || c.MaxInFlight != 2e6 ||
		c.MaxConnections != 3 || c.Rules.Threshold != ratio(t, "1") ||
		!c.OpenAdmin || c.EvidenceDir != "" || len(c.AllowNamespaces) != 0 {
		t.Errorf("got %+v", c)
	}
}

func TestEmptyFile(t *testing.T) {
	for _, content := range []string{"", "\n", "# nothing\n", "---\n", "~", "{}"} {
		_, err := Load(Inputs{Flags: flags("--config=f.yaml --nodes=http://a:1#jwt-secret=a.hex"),
			ReadFile: files{"a.hex": hexA, "f.yaml": content}.ReadFile})
		if err != nil {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestFileErrors(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{"port: 70000", `line 1: port: "70000" is not a port (0 to 65535)`},
		{"# comment\n\nport: 0x10", `line 3: port: "0x10" is not a port (0 to 65535)`},
		{"prot: 1", "line 1: prot: unknown setting: did you mean port?"},
		{"jwt-secret: a.hex", "line 1: jwt-secret: unknown setting: did you mean jwt_secret?"},
		{"Port: 1", "line 1: Port: unknown setting: did you mean port?"},
		{"something: 1", "line 1: something: unknown setting"},
		{"<<: {port: 1}", "line 1: <<: unknown setting"},
		{"port: 1\nport: 1", "line 2: port: already set by f.yaml: line 1: port"},
		{"fcu_majority: 0.6\nfcu_invalid_threshold: 0.6",
			"line 2: fcu_invalid_threshold: already set by f.yaml: line 1: fcu_majority"},
		{"config: g.yaml", "line 1: config: a file cannot name another"},
		{"port:", "line 1: port: there is no value"},
		{"port: [1]", "line 1: port: want one value"},
		{"port: {a: 1}", "line 1: port: want one value"},
		{"port: &a 1\ngrace: *a", "line 2: grace: want one value"},
		{"open_admin: yes", `line 1: open_admin: "yes" is neither true nor false`},
		{"min_valid: 2", "line 1: min_valid: 2 is more than there are voters (1)"},
		{"open_admin: true\nadmin_token_file: admin",
			"line 1: open_admin and f.yaml: line 2: admin_token_file exclude each other"},
		{"jwt_secret: 0x" + hexA, "line 1: jwt_secret: " + secretItself},
		{"allow_namespaces: [debug, [x]]", "line 1: allow_namespaces: want one value"},
		{"allow_namespaces: {debug: true}", "line 1: allow_namespaces: want one value"},

		{"- port", "want keys with values"},
		{"port", "want keys with values"},
		{"port: 1\n---\nport: 2", "there is more than one document"},
		{"port: 1\n  grace: 2", "line 2: mapping values are not allowed in this context"},
		{"port: *a", "unknown anchor 'a' referenced"},

		{"nodes:", "line 1: nodes: there is no value"},
		{"nodes: []", "no nodes"},
		{"nodes: {url: x}", "line 1: nodes: want one value"},
		{"nodes: [http://a:1, [x]]", "line 1: nodes: want one value"},
		{"nodes: [~]", "line 1: nodes: there is no value"},
		{"nodes:\n- http://a:1", "line 1: nodes: http://a:1" + noSecret},
		{"nodes:\n- name: x", "line 1: nodes: line 2: a node has no url"},
		{"nodes:\n- url:", "line 1: nodes: line 2: url: there is no value"},
		{"nodes:\n- url: http://a:1\n  jwt-secret: a.hex",
			"line 1: nodes: line 3: jwt-secret: unknown setting: did you mean jwt_secret?"},
		{"nodes:\n- url: http://a:1\n  url: http://b:1", "line 1: nodes: line 3: url: given twice"},
		{"nodes:\n- url: http://a:1\n  do_not_use: maybe",
			`line 1: nodes: line 3: do_not_use: "maybe" is neither true nor false`},
		{"nodes:\n- url: http://a:1#do-not-use", "line 1: nodes: line 2: url: a # is not possible here"},
		{"nodes:\n- url: http://a:1\n  jwt_secret: a.hex\n  timeout: 0",
			`line 1: nodes: http://a:1: option timeout: "0" must be more than zero`},
	} {
		fs := files{"a.hex": hexA, "admin": "0123456789abcdef", "f.yaml": test.file}
		in := Inputs{Flags: flags("--config=f.yaml"), ReadFile: fs.ReadFile}
		if !strings.HasPrefix(test.file, "nodes") {
			in.Flags = flags("--config=f.yaml --nodes=http://a:1#jwt-secret=a.hex")
		}
		want := "f.yaml: " + test.want
		if test.want == "no nodes" {
			want = "there are no nodes: set --nodes, EXECUTIONBACKUP_NODES or nodes in the configuration file," +
				" for example --nodes http://127.0.0.1:8551"
		}
		_, err := Load(in)
		if got := message(err); got != want {
			t.Errorf("%s:\n got %s\nwant %s", test.file, got, want)
		}
	}
}

// The example loads, shows every key, and says the truth about defaults.
func TestExample(t *testing.T) {
	const path = "../../executionbackup.example.yaml"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content := string(data)
	fs := files{
		"example": content, "/etc/executionbackup/jwt.hex": hexA, "/etc/executionbackup/besu.hex": hexB,
		"/etc/executionbackup/reth.hex": hexB, "/etc/executionbackup/admin.token": "0123456789abcdef",
	}
	pair := enginetest.NewCertificate(t)
	fs["/etc/executionbackup/webhook.url"] = "https://hooks.example/services/T0/B0"
	for path, from := range map[string]string{"tls.crt": pair.File, "tls.key": pair.KeyFile, "ca.pem": pair.File} {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		fs["/etc/executionbackup/"+path] = string(content)
	}
	c, err := Load(Inputs{Flags: flags("--config=example"), ReadFile: fs.ReadFile})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Nodes) != 3 || c.Nodes[1].Name != "besu" || !c.Nodes[2].DoNotUse {
		t.Errorf("got nodes %+v", c.Nodes)
	}
	for _, s := range Settings() {
		line := `(?m)^` + s.YAML() + `:`
		if s.Key == "config" {
			line = `(?m)^# config,`
		} else if s.Default != "" {
			line = `(?m)^` + s.YAML() + `: ` + regexp.QuoteMeta(s.Default) + `$`
		}
		if !regexp.MustCompile(line).MatchString(content) {
			t.Errorf("the example has no line %s", line)
		}
	}
}

// FuzzFile tries configuration files.
func FuzzFile(f *testing.F) {
	for _, file := range []string{
		"port: 1", "nodes: [http://a:1, {url: 'http://b:1', name: x}]", "port: &a 1\ngrace: *a", "? [x]\n: y",
		"a: *a", "- x", "---\n---\n", "nodes: &n [*n]", "!!binary x: y", "\xff\xfe", "{}: {}",
	} {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file string) {
		fs := files{"f.yaml": file, "a.hex": hexA}
		c, err := Load(Inputs{Flags: flags("--config=f.yaml --jwt-secret=a.hex"), ReadFile: fs.ReadFile})
		if err == nil && (len(c.Nodes) == 0 || c.JWTSecret.IsZero() || c.Timeout <= 0) {
			t.Fatalf("incomplete configuration %+v", c)
		}
	})
}
