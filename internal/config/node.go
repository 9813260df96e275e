package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"executionbackup/internal/auth"
)

// Node says how to reach one execution client.
type Node struct {
	// URL is where calls go. It has no userinfo: HTTP has one Authorization header, and the token needs it.
	URL *url.URL
	// Name is for people and metrics: host:port unless the specification has one.
	Name string
	// Named says that the specification has the name.
	Named bool
	// Secret signs the tokens for this node.
	Secret auth.Secret
	// CAs vouch for the node, where it is an https one; nil = the system's.
	CAs *x509.CertPool
	// Timeout bounds a call to this node.
	Timeout time.Duration
	// DoNotUse keeps the node up to date, but out of votes, builds and reads.
	DoNotUse bool
	// Shadow is DoNotUse, which goes with it, for a node that is tried: what it says is counted beside what the
	// consensus client hears.
	Shadow bool
	// Backup keeps the node up to date too, and lets it vote where no other voter can be waited for.
	Backup bool
}

// Display returns the node's URL as logs and REST output show it: without userinfo and query, which may be
// credentials, and without slashes at the end.
func (n Node) Display() string { return strings.TrimRight(n.Given(), "/") }

// Given is Display with the slashes at the end, where the specification has some: so the original shows it.
func (n Node) Given() string {
	shown := url.URL{Scheme: n.URL.Scheme, Host: n.URL.Host, Path: n.URL.Path, RawPath: n.URL.RawPath}
	return shown.String()
}

// SharedID is what two instances of ours on different machines call the node: its URL; where that is of this machine
// alone, its name after a #, or "" where it wasn't given one.
func (n Node) SharedID() string {
	address, err := netip.ParseAddr(n.URL.Hostname())
	local := n.URL.Hostname() == "localhost" || err == nil && (address.IsLoopback() || address.IsLinkLocalUnicast())
	switch {
	case !local:
		return n.Display()
	case n.Named:
		return "#" + n.Name
	}
	return ""
}

// NodeDefaults is what a node specification may leave out.
type NodeDefaults struct {
	// Secret serves nodes that have none of their own; zero = each needs one.
	Secret auth.Secret
	// CAs vouch for https nodes; nil = the system's.
	CAs *x509.CertPool
	// Timeout serves nodes that have none of their own.
	Timeout time.Duration
	// ReadFile reads secret files; nil = ReadFile.
	ReadFile func(string) ([]byte, error)
	// NoSecrets says that secrets aren't read, and needn't be there.
	NoSecrets bool
}

func (d NodeDefaults) read() func(string) ([]byte, error) {
	if d.ReadFile == nil {
		return ReadFile
	}
	return d.ReadFile
}

// maxName bounds a node's name, in characters. It becomes a metric label.
const maxName = 64

// ParseNode parses URL[#jwt-secret=PATH][#timeout=MS][#do-not-use][#shadow][#backup][#name=NAME], with the options in
// any order, and reads the secret file. An error names the node by its URL, without userinfo and options, and has no
// secret.
func ParseNode(spec string, defaults NodeDefaults) (Node, error) {
	parts := strings.Split(strings.TrimSpace(spec), "#")
	rawURL, options := parts[0], parts[1:]
	for _, option := range options {
		// A user name or password with a # in it: what precedes looks like a URL and must not be shown.
		if key, _, _ := strings.Cut(option, "="); !isOption(key) && strings.Contains(option, "@") {
			return Node{}, errors.New("a node has # before @: only options begin with #, and userinfo is not used")
		}
	}
	node, err := parseNode(rawURL, options, defaults)
	if err != nil {
		return Node{}, Invalid{fmt.Errorf("%s: %w", redact(rawURL), err)}
	}
	return node, nil
}

func isOption(key string) bool {
	return isSwitch(key) || slices.Contains([]string{"jwt-secret", "timeout", "name"}, key)
}

// isSwitch reports whether an option takes no value.
func isSwitch(key string) bool { return slices.Contains(switches, key) }

// switches are the options that take no value. They exclude each other.
var switches = []string{"do-not-use", "shadow", "backup"}

