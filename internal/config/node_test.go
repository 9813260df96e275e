package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseNode(t *testing.T) {
	a, b := secret(t, hexA), secret(t, hexB)
	defaults := NodeDefaults{Secret: a, Timeout: 7500 * time.Millisecond, ReadFile: disk.ReadFile}
	for _, test := range []struct {
		spec, url, display, name  string
		secretB, doNotUse, backup bool
		timeout                   time.Duration
	}{
		{spec: "http://node1:8551", url: "http://node1:8551", display: "http://node1:8551", name: "node1:8551"},
		{spec: " http://node1:8551/ ", url: "http://node1:8551/", display: "http://node1:8551", name: "node1:8551"},
		{spec: "http://node1", url: "http://node1", display: "http://node1", name: "node1:80"},
		{spec: "https://node1", url: "https://node1", display: "https://node1", name: "node1:443"},
		{spec: "HTTPS://Node1:8551/Path/", url: "https://node1:8551/Path/", display: "https://node1:8551/Path",
			name: "node1:8551"},
		{spec: "http://[::1]:8551", url: "http://[::1]:8551", display: "http://[::1]:8551", name: "[::1]:8551"},
		{spec: "http://[::1]", url: "http://[::1]", display: "http://[::1]", name: "[::1]:80"},
		{spec: "http://h:1/a%2Fb?key=hunter2", url: "http://h:1/a%2Fb?key=hunter2",
			display: "http://h:1/a%2Fb", name: "h:1"},
		{spec: "http://user:hunter2@h:1/x", url: "http://h:1/x", display: "http://h:1/x", name: "h:1"},

		{spec: "http://h:1#jwt-secret=b.hex", url: "http://h:1", display: "http://h:1", name: "h:1", secretB: true},
		{spec: "http://h:1#timeout=3000", url: "http://h:1", display: "http://h:1", name: "h:1",
			timeout: 3 * time.Second},
		{spec: "http://h:1#timeout=2s", url: "http://h:1", display: "http://h:1", name: "h:1",
			timeout: 2 * time.Second},
		{spec: "http://h:1#do-not-use", url: "http://h:1", display: "http://h:1", name: "h:1", doNotUse: true},
		{spec: "http://h:1#backup", url: "http://h:1", display: "http://h:1", name: "h:1", backup: true},
		{spec: "http://h:1#name=geth 1", url: "http://h:1", display: "http://h:1", name: "geth 1"},
		{spec: "https://h:1/#do-not-use#name=x=y#timeout=5200#jwt-secret=b.hex", url: "https://h:1/",
			display: "https://h:1", name: "x=y", secretB: true, doNotUse: true, timeout: 5200 * time.Millisecond},
	} {
		n, err := ParseNode(test.spec, defaults)
		if err != nil {
			t.Errorf("%s: %v", test.spec, err)
			continue
		}
		if got := n.URL.String(); got != test.url {
			t.Errorf("%s: got URL %s, want %s", test.spec, got, test.url)
		}
		if got := n.Display(); got != test.display {
			t.Errorf("%s: got display %s, want %s", test.spec, got, test.display)
		}
		if n.Name != test.name {
			t.Errorf("%s: got name %s, want %s", test.spec, n.Name, test.name)
		}
		wantSecret, wantTimeout := a, defaults.Timeout
		if test.secretB {
			wantSecret = b
		}
		if test.timeout != 0 {
			wantTimeout = test.timeout
		}
		if n.Secret != wantSecret {
			t.Errorf("%s: got another secret", test.spec)
		}
		if n.Timeout != wantTimeout || n.DoNotUse != test.doNotUse || n.Backup != test.backup {
			t.Errorf("%s: got timeout %v, do not use %t", test.spec, n.Timeout, n.DoNotUse)
		}
	}
}

