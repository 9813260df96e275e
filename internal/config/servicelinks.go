package config

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// serviceLink splits the name of a variable that Kubernetes adds to every pod beside a Service, unless
// enableServiceLinks is false: the Service's name, and what is said of it.
var serviceLink = regexp.MustCompile(`^(EXECUTIONBACKUP(?:_[A-Z0-9_]+?)??)_` +
	`(SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$`)

// WithoutServiceLinks returns the environment without the variables that Kubernetes sets for a Service named
// executionbackup, or executionbackup-…, and the names of those that it left out. They begin as ours do, and
// EXECUTIONBACKUP_PORT=tcp://10.0.0.1:7000 would be taken for a setting. One is left out only where its value has the
// shape that Kubernetes gives it, and the Service's address is beside it: what else is there somebody wrote.
func WithoutServiceLinks(environ []string) (kept, links []string) {
	variables := environMap(environ)
	kept = slices.DeleteFunc(slices.Clone(environ), func(variable string) bool {
		name, value, _ := strings.Cut(variable, "=")
		m := serviceLink.FindStringSubmatch(name)
		if m == nil || !isAddress(variables[m[1]+"_SERVICE_HOST"]) || !isLink(m[2], value) {
			return false
		}
		links = append(links, name)
		return true
	})
	return kept, links
}

// isLink reports whether a value has the shape that Kubernetes gives a variable of this kind.
func isLink(kind, value string) bool {
	switch {
	case strings.HasPrefix(kind, "SERVICE_PORT") || strings.HasSuffix(kind, "_PORT"):
		_, err := strconv.ParseUint(value, 10, 16)
		return err == nil
	case kind == "SERVICE_HOST" || strings.HasSuffix(kind, "_ADDR"):
		return isAddress(value)
	case strings.HasSuffix(kind, "_PROTO"):
		return value == "tcp" || value == "udp" || value == "sctp"
	}
	protocol, address, _ := strings.Cut(value, "://")
	_, err := netip.ParseAddrPort(address)
	return err == nil && isLink("_PROTO", protocol)
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}
