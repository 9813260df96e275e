package config

import (
	"slices"
	"strings"
	"testing"
)

// load reads a command line of --key=value, with files a.hex, b.hex and admin.
func load(t *testing.T, line string) *Config {
	t.Helper()
	c, err := Load(Inputs{Flags: flags(line), Environ: []string{"HOME=/home/u"}, ReadFile: disk.ReadFile})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const twoNodes = "--nodes=http://u:secret@a:1/?key=secret,https://b:1/x/#timeout=1000#backup#name=bee" +
	"#jwt-secret=b.hex --jwt-secret=a.hex "

// What is shown of a setting can be written again, and means the same. Nothing of it is secret.
func TestValuesCanBeWritten(t *testing.T) {
	for _, line := range []string{
		twoNodes,
		twoNodes + `--port=1 --timeout=3000 --read-timeout=1m --fcu-majority=2/3 --min-valid=2 --on-dispute=live
		--majority-implementations=3 --fork-window=48h --fork-mismatch=exclude --vote-by=client --grace=1s
		--slot=5s --attest-by=4100 --late-grace=0 --cross-check=0 --replay-bytes=0 --max-body=1000 --max-in-flight=3GiB
		--allow-namespaces=debug,txpool --admin-token-file=admin --log-level=critical --node-timings
		--state-dir= --state-url=redis://r?master=users`,
		twoNodes + "--webhook-url-file=hook",
	} {
		c := load(t, line)
		again := ""
		for _, v := range c.Values() {
			if strings.Contains(v.Text, "secret") || strings.Contains(v.Text, hexA) {
				t.Errorf("%s shows a secret: %s", v.Key, v.Text)
			}
			if v.Text != "" && v.Key != "config" && v.Key != "webhook-url" { // that is shown in part only
				again += " --" + v.Key + "=" + v.Text
			}
		}
		next := load(t, strings.ReplaceAll(again, "#backup", "#jwt-secret=b.hex#backup"))
		next.StateDir = c.StateDir // one that is empty isn't shown
		for _, change := range Changes(c, next) {
			t.Errorf("written again: %s", change)
		}
	}
}

func TestWhoSetIt(t *testing.T) {
	c, err := Load(Inputs{
		Flags: flags("--nodes=http://a:1 --config=c.yaml"), Environ: []string{"EXECUTIONBACKUP_JWT_SECRET=a.hex"},
		ReadFile: files{"a.hex": hexA, "c.yaml": "grace: 1s\n"}.ReadFile,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"nodes": "--nodes", "jwt-secret": "EXECUTIONBACKUP_JWT_SECRET", "grace": "c.yaml: line 1: grace",
		"config": "--config",
	}
	for _, v := range c.Values() {
		if v.From != want[v.Key] {
			t.Errorf("%s is set by %q, want %q", v.Key, v.From, want[v.Key])
		}
	}
}

// A webhook's URL that came from a file is shown as far as it is no secret, with who named the file.
func TestWebhookFromFile(t *testing.T) {
	for _, v := range load(t, twoNodes+"--webhook-url-file=hook").Values() {
		if v.Key == "webhook-url" && (v.Text != "https://hooks.example/…" || v.From != "--webhook-url-file") {
			t.Errorf("got %q from %q", v.Text, v.From)
		}
	}
}

func TestChanges(t *testing.T) {
	for _, test := range []struct {
		old, now string
		want     []string
	}{
		{"--timeout=7500", "--timeout=7500ms", nil},
		{"", "--on-dispute=majority --grace=1000 --slot=5s", []string{
			"on_dispute: halt → majority", "grace: (not set) → 1s", "slot: (not set) → 5s"}},
		{"--port=1", "--port=2", []string{"port: 1 → 2"}},
		{"", "--mode=shadow --shadow-node=bee", []string{"mode: active → shadow", "shadow_node: (not set) → bee"}},
		{"", "--nodes=http://c:1#shadow", []string{"nodes: (not set) → http://c:1#shadow"}},
		{"", "--nodes=http://c:1#do-not-use", []string{
			"nodes: (not set) → http://c:1#do-not-use"}},
		{"--nodes=http://c:1#name=x", "--nodes=http://c:1/#name=y#timeout=5", []string{
			"nodes: http://c:1#name=x → http://c:1#timeout=5ms#name=y"}},
		{"--nodes=http://c:1", "", []string{"nodes: http://c:1 → (not set)"}},
		{"--nodes=http://c:1#jwt-secret=a.hex", "--nodes=http://c:1#jwt-secret=b.hex", []string{
			"nodes: http://c:1 → http://c:1 (another secret)"}},
		{"--admin-token-file=admin", "", []string{"admin_token_file: admin → (not set)"}},
		{"", "--admin-token-file=admin", []string{"admin_token_file: (not set) → admin"}},
		{"--admin-token-file=admin", "--admin-token-file=admin2", []string{
			"admin_token_file: admin → admin2 (another secret)"}},
		{"", "--webhook-url=http://u:p@h:1/x?y#z", []string{"webhook_url: (not set) → http://h:1/…"}},
		{"--webhook-url=http://h/x", "--webhook-url=http://h/y", []string{
			"webhook_url: http://h/… → http://h/… (another secret)"}},
		{"--webhook-url-file=hook", "--webhook-url-file=hook2", []string{
			"webhook_url: https://hooks.example/… → https://hooks.example/… (another secret)",
			"webhook_url_file: hook → hook2"}},
	} {
		got := []string(nil)
		for _, c := range Changes(load(t, twoNodes+test.old), load(t, twoNodes+test.now)) {
			got = append(got, c.String())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%q to %q:\n got %q\nwant %q", test.old, test.now, got, test.want)
		}
	}
}

// What needs a start is as it was at the last one, and everything else is new.
func TestInForce(t *testing.T) {
	started, now := load(t, twoNodes+"--port=1 --grace=1s"), load(t, twoNodes+"--port=2 --state-dir=/x --grace=2s")
	c := InForce(started, now)
	if c.Port != 1 || c.StateDir != started.StateDir || c.Grace != now.Grace || len(Changes(c, now)) != 2 {
		t.Errorf("got %+v, next: %v", c, Changes(c, now))
	}
	for _, v := range c.Values() {
		if v.Key == "state-dir" && v.From != "" {
			t.Errorf("state-dir is set by %q, want the default", v.From)
		}
	}
}

// Files that are read say once for each content that it is another, and only when it has settled.
func TestFiles(t *testing.T) {
	disk := files{"a": "1", "b": "1"}
	f := Files{Read: disk.ReadFile}
	f.ReadFile("a")
	f.ReadFile("c") // isn't there
	for i, step := range []struct {
		path, content string
		want          bool
	}{
		{"a", "1", false}, {"b", "2", false}, // wasn't read
		{"a", "2", false}, {"a", "3", false}, {"a", "3", true}, {"a", "3", false},
		{"c", "1", false}, {"c", "1", true}, {"c", "1", false},
	} {
		disk[step.path] = step.content
		if got := f.Changed(); got != step.want {
			t.Errorf("look %d: got %v, want %v", i, got, step.want)
		}
	}
	f.Forget()
	f.ReadFile("b")
	disk["a"] = "4"
	for range 2 {
		if f.Changed() {
			t.Error("a file that isn't read any more counts")
		}
	}
}

// Looking reads the configuration file alone, and asks for no node.
func TestLook(t *testing.T) {
	c, err := Look(Inputs{
		Flags:    flags("--config=c.yaml --jwt-secret=none.hex --admin-token-file=none"),
		ReadFile: files{"c.yaml": "port: 7005\n"}.ReadFile,
	})
	if err != nil || c.Port != 7005 || c.AdminTokenFile != "none" || len(c.Nodes) > 0 {
		t.Errorf("got %+v, %v", c, err)
	}
}
