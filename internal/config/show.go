package config

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// Value is a setting in force, as GET /config shows it. It has no secret.
type Value struct {
	Setting
	Text string // as one would write it; "" where it isn't set, or is what Help says of that case
	From string // who set it: "--port", "EXECUTIONBACKUP_PORT", "config.yaml: line 3: port"; "" = it is the default
}

// InFile reports whether the file set it.
func (v Value) InFile() bool { return strings.Contains(v.From, ": line ") }

// Values returns all settings in the order of Settings.
func (c *Config) Values() []Value {
	var values []Value
	for _, s := range Settings() {
		from := c.from[s.Key]
		if strings.HasPrefix(from, defaultOf) {
			from = ""
		}
		values = append(values, Value{s, s.of(c), from})
	}
	return values
}

// of returns the setting's value in a configuration; "" where it isn't set, or is what Help says of that case.
func (s Setting) of(c *Config) string {
	text := s.get(c)
	if s.Default == "" && text == written(time.Duration(0)) {
		return ""
	}
	return text
}

// InForce returns what of a configuration counts without a start: in what needs one it is as the one that we started
// with.
func InForce(started, now *Config) *Config {
	c := *now
	c.from = make(map[string]string)
	maps.Copy(c.from, now.from)
	for _, s := range Settings() {
		if s.Restart {
			s.keep(&c, started)
			c.from[s.Key] = started.from[s.Key]
		}
	}
	return &c
}

// Change is one difference between two configurations.
type Change struct {
	Key      string // of the setting, as in a file: "on_dispute"
	Old, New string // "" = not set
}

// String puts a change into a line: "on_dispute: halt → majority".
func (c Change) String() string {
	return fmt.Sprintf("%s: %s → %s", c.Key, orNone(c.Old), orNone(c.New))
}

func orNone(text string) string {
	if text == "" {
		return "(not set)"
	}
	return text
}

// Changes returns what is other in now than it was in old. A secret is only said to be another one.
func Changes(old, now *Config) []Change {
	var changes []Change
	add := func(s Setting, old, now string) {
		if old != now {
			changes = append(changes, Change{s.YAML(), old, now})
		}
	}
	for _, s := range Settings() {
		switch s.Key {
		case "nodes":
			changes = append(changes, nodeChanges(old, now)...)
			continue
		case "jwt-secret":
			add(s, s.of(old), s.of(now)+another(old.JWTSecret, now.JWTSecret))
		case "admin-token-file":
			add(s, s.of(old), s.of(now)+another(old.AdminToken, now.AdminToken))
		case "webhook-url":
			add(s, s.of(old), s.of(now)+another(old.Webhook, now.Webhook))
		case "ca-file":
			add(s, s.of(old), s.of(now)+otherCAs(old, now))
		default:
			add(s, s.of(old), s.of(now))
		}
	}
	return changes
}

// otherCAs is what is said of certificates beside the path of their file.
func otherCAs(old, now *Config) string {
	if old.CAs == nil || now.CAs == nil || old.CAs.Equal(now.CAs) {
		return ""
	}
	return " (other certificates)"
}

// another is what is said of a secret beside the path of its file.
func another[S interface {
	comparable
	IsZero() bool
}](old, now S) string {
	if old == now || old.IsZero() || now.IsZero() {
		return ""
	}
	return " (another secret)"
}

// nodeChanges returns the nodes that came, went, or are to be treated otherwise.
func nodeChanges(old, now *Config) []Change {
	var changes []Change
	find := func(c *Config, url string) int {
		return slices.IndexFunc(c.Nodes, func(n Node) bool { return n.Display() == url })
	}
	before, after := old.specs(), now.specs()
	for i, n := range old.Nodes {
		was, is := before[i], ""
		if j := find(now, n.Display()); j >= 0 {
			is = after[j] + another(n.Secret, now.Nodes[j].Secret)
		}
		if was != is {
			changes = append(changes, Change{Key: "nodes", Old: was, New: is})
		}
	}
	for j, n := range now.Nodes {
		if find(old, n.Display()) < 0 {
			changes = append(changes, Change{Key: "nodes", New: after[j]})
		}
	}
	return changes
}

// specs returns the nodes' specifications, without userinfo and secrets.
func (c *Config) specs() []string {
	var specs []string
	for _, n := range c.Nodes {
		spec := n.Display()
		if n.Timeout != c.Timeout {
			spec += "#timeout=" + written(n.Timeout)
		}
		if n.DoNotUse {
			spec += "#" + n.setAside()
		}
		if n.Backup {
			spec += "#backup"
		}
		if n.Named {
			spec += "#name=" + n.Name
		}
		specs = append(specs, spec)
	}
	return specs
}

// written returns a value as one would write it.
func written(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return writtenDuration(v)
	case int64: // bytes
		for _, unit := range []string{"GiB", "MiB", "KiB"} {
			if size := units[unit]; v > 0 && v%size == 0 {
				return fmt.Sprintf("%d%s", v/size, unit)
			}
		}
	case slog.Level:
		for name, level := range logLevels {
			if level == v {
				return name
			}
		}
	}
	return fmt.Sprint(v)
}

// writtenDuration leaves out what is zero: 2m, not 2m0s. BySlot is what Help says.
func writtenDuration(d time.Duration) string {
	if d == BySlot {
		return ""
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
