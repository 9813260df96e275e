package config

import (
	"log/slog"
	"strings"
	"time"

	"executionbackup/internal/quorum"
)

// EnvPrefix begins the name of every environment variable of ours.
const EnvPrefix = "EXECUTIONBACKUP_"

// Setting is one thing that can be set by flag, environment variable or YAML key.
type Setting struct {
	Key     string   // its flag, without dashes: "jwt-secret"
	Short   string   // its one-letter flag; empty = none
	Aliases []string // other names for Key
	Help    string   // what it does, in one line
	Default string   // the value where it isn't set, as one would write it; empty = none
	Bool    bool     // as a flag it needs no value
	List    bool     // comma-separated in a flag or variable, and its flag can be repeated

	// set parses what one way of setting gave: one text, or several for a list.
	set func(d *draft, texts []string) error
}

// Env returns the name of the setting's environment variable.
func (s Setting) Env() string { return envName(s.Key) }

// YAML returns the setting's key in the configuration file.
func (s Setting) YAML() string { return yamlName(s.Key) }

func flagName(key string) string { return "--" + key }
func envName(key string) string  { return EnvPrefix + strings.ToUpper(yamlName(key)) }
func yamlName(key string) string { return strings.ReplaceAll(key, "-", "_") }

// draft is a Config in the making. Later ways of setting overwrite what earlier ones left; only when all have had
// their say are files read and nodes parsed, because those depend on other settings.
type draft struct {
	Config
	nodes          []string // specifications
	jwtSecretFile  string
	adminTokenFile string
	where          map[string]string // by Setting.Key: who set it last, as an error names it
}

