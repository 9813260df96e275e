package state

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"

	"executionbackup/internal/auth"
)

// Endpoint is a store's URL, taken apart.
type Endpoint struct {
	Addresses []string // host:port
	TLS       bool
	Database  int
	Master    string // the name that the Sentinels know it by; "" without Sentinel
	Cluster   bool
	// SentinelAuth says that user and password are for the Sentinels, too.
	SentinelAuth bool
}

// ParseURL reads the address of a Redis or Valkey:
//
//	redis://host[:port][/database]                              one server
//	redis://host[:port],host[:port],…[/database]?master=NAME    Sentinels that know a master by that name
//	redis://host[:port],host[:port],…?cluster=true              some nodes of a Cluster
//
// rediss:// is over TLS; valkey:// and valkeys:// are the same as these two. The port is 6379, of Sentinels 26379. With
// &sentinel-auth=true user and password are given to the Sentinels as well. A user or password in the URL is an error,
// as URLs are shown; no error repeats what may be one.
func ParseURL(raw string) (Endpoint, error) {
	var e Endpoint
	scheme, rest, found := strings.Cut(raw, "://")
	if strings.Contains(raw, "@") {
		return e, errors.New("no user and password belong in it: give the user and a password file by themselves")
	}
	switch scheme {
	case "redis", "valkey":
	case "rediss", "valkeys":
		e.TLS = true
	default:
		found = false
	}
	if !found {
		return e, errors.New("it must begin with redis://, rediss://, valkey:// or valkeys://")
	}
	rest, query, _ := strings.Cut(rest, "?")
	hosts, database, _ := strings.Cut(rest, "/")
	if err := e.options(query); err != nil {
		return e, err
	}
	if database != "" {
		n, err := strconv.ParseUint(database, 10, 16)
		if err != nil {
			return e, errors.New("the database after the slash isn't a number")
		}
		e.Database = int(n)
	}
	port := "6379"
	if e.Master != "" {
		port = "26379"
	}
	for _, host := range strings.Split(hosts, ",") {
		address, err := address(host, port)
		if err != nil {
			return e, err
		}
		e.Addresses = append(e.Addresses, address)
	}
	return e, e.check()
}

func (e *Endpoint) options(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("its options can't be read")
	}
	for name, value := range values {
		last := value[len(value)-1]
		switch name {
		case "master":
			e.Master = last
		case "cluster":
			e.Cluster, err = strconv.ParseBool(last)
		case "sentinel-auth":
			e.SentinelAuth, err = strconv.ParseBool(last)
		default:
			return fmt.Errorf("it has an unknown option %q: there are master, cluster and sentinel-auth", name)
		}
		if err != nil || last == "" {
			return fmt.Errorf("its option %s has a bad value", name)
		}
	}
	return nil
}

func (e *Endpoint) check() error {
	switch {
	case e.Master != "" && e.Cluster:
		return errors.New("it has master=, which is Sentinel's, and cluster=true")
	case e.Cluster && e.Database != 0:
		return errors.New("a Cluster has no databases but 0")
	case e.SentinelAuth && e.Master == "":
		return errors.New("it has sentinel-auth, but no master=")
	case len(e.Addresses) > 1 && e.Master == "" && !e.Cluster:
		return errors.New("it has several addresses: add ?master=NAME if they are Sentinels, or ?cluster=true")
	}
	return nil
}

// address returns host:port of what may lack the port.
func address(host, port string) (string, error) {
	h, p, err := net.SplitHostPort(host)
	if err != nil {
		h, p = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), port
	}
	_, badPort := strconv.ParseUint(p, 10, 16)
	_, badIP := netip.ParseAddr(h)
	if h == "" || badPort != nil || badIP != nil && strings.ContainsAny(h, "[]: ") {
		return "", fmt.Errorf("%q isn't host or host:port", host)
	}
	return net.JoinHostPort(h, p), nil
}

func readPassword(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	content, err := auth.ReadFile(file, os.ReadFile)
	if err != nil {
		return "", fmt.Errorf("password of the shared state: %w", err)
	}
	password := strings.TrimSpace(string(content))
	switch {
	case password == "":
		return "", fmt.Errorf("password of the shared state: %s is empty", file)
	case auth.IsPlaceholder(password):
		return "", fmt.Errorf("password of the shared state: %s has a placeholder, not a password", file)
	}
	return password, nil
}

func tlsConfig(caFile string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("CA of the shared state: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA of the shared state: %s has no certificate in PEM", caFile)
	}
	return c, nil
}
