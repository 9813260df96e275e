package main

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"executionbackup/internal/config"
)

// place is where a node's URL leads.
type place struct {
	host, port, path string
	addresses        []netip.Addr // of the host, ::1 as 127.0.0.1; nil where they aren't known
	own              bool         // one of them is this machine's
}

// find finds where a URL leads, within the time of a node's questions.
func find(ctx context.Context, u *url.URL) place {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, port, _ := net.SplitHostPort(config.HostPort(u))
	p := place{host: u.Hostname(), port: port, path: strings.TrimRight(u.Path, "/")}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", p.host) // takes addresses, too
	if err != nil {
		return p // whoever can't be found is unreachable, and that is told
	}
	interfaces, _ := net.InterfaceAddrs() // none, where they can't be told
	for _, a := range addresses {
		a = a.Unmap()
		if a == netip.IPv6Loopback() {
			a = netip.AddrFrom4([4]byte{127, 0, 0, 1}) // as a rule one client listens on both
		}
		p.addresses = append(p.addresses, a)
		p.own = p.own || a.IsLoopback() || slices.ContainsFunc(interfaces, func(i net.Addr) bool {
			prefix, err := netip.ParsePrefix(i.String())
			return err == nil && prefix.Addr().Unmap() == a
		})
	}
	return p
}

// isName reports whether the host is a name that a proxy could tell nodes apart by.
func (p *place) isName() bool {
	_, err := netip.ParseAddr(p.host)
	return err != nil && p.host != "localhost"
}

// How sure it is that two nodes are one.
type likeness uint8

const (
	others      likeness = iota // they are two, as far as we see
	maybeSame                   // they have one machine and port, and could be told apart by a name or an address
	sameAddress                 // they have one address, and nothing to be told apart by
)

// twin compares the node with another by where they are. What they say of themselves can only show that they are two.
func (i *inspection) twin(other *inspection) likeness {
	a, b := &i.place, &other.place
	one, two := i.now.Info.Exactly(), other.now.Info.Exactly()
	if a.port != b.port || a.path != b.path || one != "" && two != "" && one != two {
		return others
	}
	shared := slices.ContainsFunc(a.addresses, func(x netip.Addr) bool { return slices.Contains(b.addresses, x) })
	switch {
	case shared && !(a.isName() && b.isName()):
		return sameAddress
	case shared, a.own && b.own:
		return maybeSame
	}
	return others
}
