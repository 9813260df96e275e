package config

import (
	"fmt"
	"slices"
	"strings"
)

// Mode is what becomes of the consensus client's calls.
type Mode string

// The modes.
const (
	// Active asks all nodes, and decides.
	Active Mode = "active"
	// Shadow lets one node answer. All others get every call too, and what would have been answered is recorded.
	Shadow Mode = "shadow"
	// Off lets one node answer, and asks no other.
	Off Mode = "off"
)

// Modes are all that there are.
func Modes() []Mode { return []Mode{Active, Shadow, Off} }

// ParseMode reads a mode, in lower case.
func ParseMode(text string) (Mode, error) {
	if m := Mode(text); slices.Contains(Modes(), m) {
		return m, nil
	}
	return "", fmt.Errorf("%q is none of active, shadow and off", text)
}

// Is reports whether a word (URL or name) stands for the node.
func (n *Node) Is(word string) bool {
	return n.Name == word || n.Display() == strings.TrimRight(word, "/")
}

// parseNodeWord reads a node's name or URL, without userinfo and query.
func parseNodeWord(text string) (string, error) { return Redact(text), nil }

// CheckShadowNode returns an error where none of the nodes can be the one that a word (URL or name) stands for, which
// answers in a mode.
func CheckShadowNode(mode Mode, word string, nodes []Node) error {
	i := slices.IndexFunc(nodes, func(n Node) bool { return n.Is(word) })
	switch {
	case word == "" && mode == Active:
		return nil
	case word == "":
		return fmt.Errorf("mode %s needs --shadow-node: which node answers the consensus client?", mode)
	case i < 0:
		return fmt.Errorf("no node has the name or URL %q: there are %s", word, nodeNames(nodes))
	case nodes[i].DoNotUse:
		return fmt.Errorf("%s is %s, and can't answer for all", nodes[i].Name, nodes[i].setAside())
	}
	return nil
}

// nodeNames are the names of nodes, in one line.
func nodeNames(nodes []Node) string {
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	return strings.Join(names, ", ")
}

// checkShadowNode is CheckShadowNode for what is being loaded.
func (d *draft) checkShadowNode() error {
	err := CheckShadowNode(d.Mode, d.ShadowNode, d.Nodes)
	if where := d.from["shadow-node"]; err != nil && where != "" {
		return fmt.Errorf("%s: %w", where, err)
	}
	return err
}
