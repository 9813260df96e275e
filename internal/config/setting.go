package config

import (
	"log/slog"
	"strings"
	"time"

	"executionbackup/internal/auth"
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
	Restart bool     // what it says changes at the next start only, not with a reload

	value
}

// value is how a setting gets into a Config, and how it is shown from there.
type value struct {
	// set parses what one way of setting gave: one text, or several for a list.
	set func(d *draft, texts []string) error
	// get returns it as one would write it.
	get func(c *Config) string
	// keep puts what another configuration has into c. Only a setting that isn't a list has it.
	keep func(c, other *Config)
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
	nodes []string // specifications
}

// Settings returns the table of all settings, in the order in which help lists them.
func Settings() []Setting {
	return []Setting{
		{
			Key: "nodes", Short: "n", List: true,
			Help: "execution clients, separated by commas: " +
				"URL[#jwt-secret=PATH][#timeout=MS][#do-not-use][#shadow][#backup][#name=NAME]",
			value: value{
				set: func(d *draft, texts []string) error { d.nodes = texts; return nil },
				get: func(c *Config) string { return strings.Join(c.specs(), ",") },
			},
		},
		{
			Key: "jwt-secret", Short: "j",
			Help:  "file with the JWT secret of the consensus client, and of the nodes without one of their own",
			value: one(parsePath, func(c *Config) *string { return &c.JWTSecretFile }),
		},
		{
			Key: "mode", Default: "active",
			Help: "what becomes of the consensus client's calls: active (all nodes are asked, and we decide), " +
				"shadow (shadow-node alone answers, and what we would have said is recorded), " +
				"or off (shadow-node alone is asked)",
			value: one(ParseMode, func(c *Config) *Mode { return &c.Mode }),
		},
		{
			Key:   "shadow-node",
			Help:  "name or URL of the node that alone answers in modes shadow and off",
			value: one(parseNodeWord, func(c *Config) *string { return &c.ShadowNode }),
		},
		{
			Key: "listen-addr", Short: "a", Default: "127.0.0.1", Restart: true,
			Help:  "address to listen on; 0.0.0.0 is every IPv4 address, :: every one",
			value: one(parseListenAddr, func(c *Config) *string { return &c.ListenAddr }),
		},
		{
			Key: "port", Short: "p", Default: "7000", Restart: true,
			Help:  "port to listen on",
			value: one(parsePort, func(c *Config) *int { return &c.Port }),
		},
		{
			Key: "admin-addr", Restart: true,
			Help: "address and port for the page, metrics and the REST API, 127.0.0.1:7001 " +
				"(default: those that the consensus client uses)",
			value: one(parseAdminAddr, func(c *Config) *string { return &c.AdminAddr }),
		},
		{
			Key: "tls-cert-file", Restart: true,
			Help:  "file with the certificate of both ports, which speak TLS then, in PEM (default: no TLS)",
			value: one(parsePath, func(c *Config) *string { return &c.TLSCertFile }),
		},
		{
			Key: "tls-key-file", Restart: true,
			Help:  "file with its key, in PEM",
			value: one(parsePath, func(c *Config) *string { return &c.TLSKeyFile }),
		},
		{
			Key:   "ca-file",
			Help:  "file with certificates that vouch for https nodes, beside the system's",
			value: one(parsePath, func(c *Config) *string { return &c.CAFile }),
		},
		{
			Key: "timeout", Default: "7500ms",
			Help:  "longest wait for a node's answer to an engine_ call",
			value: one(parseTimeout, func(c *Config) *time.Duration { return &c.Timeout }),
		},
		{
			Key: "read-timeout", Default: "30s",
			Help:  "longest wait for a node's answer to any other call, or for the next piece of it",
			value: one(parseTimeout, func(c *Config) *time.Duration { return &c.ReadTimeout }),
		},
		{
			Key: "fcu-invalid-threshold", Short: "f", Aliases: []string{"fcu-majority"}, Default: "0.6",
			Help:  "share of the votes that makes INVALID or SYNCING the verdict, more than 0.5 and at most 1",
			value: one(quorum.ParseRatio, func(c *Config) *quorum.Ratio { return &c.Rules.Threshold }),
		},
		{
			Key: "min-valid", Default: "1",
			Help:  "how many VALID votes a VALID verdict needs at least",
			value: one(parseCount, func(c *Config) *int { return &c.Rules.MinValid }),
		},
		{
			Key: "on-dispute", Default: "halt",
			Help: "what a dispute leads to: halt (SYNCING), majority (VALID where that has reached the threshold), " +
				"or live (VALID where one client is wrong, and no difference of fork configurations explains it)",
			value: one(quorum.ParsePolicy, func(c *Config) *quorum.Policy { return &c.Rules.OnDispute }),
		},
		{
			Key: "majority-implementations", Default: "2",
			Help:  "how many implementations have to say VALID for --on-dispute=live to go on",
			value: one(parseCount, func(c *Config) *int { return &c.Rules.MinClients }),
		},
		{
			Key: "fork-window", Default: "24h",
			Help:  "how long after a fork --on-dispute=live has to know every configuration (before it: 15 minutes)",
			value: one(parseDuration, func(c *Config) *time.Duration { return &c.ForkWindow }),
		},
		{
			Key: "fork-mismatch", Default: "warn",
			Help: "what becomes of a node that missed a fork of most implementations: warn, " +
				"or exclude (as one on the wrong chain)",
			value: second("warn", "exclude", func(c *Config) *bool { return &c.ExcludeMissed }),
		},
		{
			Key: "vote-by", Default: "node",
			Help:  "who has one vote: each node, or all nodes of one client together",
			value: second("node", "client", func(c *Config) *bool { return &c.Rules.ByClient }),
		},
		{
			Key: "grace",
			Help: "how long a VALID verdict waits for the other nodes to object " +
				"(default: 500ms, less on slots under 12s)",
			value: one(parseDuration, func(c *Config) *time.Duration { return &c.Grace }),
		},
		{
			Key:   "slot",
			Help:  "length of a slot (default: 12s, and 5s on Gnosis and Chiado)",
			value: one(parseTimeout, func(c *Config) *time.Duration { return &c.Slot }),
		},
		{
			Key:   "attest-by",
			Help:  "when in the slot a VALID verdict no longer waits for objections (default: a quarter of the slot)",
			value: one(parseTimeout, func(c *Config) *time.Duration { return &c.AttestBy }),
		},
		{
			Key: "late-grace", Default: "50ms",
			Help:  "how long a VALID verdict waits for objections where it is late in the slot",
			value: one(parseDuration, func(c *Config) *time.Duration { return &c.LateGrace }),
		},
		{
			Key: "build-grace", Default: "300ms",
			Help:  "how long a proposal waits for a better payload after the first good one",
			value: one(parseDuration, func(c *Config) *time.Duration { return &c.BuildGrace }),
		},
		{
			Key: "cross-check", Default: "200ms",
			Help:  "how long the other nodes may take to judge a payload before it is proposed; 0 = they are not asked",
			value: one(parseDuration, func(c *Config) *time.Duration { return &c.CrossCheck }),
		},
		{
			Key: "replay-bytes", Default: "128MiB", Restart: true,
			Help:  "size of the payloads kept for nodes that come back; 0 = none",
			value: one(parseSize, func(c *Config) *int64 { return &c.ReplayBytes }),
		},
		{
			Key: "max-body", Default: "128MiB", Restart: true,
			Help:  "largest request that is read",
			value: one(parseLimit, func(c *Config) *int64 { return &c.MaxBody }),
		},
		{
			Key: "max-in-flight", Default: "512MiB", Restart: true,
			Help:  "size of all requests that are being answered; half of it is for engine_ calls alone",
			value: one(parseLimit, func(c *Config) *int64 { return &c.MaxInFlight }),
		},
		{
			Key: "max-connections", Default: "1024", Restart: true,
			Help:  "how many connections are open at most; one more takes the place of the longest idle one",
			value: one(parseCount, func(c *Config) *int { return &c.MaxConnections }),
		},
		{
			Key: "drain", Default: "2s",
			Help:  "how long calls go on being answered after SIGTERM, for nodes that still work on earlier ones",
			value: one(parseDuration, func(c *Config) *time.Duration { return &c.Drain }),
		},
		{
			Key: "state-dir", Restart: true,
			Help: "directory for what must outlive a restart: disputes, builds, drains; empty = kept in memory only " +
				"(default: executionbackup in the user's state directory)",
			value: one(parseText, func(c *Config) *string { return &c.StateDir }),
		},
		{
			Key: "state-url", Restart: true,
			Help: "Redis or Valkey where two instances share what must outlive one of them: " +
				"redis://host[:port][/db], host,host?master=NAME for Sentinels, ?cluster=true for a Cluster; " +
				"rediss:// with TLS",
			value: one(parseStateURL, func(c *Config) *string { return &c.StateURL }),
		},
		{
			Key: "state-prefix", Default: "executionbackup", Restart: true,
			Help:  "what the keys there begin with: one for each pair of instances",
			value: one(parseText, func(c *Config) *string { return &c.StatePrefix }),
		},
		{
			Key: "state-user", Restart: true,
			Help:  "user there (default: the server's default user)",
			value: one(parseText, func(c *Config) *string { return &c.StateUser }),
		},
		{
			Key: "state-password-file", Restart: true,
			Help:  "file with the password there (default: none)",
			value: one(parsePath, func(c *Config) *string { return &c.StatePasswordFile }),
		},
		{
			Key: "state-ca-file", Restart: true,
			Help:  "file with the certificates that vouch for the server there (default: the system's)",
			value: one(parsePath, func(c *Config) *string { return &c.StateCAFile }),
		},
		{
			Key: "evidence-dir", Restart: true,
			Help: "directory for records of disputes " +
				"(default: executionbackup/evidence in the user's state directory)",
			value: one(parseText, func(c *Config) *string { return &c.EvidenceDir }),
		},
		{
			Key: "webhook-url",
			Help: "http or https URL that alerts are sent to, as Alertmanager sends them to a webhook; " +
				"who has it can write there, so that a file may be a better place (default: nobody is told)",
			value: one(auth.ParseURL, func(c *Config) *auth.URL { return &c.Webhook }),
		},
		{
			Key:   "webhook-url-file",
			Help:  "file with that URL",
			value: one(parsePath, func(c *Config) *string { return &c.WebhookFile }),
		},
		{
			Key: "allow-namespaces", List: true,
			Help: "JSON-RPC namespaces to let through beside engine, eth, net and web3, separated by commas: " +
				"debug,txpool",
			value: value{
				set: func(d *draft, texts []string) (err error) {
					d.AllowNamespaces, err = parseNamespaces(texts)
					return err
				},
				get: func(c *Config) string { return strings.Join(c.AllowNamespaces, ",") },
			},
		},
		{
			Key:   "admin-token-file",
			Help:  "file with the token that the REST API demands of who changes something, at least 16 characters",
			value: one(parsePath, func(c *Config) *string { return &c.AdminTokenFile }),
		},
		{
			Key: "open-admin", Default: "false", Bool: true,
			Help:  "let anyone who can connect change something over the REST API",
			value: one(parseBool, func(c *Config) *bool { return &c.OpenAdmin }),
		},
		{
			Key: "log-level", Short: "l", Default: "info",
			Help:  "trace, debug, info, warn, error, critical or off",
			value: one(parseLogLevel, func(c *Config) *slog.Level { return &c.LogLevel }),
		},
		{
			Key: "log-format", Default: "text", Restart: true,
			Help:  "text or json",
			value: one(parseLogFormat, func(c *Config) *string { return &c.LogFormat }),
		},
		{
			Key: "node-timings", Default: "false", Bool: true,
			Help:  "log how long each node takes to answer a probe",
			value: one(parseBool, func(c *Config) *bool { return &c.NodeTimings }),
		},
		{
			Key: "holesky", Default: "false", Bool: true,
			Help:  "accepted for the sake of old command lines; does nothing",
			value: one(parseBool, func(*Config) *bool { return new(bool) }),
		},
		{
			Key: "sepolia", Default: "false", Bool: true,
			Help:  "accepted for the sake of old command lines; does nothing",
			value: one(parseBool, func(*Config) *bool { return new(bool) }),
		},
		{
			Key:   "config",
			Help:  "YAML file with any of these settings but this one",
			value: one(parsePath, func(c *Config) *string { return &c.File }),
		},
		{
			Key: "watch", Default: "false", Bool: true, Restart: true,
			Help:  "reload when the configuration file changes, or a file that it names",
			value: one(parseBool, func(c *Config) *bool { return &c.Watch }),
		},
	}
}

// one is the value of a setting that isn't a list: what parses it, and where it goes.
func one[T any](parse func(string) (T, error), at func(*Config) *T) value {
	return value{
		set: func(d *draft, texts []string) error {
			v, err := parse(texts[0])
			if err == nil {
				*at(&d.Config) = v
			}
			return err
		},
		get:  func(c *Config) string { return written(*at(c)) },
		keep: func(c, other *Config) { *at(c) = *at(other) },
	}
}

// second is the value of a setting that has two words; it is true at the second.
func second(no, yes string, at func(*Config) *bool) value {
	v := one(parseSecond(no, yes), at)
	v.get = func(c *Config) string {
		if *at(c) {
			return yes
		}
		return no
	}
	return v
}
