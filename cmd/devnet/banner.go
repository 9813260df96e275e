package main

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"strings"
)

// banner says where the page is, before all else, what runs, and how to break it.
func banner(s *screen, net *network) {
	s.write("", "  "+s.paint(bold, net.url+"/")+"    the page: open it in a browser")
	if command := tunnel(net.url, os.Getenv("SSH_CONNECTION"), userName()); command != "" {
		s.write("  you are here over ssh; so first, on your own machine:", "    "+s.paint(bold, command))
	}
	s.write(
		"",
		"Three geth nodes, ExecutionBackup before them. Each block is put to all of them, and their votes decide.",
		"",
	)
	for _, n := range net.nodes {
		s.line("  %-15s  %s", n.name, n.gate.url())
	}
	kept := "kept at the end"
	if net.remove {
		kept = "removed at the end"
	}
	s.write("  data and log     " + net.dir + "    " + kept)
	s.write("  its commands     make build, then bin/executionbackup status " + net.url)
	s.write("                   or, say, nodes drain geth-1 --url "+net.url, "                     --admin-token-file "+
		net.file("admin.token"), "")
	if net.foreign {
		needs(s, net)
	} else {
		s.line("  The chain comes to the fork Amsterdam after %d blocks: log and page speak of that.", amsterdamSlot)
		s.write("")
	}
	help(s)
}

// needs says what a consensus client needs to make this chain's blocks.
func needs(s *screen, net *network) {
	first := net.genesis.ToBlock()
	s.write(
		s.paint(bold, "  Your consensus client needs"),
		"    Engine API     "+net.url,
		"    JWT secret     "+net.file("cl.jwt"),
		"    genesis        "+net.file("genesis.json"),
		fmt.Sprintf("      hash         %s", first.Hash()),
		fmt.Sprintf("      time         %d", first.Time()),
		fmt.Sprintf("      chain id     %s", net.genesis.Config.ChainID),
		"  and a beacon genesis made for that one: docs/clients.md has an example.",
		"  Only the nodes' states are told until it sends a block.",
		"",
	)
}

// help tells the keys.
func help(s *screen) {
	s.write(
		"  keys   1 2 3   stop geth-1, geth-2, geth-3; again: start it",
		"         q w e   hang it: it takes calls in and doesn't answer; again: resume",
		"         a s d   make it lie: INVALID for VALID; again: make it honest",
		"         m       mode shadow: geth-1 alone answers; again: off; again: active",
		"         c       clear objections      ?  these keys      x  end",
		"",
	)
}

// tunnel is the command with which somebody who is here over ssh has the page at the same address at home; "" where
// nobody is. The connection is as SSH_CONNECTION has it: both ends' addresses and ports, ours last.
func tunnel(url, connection, user string) string {
	ends := strings.Fields(connection)
	if len(ends) != 4 {
		return ""
	}
	address := strings.TrimPrefix(url, "http://")
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	command := "ssh -L " + port + ":" + address
	if ends[3] != "22" {
		command += " -p " + ends[3]
	}
	if user != "" {
		user += "@"
	}
	return command + " " + user + ends[2]
}

func userName() string {
	u, err := user.Current()
	if err != nil {
		return os.Getenv("USER")
	}
	return u.Username
}
