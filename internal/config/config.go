// Package config turns flags, environment variables and a YAML file into settings: one table of settings (Settings),
// one strict parser for each value, whichever way it came.
package config

import (
	"crypto/x509"
	"log/slog"
	"math"
	"time"

	"executionbackup/internal/auth"
	"executionbackup/internal/quorum"
)

// Config holds all settings, parsed, checked and with defaults filled in.
type Config struct {
	// Nodes are the execution clients, at least one of them a voter, no two with one URL or one name.
	Nodes []Node
	// JWTSecret is what the consensus client signs its tokens with: that of --jwt-secret, else the first node's.
	JWTSecret auth.Secret
	// JWTSecretFile is the file that it came from; empty = there is no --jwt-secret.
	JWTSecretFile string
	// FirstNodeSecret says that JWTSecret is the first node's, because there is no --jwt-secret.
	FirstNodeSecret bool

	// ListenAddr is an IP address or a host name, without a port.
	ListenAddr string
	// Port is where we listen; 0 takes any free one.
	Port int

	// AdminAddr is the address and the port of the page, metrics and the REST API; empty = ListenAddr and Port.
	AdminAddr string
	// TLSCertFile and TLSKeyFile have the certificate of both ports, and its key (ReadKeyPair); empty = no TLS.
	TLSCertFile, TLSKeyFile string
	// CAs vouch for https nodes; nil = the system's.
	CAs *x509.CertPool
	// CAFile is the file that they came from, beside the system's; empty = there is none.
	CAFile string

	// Mode is what becomes of the consensus client's calls.
	Mode Mode
	// ShadowNode is the name or URL of the node that alone answers in modes Shadow and Off; empty = there is none.
	ShadowNode string
	// Timeout bounds an engine call to a node that has no timeout of its own.
	Timeout time.Duration
	// ReadTimeout bounds a call to a node that is none of the Engine API.
	ReadTimeout time.Duration
	// Rules are how votes become a verdict.
	Rules quorum.Rules
	// ForkWindow is how long after a fork --on-dispute=live has to know every configuration.
	ForkWindow time.Duration
	// ExcludeMissed shuts out nodes that missed a fork (--fork-mismatch=exclude).
	ExcludeMissed bool
	// Grace is how long a verdict of VALID waits for the other nodes to object; BySlot: 500 ms, and on slots shorter
	// than 12 s in proportion.
	Grace time.Duration
	// Slot is how long a slot takes; 0: as long as on the nodes' chain.
	Slot time.Duration
	// AttestBy is when in the slot a verdict of VALID no longer waits for objections; 0: after a quarter of the slot.
	AttestBy time.Duration
	// LateGrace is how long it waits all the same, from its quorum on.
	LateGrace time.Duration
	// BuildGrace is how long getPayload waits for a better payload after the first good one.
	BuildGrace time.Duration
	// CrossCheck is how long the other nodes may take to judge a payload before it is proposed; 0 = they aren't asked.
	CrossCheck time.Duration
	// Drain is how long we serve after a signal to end, as long as nodes work on calls that the consensus client has
	// its answer to.
	Drain time.Duration
	// ReplayBytes bounds the payloads kept for nodes that return; 0 = none are kept.
	ReplayBytes int64
	// MaxBody bounds a request, in bytes.
	MaxBody int64
	// MaxInFlight bounds all requests that are being answered together, in bytes; at least MaxBody.
	MaxInFlight int64
	// MaxConnections is how many connections are kept open at most.
	MaxConnections int

	// StateDir is where what outlives us is kept; empty = nowhere.
	StateDir string
	// StateURL is the Redis or Valkey where it is shared with another instance; empty = nowhere. Prefix, user, password
	// and certificate authorities go with it.
	StateURL, StatePrefix, StateUser, StatePasswordFile, StateCAFile string
	// EvidenceDir is where disputes are recorded; empty = nowhere.
	EvidenceDir string
	// Webhook is who is told of alerts, that of --webhook-url or of the file of --webhook-url-file; zero = nobody.
	Webhook auth.URL
	// WebhookFile is the file that it came from; empty = there is none.
	WebhookFile string
	// AllowNamespaces are the JSON-RPC namespaces that pass beside engine, eth, net and web3.
	AllowNamespaces []string

	// AdminToken is what those must bring who change something over the REST API; zero = there is none.
	AdminToken auth.AdminToken
	// AdminTokenFile is the file that it came from; empty = there is none.
	AdminTokenFile string
	// OpenAdmin lets anybody change something, as the original did.
	OpenAdmin bool

	// LogLevel is one of slog's levels, LevelTrace, LevelCritical or LevelOff.
	LogLevel slog.Level
	// LogFormat is "text" or "json".
	LogFormat string
	// NodeTimings logs how long each node takes to answer a probe.
	NodeTimings bool

	// Version is that of this program, and Revision the commit that it was built from, where that is known: for metrics
	// and evidence. Whoever loads the settings sets them.
	Version, Revision string
	// File is the path of the configuration file; empty = none was read.
	File string
	// Watch has us reload when File changes, or another file that was read.
	Watch bool

	// from has who set each setting, as an error names it, by Setting.Key.
	from map[string]string
}

// BySlot is a Grace that depends on the slot: negative.
const BySlot time.Duration = -1

// The levels of --log-level that slog doesn't have.
const (
	LevelTrace    = slog.LevelDebug - 4
	LevelCritical = slog.LevelError + 4
	LevelOff      = slog.Level(math.MaxInt) // nothing is logged
)

// NodeDefaults returns what a node that is added later may leave out of its specification.
func (c *Config) NodeDefaults() NodeDefaults {
	d := NodeDefaults{Timeout: c.Timeout, CAs: c.CAs}
	if !c.FirstNodeSecret {
		d.Secret = c.JWTSecret
	}
	return d
}

// voters counts the nodes that may vote.
func (c *Config) voters() int {
	n := 0
	for _, node := range c.Nodes {
		if !node.DoNotUse {
			n++
		}
	}
	return n
}