// Settings returns the table of all settings, in the order in which help lists them.
func Settings() []Setting {
	return []Setting{
		{
			Key: "nodes", Short: "n", List: true,
			Help: "execution clients, separated by commas: " +
				"URL[#jwt-secret=PATH][#timeout=MS][#do-not-use][#backup][#name=NAME]",
			set: func(d *draft, texts []string) error { d.nodes = texts; return nil },
		},
		{
			Key: "jwt-secret", Short: "j",
			Help: "file with the JWT secret of the consensus client, and of the nodes without one of their own",
			set:  one(parsePath, func(d *draft, v string) { d.jwtSecretFile = v }),
		},
		{
			Key: "listen-addr", Short: "a", Default: "127.0.0.1",
			Help: "address to listen on; 0.0.0.0 is every one",
			set:  one(parseListenAddr, func(d *draft, v string) { d.ListenAddr = v }),
		},
		{
			Key: "port", Short: "p", Default: "7000",
			Help: "port to listen on",
			set:  one(parsePort, func(d *draft, v int) { d.Port = v }),
		},
		{
			Key: "timeout", Default: "7500ms",
			Help: "longest wait for a node's answer to an engine_ call",
			set:  one(parseTimeout, func(d *draft, v time.Duration) { d.Timeout = v }),
		},
		{
			Key: "read-timeout", Default: "30s",
			Help: "longest wait for a node's answer to any other call, or for the next piece of it",
			set:  one(parseTimeout, func(d *draft, v time.Duration) { d.ReadTimeout = v }),
		},
		{
			Key: "fcu-invalid-threshold", Short: "f", Aliases: []string{"fcu-majority"}, Default: "0.6",
			Help: "share of the votes that makes INVALID or SYNCING the verdict, more than 0.5 and at most 1",
			set:  one(quorum.ParseRatio, func(d *draft, v quorum.Ratio) { d.Rules.Threshold = v }),
		},
		{
			Key: "min-valid", Default: "1",
			Help: "how many VALID votes a VALID verdict needs at least",
			set:  one(parseCount, func(d *draft, v int) { d.Rules.MinValid = v }),
		},
		{
			Key: "on-dispute", Default: "halt",
			Help: "what a dispute leads to: halt (SYNCING), majority (VALID where that has reached the threshold), " +
				"or live (VALID where one client is wrong, and no difference of fork configurations explains it)",
			set: one(quorum.ParsePolicy, func(d *draft, v quorum.Policy) { d.Rules.OnDispute = v }),
		},
		{
			Key: "majority-implementations", Default: "2",
			Help: "how many implementations have to say VALID for --on-dispute=live to go on",
			set:  one(parseCount, func(d *draft, v int) { d.Rules.MinClients = v }),
		},
		{
			Key: "fork-window", Default: "24h",
			Help: "how long after a fork --on-dispute=live has to know every configuration (before it: 15 minutes)",
			set:  one(parseDuration, func(d *draft, v time.Duration) { d.ForkWindow = v }),
		},
		{
			Key: "fork-mismatch", Default: "warn",
			Help: "what becomes of a node that missed a fork of most implementations: warn, " +
				"or exclude (as one on the wrong chain)",
			set: one(parseSecond("warn", "exclude"), func(d *draft, v bool) { d.ExcludeMissed = v }),
		},
		{
			Key: "vote-by", Default: "node",
			Help: "who has one vote: each node, or all nodes of one client together",
			set:  one(parseSecond("node", "client"), func(d *draft, v bool) { d.Rules.ByClient = v }),
		},
		{
			Key: "grace",
			Help: "how long a VALID verdict waits for the other nodes to object " +
				"(default: 500ms, less on slots under 12s)",
			set: one(parseDuration, func(d *draft, v time.Duration) { d.Grace = v }),
		},
		{
			Key:  "slot",
			Help: "length of a slot (default: 12s, and 5s on Gnosis and Chiado)",
			set:  one(parseTimeout, func(d *draft, v time.Duration) { d.Slot = v }),
		},
		{
			Key:  "attest-by",
			Help: "when in the slot a VALID verdict no longer waits for objections (default: a quarter of the slot)",
			set:  one(parseTimeout, func(d *draft, v time.Duration) { d.AttestBy = v }),
		},
		{
			Key: "late-grace", Default: "50ms",
			Help: "how long a VALID verdict waits for objections where it is late in the slot",
			set:  one(parseDuration, func(d *draft, v time.Duration) { d.LateGrace = v }),
		},
		{
			Key: "build-grace", Default: "300ms",
			Help: "how long a proposal waits for a better payload after the first good one",
			set:  one(parseDuration, func(d *draft, v time.Duration) { d.BuildGrace = v }),
		},
		{
			Key: "cross-check", Default: "200ms",
			Help: "how long the other nodes may take to judge a payload before it is proposed; 0 = they are not asked",
			set:  one(parseDuration, func(d *draft, v time.Duration) { d.CrossCheck = v }),
		},
		{
			Key: "replay-bytes", Default: "128MiB",
			Help: "size of the payloads kept for nodes that come back; 0 = none",
			set:  one(parseSize, func(d *draft, v int64) { d.ReplayBytes = v }),
		},
		{
			Key: "max-body", Default: "128MiB",
			Help: "largest request that is read",
			set:  one(parseLimit, func(d *draft, v int64) { d.MaxBody = v }),
		},
		{
			Key: "max-in-flight", Default: "512MiB",
			Help: "size of all requests that are being answered; half of it is for engine_ calls alone",
			set:  one(parseLimit, func(d *draft, v int64) { d.MaxInFlight = v }),
		},
		{
			Key: "max-connections", Default: "1024",
			Help: "how many connections are open at most; one more takes the place of the longest idle one",
			set:  one(parseCount, func(d *draft, v int) { d.MaxConnections = v }),
		},
		{
			Key: "drain", Default: "2s",
			Help: "how long calls go on being answered after SIGTERM, for nodes that still work on earlier ones",
			set:  one(parseDuration, func(d *draft, v time.Duration) { d.Drain = v }),
		},
		{
			Key: "state-dir",
			Help: "directory for what must outlive a restart: disputes, builds, drains; empty = kept in memory only " +
				"(default: executionbackup in the user's state directory)",
			set: one(parseText, func(d *draft, v string) { d.StateDir = v }),
		},
		{
			Key: "state-url",
			Help: "Redis or Valkey where two instances share what must outlive one of them: " +
				"redis://host[:port][/db], host,host?master=NAME for Sentinels, ?cluster=true for a Cluster; " +
				"rediss:// with TLS",
			set: one(parseText, func(d *draft, v string) { d.StateURL = v }),
		},
		{
			Key: "state-prefix", Default: "executionbackup",
			Help: "what the keys there begin with: one for each pair of instances",
			set:  one(parseText, func(d *draft, v string) { d.StatePrefix = v }),
		},
		{
			Key:  "state-user",
			Help: "user there (default: the server's default user)",
			set:  one(parseText, func(d *draft, v string) { d.StateUser = v }),
		},
		{
			Key:  "state-password-file",
			Help: "file with the password there (default: none)",
			set:  one(parsePath, func(d *draft, v string) { d.StatePasswordFile = v }),
		},
		{
			Key:  "state-ca-file",
			Help: "file with the certificates that vouch for the server there (default: the system's)",
			set:  one(parsePath, func(d *draft, v string) { d.StateCAFile = v }),
		},
		{
			Key:  "evidence-dir",
			Help: "directory for records of disputes (default: executionbackup/evidence in the user's state directory)",
			set:  one(parseText, func(d *draft, v string) { d.EvidenceDir = v }),
		},
		{
			Key: "allow-namespaces", List: true,
			Help: "JSON-RPC namespaces to let through beside engine, eth, net and web3, separated by commas: " +
				"debug,txpool",
			set: func(d *draft, texts []string) (err error) {
				d.AllowNamespaces, err = parseNamespaces(texts)
				return err
			},
		},
		{
			Key:  "admin-token-file",
			Help: "file with the token that the REST API demands of who changes something, at least 16 characters",
			set:  one(parsePath, func(d *draft, v string) { d.adminTokenFile = v }),
		},
		{
			Key: "open-admin", Default: "false", Bool: true,
			Help: "let anyone who can connect change something over the REST API",
			set:  one(parseBool, func(d *draft, v bool) { d.OpenAdmin = v }),
		},
		{
			Key: "log-level", Short: "l", Default: "info",
			Help: "trace, debug, info, warn, error or critical",
			set:  one(parseLogLevel, func(d *draft, v slog.Level) { d.LogLevel = v }),
		},
		{
			Key: "log-format", Default: "text",
			Help: "text or json",
			set:  one(parseLogFormat, func(d *draft, v string) { d.LogFormat = v }),
		},
		{
			Key: "node-timings", Default: "false", Bool: true,
			Help: "log how long each node takes to answer a probe",
			set:  one(parseBool, func(d *draft, v bool) { d.NodeTimings = v }),
		},
		{
			Key: "holesky", Default: "false", Bool: true,
			Help: "accepted for the sake of old command lines; does nothing",
			set:  one(parseBool, func(*draft, bool) {}),
		},
		{
			Key: "sepolia", Default: "false", Bool: true,
			Help: "accepted for the sake of old command lines; does nothing",
			set:  one(parseBool, func(*draft, bool) {}),
		},
		{
			Key:  "config",
			Help: "YAML file with any of these settings but this one",
			set:  one(parsePath, func(d *draft, v string) { d.File = v }),
		},
	}
}

// one makes a setter of a parser and of the place where its value goes.
func one[T any](parse func(string) (T, error), put func(*draft, T)) func(*draft, []string) error {
	return func(d *draft, texts []string) error {
		v, err := parse(texts[0])
		if err == nil {
			put(d, v)
		}
		return err
	}
}