func TestParseNodeErrors(t *testing.T) {
	defaults := NodeDefaults{Timeout: time.Second, ReadFile: disk.ReadFile}
	for _, test := range []struct{ spec, want string }{
		{"", `"": the URL must begin with http:// or https://`},
		{"#do-not-use", `"": the URL must begin with http:// or https://`},
		{"node1:8551", "node1:8551: the URL must begin with http:// or https://"},
		{"127.0.0.1:8551#name=x", "127.0.0.1:8551: the URL must begin with http:// or https://"},
		{"ws://node1:8551", "ws://node1:8551: the URL must begin with http:// or https://"},
		{"http:node1:8551", "http:node1:8551: the URL must begin with http:// or https://"},
		{"http://", "http://: the URL has no host: write it like http://host:8551"},
		{"http://:8551", "http://:8551: the URL has no host: write it like http://host:8551"},
		{"http://a b:8551", "http://a b:8551: the URL is malformed: write it like http://host:8551"},
		{"http://h:x", "http://h:x: the URL is malformed: write it like http://host:8551"},
		{"http://h%ff", "http://h%ff: the URL is malformed: write it like http://host:8551"},
		{"http://h:0", "http://h:0: the URL has no valid port (1 to 65535)"},
		{"http://h:65536", "http://h:65536: the URL has no valid port (1 to 65535)"},
		{"http://h:/", "http://h:: the URL has no valid port (1 to 65535)"},

		{"http://h:1", "http://h:1" + noSecret},
		{"http://h:1/x/?q=1#do-not-use", "http://h:1/x" + noSecret},
		{"http://h:1#jwt=a.hex", `http://h:1: unknown option "jwt"` + theOptions},
		{"http://h:1#", `http://h:1: unknown option ""` + theOptions},
		{"http://h:1#Name=x", `http://h:1: unknown option "Name"` + theOptions},
		{"http://h:1#timeout=1#timeout=1", "http://h:1: option timeout is given twice"},
		{"http://h:1#do-not-use#do-not-use", "http://h:1: option do-not-use is given twice"},
		{"http://h:1#do-not-use=false", "http://h:1: option do-not-use takes no value"},
		{"http://h:1#backup=true", "http://h:1: option backup takes no value"},
		{"http://h:1#shadow#do-not-use",
			"http://h:1: options do-not-use and shadow exclude each other: one is enough"},
		{"http://h:1#backup#shadow", "http://h:1: options shadow and backup exclude each other: one never votes, " +
			"the other when needed"},
		{"http://h:1#backup#do-not-use", "http://h:1: options do-not-use and backup exclude each other: " +
			"one never votes, the other when needed"},
		{"http://h:1#jwt-secret", "http://h:1: option jwt-secret needs a value"},
		{"http://h:1#jwt-secret=", "http://h:1: option jwt-secret needs a value"},
		{"http://h:1#name=", "http://h:1: option name needs a value"},
		{"http://h:1#timeout=0", `http://h:1: option timeout: "0" must be more than zero`},
		{"http://h:1#timeout=-1s", `http://h:1: option timeout: "-1s" is negative`},
		{"http://h:1#timeout=soon", `http://h:1: option timeout: "soon"` + notDuration},
		{"http://h:1#jwt-secret=no.hex", "http://h:1: option jwt-secret: " + noSecretFile},
		{"http://h:1#jwt-secret=bad.hex",
			"http://h:1: option jwt-secret: bad.hex: not a secret: want 64 hexadecimal digits, got 4 characters"},
		{"http://h:1#jwt-secret=" + hexA, "http://h:1: option jwt-secret: " + secretItself},
		{"http://h:1#name=a\nb", `http://h:1: option name: "a\nb" has characters that cannot be printed`},
		{"http://h:1#name=a\xff", `http://h:1: option name: "a\xff" has characters that cannot be printed`},
		{"http://h:1#name=" + strings.Repeat("x", 65),
			`http://h:1: option name: "` + strings.Repeat("x", 65) + `" has more than 64 characters`},

		// Userinfo never shows, however broken the URL around it is.
		{"http://user:hunter2@h:1", "http://h:1" + noSecret},
		{"http://user:hunter2@h:1#x", `http://h:1: unknown option "x"` + theOptions},
		{"user:hunter2@h:1", "h:1: the URL must begin with http:// or https://"},
		{"http://user:hunter2/x@h:1", "http://h:1: the URL is malformed: write it like http://host:8551"},
		{"http://user:hunter2?x@h:1", "http://h:1: the URL is malformed: write it like http://host:8551"},
		{"http://user:hunter2%zz@h:1", "http://h:1: the URL is malformed: write it like http://host:8551"},
		{"http://user:hunter2@", "http://: the URL has no host: write it like http://host:8551"},
		{"hunter2://x@h:1", "h:1: the URL must begin with http:// or https://"},
		{"http://user:hunter2#x@h:1", "a node has # before @: only options begin with #, and userinfo is not used"},
		{"http://user#hunter2@h:1", "a node has # before @: only options begin with #, and userinfo is not used"},
	} {
		_, err := ParseNode(test.spec, defaults)
		if got := message(err); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.spec, got, test.want)
		}
		if strings.Contains(message(err), "hunter2") {
			t.Errorf("%s: the error has the password", test.spec)
		}
	}
}

