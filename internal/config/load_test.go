package config

import (
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/quorum"
)

// What many errors end with.
const (
	notAddress  = " is not an address: write one without a port, such as 127.0.0.1, ::1 or localhost"
	notDuration = " is not a duration: write milliseconds (500) or a unit (500ms, 2s)"
	notSize     = " is not a size: write bytes (1048576) or a unit (128MiB, 128MB, 1GiB)"
	notWebhook  = "not a URL: write one that begins with http:// or https:// (it isn't repeated here, " +
		"as it may be a secret)"
	noSecret     = ": no JWT secret: add #jwt-secret=PATH to the node, or set --jwt-secret for all"
	secretItself = "this is a secret itself: give the path of a file that contains it"
	noSecretFile = "read the secret file: open no.hex: file does not exist: " +
		"give the node's own file, or make one for both with: openssl rand -hex 32"
	theOptions = ": there are jwt-secret=PATH, timeout=MS, do-not-use, shadow, backup and name=NAME"
)

func ratio(t *testing.T, text string) quorum.Ratio {
	t.Helper()
	r, err := quorum.ParseRatio(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDefaults(t *testing.T) {
	c, err := Load(Inputs{
		Flags:    flags("--nodes=http://a:1 --jwt-secret=a.hex"),
		Environ:  []string{"HOME=/home/u", "LOCALAPPDATA=/home/u"},
		ReadFile: disk.ReadFile,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Rules, (quorum.Rules{Threshold: ratio(t, "0.6"), MinValid: 1, MinClients: 2}); got != want {
		t.Errorf("rules are %+v, want %+v", got, want)
	}
	for _, test := range []struct {
		what      string
		got, want any
	}{
		{"listen address", c.ListenAddr, "127.0.0.1"}, {"port", c.Port, 7000},
		{"timeout", c.Timeout, 7500 * time.Millisecond}, {"read timeout", c.ReadTimeout, 30 * time.Second},
		{"grace", c.Grace, BySlot},
		{"slot", c.Slot, time.Duration(0)}, {"attest by", c.AttestBy, time.Duration(0)},
		{"late grace", c.LateGrace, 50 * time.Millisecond}, {"drain", c.Drain, 2 * time.Second},
		{"build grace", c.BuildGrace, 300 * time.Millisecond}, {"cross-check", c.CrossCheck, 200 * time.Millisecond},
		{"replay bytes", c.ReplayBytes, int64(128 << 20)}, {"max body", c.MaxBody, int64(128 << 20)},
		{"max in flight", c.MaxInFlight, int64(512 << 20)}, {"max connections", c.MaxConnections, 1024},
		{"namespaces", len(c.AllowNamespaces), 0}, {"admin token", c.AdminToken.IsZero(), true},
		{"open admin", c.OpenAdmin, false}, {"log level", c.LogLevel, slog.LevelInfo},
		{"log format", c.LogFormat, "text"}, {"node timings", c.NodeTimings, false}, {"file", c.File, ""},
		{"nodes", len(c.Nodes), 1}, {"first node's secret", c.FirstNodeSecret, false},
		{"node's timeout", c.Nodes[0].Timeout, 7500 * time.Millisecond},
		{"evidence", filepath.Base(c.EvidenceDir), "evidence"},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %v, want %v", test.what, test.got, test.want)
		}
	}
	if c.JWTSecret != secret(t, hexA) || c.Nodes[0].Secret != c.JWTSecret {
		t.Error("the secrets are not the global one")
	}
}

func TestValues(t *testing.T) {
	c, err := Load(Inputs{ReadFile: disk.ReadFile,
		Flags: flags(`--nodes=http://a:1,http://b:1 --nodes=http://c:1#do-not-use
		--jwt-secret=a.hex --listen-addr=::1 --port=0 --timeout=3000 --read-timeout=1m
		--fcu-majority=2/3 --min-valid=2 --on-dispute=live --majority-implementations=3
		--fork-window=48h --fork-mismatch=exclude
		--vote-by=client --grace=0 --slot=5s --attest-by=1500 --late-grace=0 --drain=0 --build-grace=1s
		--cross-check=0ms --replay-bytes=0 --max-body=1GiB --evidence-dir=
		--max-in-flight=2GiB --max-connections=7
		--allow-namespaces=debug,txpool --allow-namespaces=trace --admin-token-file=admin --open-admin=false
		--log-level=critical --log-format=json --node-timings --holesky --sepolia`)})
	if err != nil {
		t.Fatal(err)
	}
	want := quorum.Rules{Threshold: ratio(t, "2/3"), MinValid: 2, OnDispute: quorum.Live, MinClients: 3, ByClient: true}
	if c.Rules != want {
		t.Errorf("rules are %+v, want %+v", c.Rules, want)
	}
	for _, test := range []struct {
		what      string
		got, want any
	}{
		{"listen address", c.ListenAddr, "::1"}, {"port", c.Port, 0}, {"timeout", c.Timeout, 3 * time.Second},
		{"read timeout", c.ReadTimeout, time.Minute}, {"grace", c.Grace, time.Duration(0)},
		{"fork window", c.ForkWindow, 48 * time.Hour}, {"exclude missed", c.ExcludeMissed, true},
		{"slot", c.Slot, 5 * time.Second}, {"attest by", c.AttestBy, 1500 * time.Millisecond},
		{"late grace", c.LateGrace, time.Duration(0)}, {"drain", c.Drain, time.Duration(0)},
		{"build grace", c.BuildGrace, time.Second},
		{"cross-check", c.CrossCheck, time.Duration(0)}, {"replay bytes", c.ReplayBytes, int64(0)},
		{"max body", c.MaxBody, int64(1 << 30)}, {"evidence", c.EvidenceDir, ""},
		{"max in flight", c.MaxInFlight, int64(2 << 30)}, {"max connections", c.MaxConnections, 7},
		{"namespaces", strings.Join(c.AllowNamespaces, " "), "debug txpool trace"},
		{"admin token", c.AdminToken.Matches("0123456789abcdef"), true}, {"open admin", c.OpenAdmin, false},
		{"log level", c.LogLevel, LevelCritical}, {"log format", c.LogFormat, "json"},
		{"node timings", c.NodeTimings, true},
		{"nodes", len(c.Nodes), 3}, {"third node", c.Nodes[2].DoNotUse, true},
		{"its timeout", c.Nodes[2].Timeout, 3 * time.Second},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %v, want %v", test.what, test.got, test.want)
		}
	}
}

func TestFirstNodeSecret(t *testing.T) {
	c, err := Load(Inputs{ReadFile: disk.ReadFile,
		Flags: flags("--nodes=http://b:1#jwt-secret=b.hex,http://a:1#jwt-secret=a.hex")})
	if err != nil {
		t.Fatal(err)
	}
	if c.JWTSecret != secret(t, hexB) || !c.FirstNodeSecret {
		t.Errorf("equal %t, first node's %t", c.JWTSecret == secret(t, hexB), c.FirstNodeSecret)
	}
	// It is for the consensus client only, not for nodes that come later.
	if d := c.NodeDefaults(); !d.Secret.IsZero() || d.Timeout != c.Timeout {
		t.Errorf("defaults have a secret: %t, timeout %v", !d.Secret.IsZero(), d.Timeout)
	}
	c, err = Load(Inputs{
		ReadFile: disk.ReadFile, Flags: flags("--nodes=http://b:1#jwt-secret=b.hex --jwt-secret=a.hex"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.JWTSecret != secret(t, hexA) || c.FirstNodeSecret || c.NodeDefaults().Secret != c.JWTSecret {
		t.Error("the global secret is not the consensus client's and the later nodes'")
	}
}

// Each of flag, environment and file beats those after it, and all beat the default.
func TestPrecedence(t *testing.T) {
	with := func(content string) files {
		return files{"a.hex": hexA, "f.yaml": "nodes: http://a:1\njwt_secret: a.hex\n" + content}
	}
	for _, test := range []struct {
		name, file, variable, flag string
		port                       int
	}{
		{"default", "", "", "", 7000},
		{"file", "port: 1", "", "", 1},
		{"environment", "", "2", "", 2},
		{"flag", "", "", "--port=3", 3},
		{"environment beats file", "port: 1", "2", "", 2},
		{"flag beats file", "port: 1", "", "--port=3", 3},
		{"flag beats environment", "", "2", "--port=3", 3},
		{"flag beats both", "port: 1", "2", "--port=3", 3},
	} {
		c, err := Load(Inputs{
			Flags:    flags("--config=f.yaml " + test.flag),
			Environ:  []string{"EXECUTIONBACKUP_PORT=" + test.variable}, // empty = not set
			ReadFile: with(test.file).ReadFile,
		})
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		} else if c.Port != test.port {
			t.Errorf("%s: got port %d, want %d", test.name, c.Port, test.port)
		}
	}
}

// A list is taken whole from the strongest way of setting.
func TestPrecedenceOfLists(t *testing.T) {
	c, err := Load(Inputs{
		Flags: flags("--nodes=http://c:1"),
		Environ: []string{"EXECUTIONBACKUP_CONFIG=f.yaml", "EXECUTIONBACKUP_NODES=http://b:1, http://d:1",
			"EXECUTIONBACKUP_ALLOW_NAMESPACES=debug, txpool"},
		ReadFile: files{"a.hex": hexA,
			"f.yaml": "nodes: [http://a:1]\njwt_secret: a.hex\nallow_namespaces: trace"}.ReadFile,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Nodes) != 1 || c.Nodes[0].Name != "c:1" {
		t.Errorf("got nodes %v, want c:1 only", c.Nodes)
	}
	if got, want := c.AllowNamespaces, []string{"debug", "txpool"}; !slices.Equal(got, want) {
		t.Errorf("got namespaces %v, want %v", got, want)
	}
	if c.File != "f.yaml" {
		t.Errorf("got file %q", c.File)
	}
}

func TestConfigFlagBeatsEnvironment(t *testing.T) {
	c, err := Load(Inputs{
		Flags:    flags("--config=flag.yaml"),
		Environ:  []string{"EXECUTIONBACKUP_CONFIG=missing.yaml"},
		ReadFile: files{"a.hex": hexA, "flag.yaml": "nodes: http://a:1#jwt-secret=a.hex"}.ReadFile,
	})
	if err != nil || c.File != "flag.yaml" {
		t.Errorf("got %+v, error %v", c, err)
	}
}

// Of a list that a script has put together empty entries are left out, whichever way it came.
func TestEmptyEntriesOfLists(t *testing.T) {
	const list = "http://a:1#jwt-secret=a.hex, ,http://b:1#jwt-secret=a.hex,"
	for name, in := range map[string]Inputs{
		"flag":     {Flags: map[string][]string{"nodes": {list}}},
		"variable": {Environ: []string{"EXECUTIONBACKUP_NODES=" + list}},
		"file":     {Flags: flags("--config=list.yaml")},
		"two flags": {Flags: map[string][]string{"nodes": {
			"http://a:1#jwt-secret=a.hex,", "", ",http://b:1#jwt-secret=a.hex"}}},
		"namespaces":  {Flags: map[string][]string{"nodes": {list}, "allow-namespaces": {"debug,,txpool,"}}},
		"none at all": {Flags: map[string][]string{"nodes": {list}, "allow-namespaces": {""}}},
	} {
		in.ReadFile = files{"a.hex": hexA, "list.yaml": `nodes: "` + list + `"`}.ReadFile
		c, err := Load(in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(c.Nodes) != 2 || c.Nodes[1].Display() != "http://b:1" {
			t.Errorf("%s: got nodes %v", name, c.Nodes)
		}
		if got := strings.Join(c.AllowNamespaces, " "); name == "namespaces" && got != "debug txpool" {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// A level's name may be written in either case, in each medium.
func TestLogLevels(t *testing.T) {
	for text, want := range map[string]slog.Level{
		"INFO": slog.LevelInfo, "Debug": slog.LevelDebug, "warn": slog.LevelWarn, "CRITICAL": LevelCritical,
		"off": LevelOff, "OFF": LevelOff,
	} {
		for name, in := range map[string]Inputs{
			"flag":     {Flags: map[string][]string{"log-level": {text}}},
			"variable": {Environ: []string{"EXECUTIONBACKUP_LOG_LEVEL=" + text}},
			"file":     {Flags: map[string][]string{"config": {"level.yaml"}}},
		} {
			in.Environ = append(in.Environ, "EXECUTIONBACKUP_NODES=http://a:1#jwt-secret=a.hex")
			in.ReadFile = files{"a.hex": hexA, "level.yaml": "log_level: " + text}.ReadFile
			if c, err := Load(in); err != nil || c.LogLevel != want {
				t.Errorf("%s %s: got %+v, %v; want %v", name, text, c, err, want)
			}
		}
	}
}

const noNodes = "there are no nodes: set --nodes, EXECUTIONBACKUP_NODES or nodes in the configuration file," +
	" for example --nodes http://127.0.0.1:8551"

func TestFlagErrors(t *testing.T) {
	const node = "--nodes=http://a:1#jwt-secret=a.hex "
	for _, test := range []struct{ line, want string }{
		{"", noNodes},
		{"--nodes=", noNodes},
		{"--nodes=,", noNodes},
		{"--nodes=#name=a", `--nodes: "": the URL must begin with http:// or https://`},
		{"--nodes=http://a:1", "--nodes: http://a:1" + noSecret},
		{"--nodes=http://a:1,http://a:1/ --jwt-secret=a.hex", "--nodes: two nodes have the URL http://a:1"},
		{"--nodes=http://a:1#do-not-use,http://b:1#do-not-use --jwt-secret=a.hex",
			"--nodes: every node is do-not-use: none could vote"},

		{node + "--mode=shadow", "mode shadow needs --shadow-node: which node answers the consensus client?"},
		{node + "--mode=off", "mode off needs --shadow-node: which node answers the consensus client?"},
		{node + "--mode=Off", `--mode: "Off" is none of active, shadow and off`},
		{node + "--shadow-node=b", `--shadow-node: no node has the name or URL "b": there are a:1`},
		{node + "--mode=off --shadow-node=http://me:secret@b:1?x=y#name=b",
			`--shadow-node: no node has the name or URL "http://b:1": there are a:1`},
		{"--nodes=http://a:1,http://b:1#shadow#name=b --jwt-secret=a.hex --shadow-node=b",
			"--shadow-node: b is shadow, and can't answer for all"},
		{"--nodes=http://a:1,http://b:1#do-not-use --jwt-secret=a.hex --shadow-node=http://b:1/",
			"--shadow-node: b:1 is do-not-use, and can't answer for all"},
		{"--nodes=http://a:1#shadow --jwt-secret=a.hex", "--nodes: every node is do-not-use: none could vote"},

		{node + "--prot=1", "--prot: unknown setting: did you mean --port?"},
		{node + "--jwtsecret=1", "--jwtsecret: unknown setting: did you mean --jwt-secret?"},
		{node + "--jwt_secret=1", "--jwt_secret: unknown setting: did you mean --jwt-secret?"},
		{node + "--something=1", "--something: unknown setting"},
		{node + "--port=1 --port=2", "--port: give it once, with one value"},
		{node + "--fcu-majority=0.6 --fcu-invalid-threshold=0.7",
			"--fcu-majority: already set by --fcu-invalid-threshold"},

		{node + "--jwt-secret=", "--jwt-secret: the path is empty"},
		{node + "--jwt-secret=no.hex", "--jwt-secret: " + noSecretFile},
		{node + "--jwt-secret=bad.hex",
			"--jwt-secret: bad.hex: not a secret: want 64 hexadecimal digits, got 4 characters"},
		{node + "--jwt-secret=0x" + hexA, "--jwt-secret: " + secretItself},

		{node + "--port=70000", `--port: "70000" is not a port (0 to 65535)`},
		{node + "--port=-1", `--port: "-1" is not a port (0 to 65535)`},
		{node + "--port=0x10", `--port: "0x10" is not a port (0 to 65535)`},
		{node + "--port=", `--port: "" is not a port (0 to 65535)`},
		{node + "--listen-addr=", `--listen-addr: ""` + notAddress},
		{node + "--listen-addr=127.0.0.1:7000", `--listen-addr: "127.0.0.1:7000"` + notAddress},
		{node + "--listen-addr=[::1]", `--listen-addr: "[::1]"` + notAddress},

		{node + "--timeout=0", `--timeout: "0" must be more than zero`},
		{node + "--timeout=", `--timeout: ""` + notDuration},
		{node + "--timeout=7.5", `--timeout: "7.5"` + notDuration},
		{node + "--timeout=-1s", `--timeout: "-1s" is negative`},
		{node + "--timeout=9999999999999999", `--timeout: "9999999999999999"` + notDuration},
		{node + "--grace=-1ms", `--grace: "-1ms" is negative`},
		{node + "--slot=5s --attest-by=6s", "--attest-by: more than --slot, a slot's length"},
		{node + "--slot=0", `--slot: "0" must be more than zero`},
		{node + "--attest-by=0", `--attest-by: "0" must be more than zero`},
		{node + "--build-grace=x", `--build-grace: "x"` + notDuration},
		{node + "--cross-check=1d", `--cross-check: "1d"` + notDuration},

		{node + "--fcu-invalid-threshold=half", `--fcu-invalid-threshold: "half" is not a number`},
		{node + "--fcu-majority=0.5", `--fcu-majority: 0.5 is out of range: more than 0.5 and at most 1`},
		{node + "--min-valid=0", `--min-valid: "0" is not a whole number from 1`},
		{node + "--min-valid=-1", `--min-valid: "-1" is not a whole number from 1`},
		{node + "--min-valid=1.5", `--min-valid: "1.5" is not a whole number from 1`},
		{node + "--min-valid=2", `--min-valid: 2 is more than there are voters (1)`},
		{node + "--min-valid=2 --vote-by=client", `--min-valid: 2 is more than there are voters (1)`},
		{node + "--nodes=http://b:1#jwt-secret=a.hex#do-not-use --min-valid=2",
			`--min-valid: 2 is more than there are voters (1)`},
		{node + "--on-dispute=stop", `--on-dispute: "stop" is none of halt, majority, live`},
		{node + "--vote-by=Client", `--vote-by: "Client" is neither node nor client`},

		{node + "--replay-bytes=-1", `--replay-bytes: "-1"` + notSize},
		{node + "--replay-bytes=", `--replay-bytes: ""` + notSize},
		{node + "--replay-bytes=MiB", `--replay-bytes: "MiB"` + notSize},
		{node + "--max-body=1TiB", `--max-body: "1TiB"` + notSize},
		{node + "--max-body=99999999999GiB", `--max-body: "99999999999GiB"` + notSize},
		{node + "--max-body=0KiB", `--max-body: "0KiB" must be more than zero`},
		{node + "--max-body=1GiB",
			`--max-body: more than default of max-in-flight, which bounds all requests together`},
		{node + "--max-in-flight=1MiB",
			`default of max-body: more than --max-in-flight, which bounds all requests together`},
		{node + "--max-in-flight=0", `--max-in-flight: "0" must be more than zero`},
		{node + "--max-connections=0", `--max-connections: "0" is not a whole number from 1`},

		{node + "--allow-namespaces=debug_",
			`--allow-namespaces: "debug_" is not a namespace: write its letters only, such as debug`},
		{node + "--state-url=redis://u:hunter2@r", "--state-url: no user and password belong in it: " +
			"set state-user and state-password-file"},
		{node + "--state-url=redis://r?password=hunter2", "--state-url: no user and password belong in it: " +
			"set state-user and state-password-file"},
		{node + "--nodes=http://b:1#name=-b", `--nodes: http://b:1: option name: "-b" begins with a dash`},
		{node + "--admin-token-file=no.token", "--admin-token-file: open no.token: file does not exist"},
		{node + "--admin-token-file=short",
			"--admin-token-file: short: not a token: want at least 16 characters, got 10"},
		{node + "--admin-token-file=", "--admin-token-file: the path is empty"},
		{node + "--open-admin --admin-token-file=admin", "--open-admin and --admin-token-file exclude each other"},
		{node + "--webhook-url=hooks.example/secret", "--webhook-url: " + notWebhook},
		{node + "--webhook-url=ftp://h/secret", "--webhook-url: " + notWebhook},
		{node + "--webhook-url=https:///secret", "--webhook-url: " + notWebhook},
		{node + "--webhook-url=http://h/%zz", "--webhook-url: " + notWebhook},
		{node + "--webhook-url-file=admin", "--webhook-url-file: admin: " + notWebhook},
		{node + "--webhook-url-file=empty", "--webhook-url-file: empty: the file is empty"},
		{node + "--webhook-url-file=", "--webhook-url-file: the path is empty"},
		{node + "--webhook-url-file=no.txt", "--webhook-url-file: open no.txt: file does not exist"},
		{node + "--webhook-url=http://h --webhook-url-file=hook",
			"--webhook-url and --webhook-url-file exclude each other"},
		{node + "--webhook-url-file=https://h/secret", "--webhook-url-file: file does not exist " +
			"(the path isn't shown, as it may be the secret itself)"},
		{node + "--open-admin=yes", `--open-admin: "yes" is neither true nor false`},
		{node + "--holesky=maybe", `--holesky: "maybe" is neither true nor false`},
		{node + "--log-level=loud",
			`--log-level: "loud" is not a log level: write trace, debug, info, warn, error, critical or off`},
		{node + "--log-format=xml", `--log-format: "xml" is neither text nor json`},
		{node + "--config=", "--config: the path is empty"},
		{node + "--config=no.yaml", "--config: open no.yaml: file does not exist"},
	} {
		_, err := Load(Inputs{Flags: flags(test.line), ReadFile: disk.ReadFile})
		if got := message(err); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.line, got, test.want)
		}
	}
}

func TestEnvironmentErrors(t *testing.T) {
	for _, test := range []struct{ variable, want string }{
		{"EXECUTIONBACKUP_PROT=1", "EXECUTIONBACKUP_PROT: unknown setting: did you mean EXECUTIONBACKUP_PORT?"},
		{"EXECUTIONBACKUP_FOO=1", "EXECUTIONBACKUP_FOO: unknown setting"},
		{"EXECUTIONBACKUP_FOO=", ""},
		{"executionbackup_foo=1", ""},
		{"EXECUTIONBACKUP_PORT=70000", `EXECUTIONBACKUP_PORT: "70000" is not a port (0 to 65535)`},
		{"EXECUTIONBACKUP_PORT=", ""},
		{"EXECUTIONBACKUP_OPEN_ADMIN=1", ""},
		{"EXECUTIONBACKUP_FCU_MAJORITY=2",
			"EXECUTIONBACKUP_FCU_MAJORITY: 2 is out of range: more than 0.5 and at most 1"},
		{"EXECUTIONBACKUP_MIN_VALID=5", "EXECUTIONBACKUP_MIN_VALID: 5 is more than there are voters (1)"},
		{"EXECUTIONBACKUP_JWT_SECRET=no.hex", "EXECUTIONBACKUP_JWT_SECRET: " + noSecretFile},
		{"EXECUTIONBACKUP_CONFIG=no.yaml", "EXECUTIONBACKUP_CONFIG: open no.yaml: file does not exist"},
		{"not a variable", ""},
	} {
		_, err := Load(Inputs{Flags: flags("--nodes=http://a:1#jwt-secret=a.hex"),
			Environ: []string{test.variable}, ReadFile: disk.ReadFile})
		if got := message(err); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.variable, got, test.want)
		}
	}
}

// Also a value that a stronger way of setting overrules must be good.
func TestOverruledErrors(t *testing.T) {
	_, err := Load(Inputs{Flags: flags("--nodes=http://a:1#jwt-secret=a.hex --port=1"),
		Environ: []string{"EXECUTIONBACKUP_PORT=x"}, ReadFile: disk.ReadFile})
	if got, want := message(err), `EXECUTIONBACKUP_PORT: "x" is not a port (0 to 65535)`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEvidenceDir(t *testing.T) {
	for _, test := range []struct {
		goos    string
		environ map[string]string
		want    string
	}{
		{"linux", map[string]string{"HOME": "/home/u"}, "/home/u/.local/state/executionbackup/evidence"},
		{"linux", map[string]string{"HOME": "/home/u", "XDG_STATE_HOME": "/var/state"},
			"/var/state/executionbackup/evidence"},
		{"linux", map[string]string{"HOME": "/home/u", "XDG_STATE_HOME": "state"},
			"/home/u/.local/state/executionbackup/evidence"},
		{"linux", map[string]string{"XDG_STATE_HOME": "/var/state"}, "/var/state/executionbackup/evidence"},
		{"linux", nil, ""},
		{"darwin", map[string]string{"HOME": "/Users/u"},
			"/Users/u/Library/Application Support/executionbackup/evidence"},
		{"darwin", nil, ""},
		{"windows", map[string]string{"LOCALAPPDATA": "/L"}, "/L/executionbackup/evidence"},
		{"windows", map[string]string{"HOME": "/home/u"}, ""},
	} {
		if got := filepath.ToSlash(evidenceDir(test.goos, test.environ)); got != test.want {
			t.Errorf("%s with %v: got %s, want %s", test.goos, test.environ, got, test.want)
		}
	}
}