func parseNode(rawURL string, options []string, defaults NodeDefaults) (Node, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return Node{}, err
	}
	node := Node{URL: u, Name: HostPort(u), Secret: defaults.Secret, CAs: defaults.CAs, Timeout: defaults.Timeout}
	given := make(map[string]bool)
	for _, option := range options {
		key, value, hasValue := strings.Cut(option, "=")
		switch {
		case !isOption(key):
			const known = "jwt-secret=PATH, timeout=MS, do-not-use, shadow, backup and name=NAME"
			return Node{}, fmt.Errorf("unknown option %q: there are "+known, key)
		case given[key]:
			return Node{}, fmt.Errorf("option %s is given twice", key)
		case isSwitch(key) && hasValue:
			return Node{}, fmt.Errorf("option %s takes no value", key)
		case !isSwitch(key) && value == "":
			return Node{}, fmt.Errorf("option %s needs a value", key)
		}
		given[key] = true
		if err := node.setOption(key, value, defaults); err != nil {
			return Node{}, fmt.Errorf("option %s: %w", key, err)
		}
	}
	switch {
	case node.DoNotUse && node.Backup:
		return Node{}, errors.New("options " + node.setAside() +
			" and backup exclude each other: one never votes, the other when needed")
	case given["do-not-use"] && node.Shadow:
		return Node{}, errors.New("options do-not-use and shadow exclude each other: one is enough")
	}
	if node.Secret.IsZero() && !defaults.NoSecrets {
		return Node{}, errors.New("no JWT secret: add #jwt-secret=PATH to the node, or set --jwt-secret for all")
	}
	return node, nil
}

func (n *Node) setOption(key, value string, defaults NodeDefaults) (err error) {
	switch key {
	case "jwt-secret":
		if !defaults.NoSecrets {
			n.Secret, err = auth.ReadSecret(value, defaults.read())
		}
	case "timeout":
		n.Timeout, err = parseTimeout(value)
	case "do-not-use":
		n.DoNotUse = true
	case "shadow":
		n.DoNotUse, n.Shadow = true, true
	case "backup":
		n.Backup = true
	case "name":
		n.Name, err = parseName(value)
		n.Named = true
	}
	return err
}

// setAside is the option with which a node that is DoNotUse was set aside.
func (n *Node) setAside() string {
	if n.Shadow {
		return "shadow"
	}
	return "do-not-use"
}

// parseURL takes http and https URLs. Its errors don't have what url.Parse says, which may quote a password.
func parseURL(rawURL string) (*url.URL, error) {
	scheme, _, _ := strings.Cut(strings.ToLower(rawURL), "://")
	if scheme != "http" && scheme != "https" {
		return nil, errors.New("the URL must begin with http:// or https://")
	}
	u, err := url.Parse(rawURL)
	if err != nil || !utf8.ValidString(u.Host) {
		return nil, errors.New("the URL is malformed: write it like http://host:8551")
	}
	if u.Hostname() == "" {
		return nil, errors.New("the URL has no host: write it like http://host:8551")
	}
	if port, err := parsePort(u.Port()); u.Port() != "" && (err != nil || port == 0) || strings.HasSuffix(u.Host, ":") {
		return nil, errors.New("the URL has no valid port (1 to 65535)")
	}
	u.User = nil
	u.Host = strings.ToLower(u.Host)
	return u, nil
}

// HostPort returns the URL's host and port, with the scheme's own port where it names none.
func HostPort(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Host
	case u.Scheme == "https":
		return u.Host + ":443"
	default:
		return u.Host + ":80"
	}
}

func parseName(name string) (string, error) {
	if strings.HasPrefix(name, "-") { // commands would take it for a flag
		return "", fmt.Errorf("%q begins with a dash", name)
	}
	if utf8.RuneCountInString(name) > maxName {
		return "", fmt.Errorf("%q has more than %d characters", name, maxName)
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", fmt.Errorf("%q has characters that cannot be printed", name)
	}
	return name, nil
}

// Redact returns what may be shown of a word that may be a node's specification, or any other word: all but userinfo,
// query and options.
func Redact(word string) string {
	rawURL, _, _ := strings.Cut(word, "#")
	if strings.Contains(word[len(rawURL):], "@") { // a password with a # in it
		return "…"
	}
	return redact(rawURL)
}

// redact returns what an error may show of a URL that may not even be one: all but userinfo, whatever it consists of,
// and query.
func redact(rawURL string) string {
	scheme := ""
	if before, after, ok := strings.Cut(rawURL, "://"); ok && (before == "http" || before == "https") {
		scheme, rawURL = before+"://", after
	}
	host, _, _ := strings.Cut(rawURL[strings.LastIndex(rawURL, "@")+1:], "?")
	if scheme+host == "" {
		return `""`
	}
	return scheme + strings.TrimRight(host, "/")
}

// CheckNodes returns an error where two nodes have one URL, as Display shows it, or one name: whoever reads metrics or
// removes a node could not tell them apart.
func CheckNodes(nodes []Node) error {
	urls, names := make(map[string]bool), make(map[string]bool)
	for _, n := range nodes {
		if urls[n.Display()] {
			return fmt.Errorf("two nodes have the URL %s", n.Display())
		}
		if names[n.Name] {
			return fmt.Errorf("two nodes have the name %s: add #name=NAME to one of them", n.Name)
		}
		urls[n.Display()], names[n.Name] = true, true
	}
	return nil
}