func TestCheckNodes(t *testing.T) {
	for _, test := range []struct{ specs, want string }{
		{"http://a:1 http://b:1 http://a:2", ""},
		{"http://a:1 http://A:1/", "two nodes have the URL http://a:1"},
		{"http://a:1?x http://u:p@a:1#name=b", "two nodes have the URL http://a:1"},
		{"http://a:1/x http://a:1/y", "two nodes have the name a:1: add #name=NAME to one of them"},
		{"http://a:1/x http://a:1/y#name=b", ""},
		{"http://a http://a:80", "two nodes have the name a:80: add #name=NAME to one of them"},
		{"http://a:1#name=n http://b:1#name=n", "two nodes have the name n: add #name=NAME to one of them"},
	} {
		var nodes []Node
		for spec := range strings.FieldsSeq(test.specs) {
			n, err := ParseNode(spec, NodeDefaults{Secret: secret(t, hexA), Timeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, n)
		}
		if got := message(CheckNodes(nodes)); got != test.want {
			t.Errorf("%s: got %q, want %q", test.specs, got, test.want)
		}
	}
}

// FuzzParseNode tries specifications and, with the same text behind a password, that it never shows.
func FuzzParseNode(f *testing.F) {
	for _, spec := range []string{
		"http://node1:8551", "https://127.0.0.1:8552/#jwt-secret=b.hex#timeout=5200#do-not-use#name=x",
		"http://user:pass@h:1/a%2Fb?q#timeout=1s", "http://[::1%25eth0]:1",
		"h:1", "#", "@h:1#name=\xff", "/x@h", "?x@h", "#x@h",
	} {
		f.Add(spec)
	}
	defaults := NodeDefaults{Secret: secret(f, hexA), Timeout: time.Second, ReadFile: disk.ReadFile}
	f.Fuzz(func(t *testing.T, spec string) {
		const password = "correct-horse"
		for _, s := range []string{
			spec, "http://user:" + password + spec, "user:" + password + "@" + spec,
			"http://user:" + password + "@" + spec,
		} {
			n, err := ParseNode(s, defaults)
			if err != nil {
				// With #name= in it, what precedes an @ is not userinfo.
				option := slices.ContainsFunc(strings.Split(spec, "#")[1:], func(o string) bool {
					key, _, _ := strings.Cut(o, "=")
					return isOption(key)
				})
				hidden := strings.Contains(s, password+"@") || s != spec && strings.Contains(spec, "@") && !option
				if hidden && !strings.Contains(spec, password) && strings.Contains(err.Error(), password) {
					t.Fatalf("%q: the error shows the password: %v", s, err)
				}
				continue
			}
			if n.Name == "" || n.Timeout <= 0 || n.Secret.IsZero() || n.URL.User != nil {
				t.Fatalf("%q: incomplete node %+v", s, n)
			}
			again, err := ParseNode(n.Display(), defaults)
			if err != nil || again.Display() != n.Display() {
				t.Fatalf("%q: shown as %q, which reads as %+v, error %v", s, n.Display(), again, err)
			}
		}
	})
}
