package fleet_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"executionbackup/internal/bubble"
	"executionbackup/internal/config"
	"executionbackup/internal/fleet"
)

// A mode that somebody chose stands, also after a restart, until the configuration says another one than it did then.
func TestModeStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := func(configured config.Mode, alone string) *bubble.Bubble {
			return bubble.New(t, []*bubble.Fake{{}, {}}, bubble.Options{Settings: func(s *fleet.Settings) {
				s.Mode, s.ShadowNode = configured, alone
			}})
		}
		wants := func(b *bubble.Bubble, when string, mode config.Mode) {
			t.Helper()
			got, alone := b.Fleet.Mode()
			if got != mode || (alone == nil) != (mode == config.Active) || alone != nil && alone.Name() != "n1" {
				t.Errorf("%s: the mode is %s, and %v answers, want %s", when, got, alone, mode)
			}
		}
		first := start("", "n1")
		first.Run(func() {
			wants(first, "at first", config.Active)
			if err := first.Fleet.SetMode(config.Shadow); err != nil {
				t.Fatal(err)
			}
			wants(first, "when it was chosen", config.Shadow)
			first.Change(func(*fleet.Settings) {})
			wants(first, "after a reload", config.Shadow)
		})
		for _, c := range []struct {
			configured config.Mode
			alone      string
			want       config.Mode
		}{
			{config.Active, "n1", config.Shadow}, {config.Active, "http://n1:8551/", config.Shadow},
			{config.Off, "n1", config.Off}, // somebody wrote that since
			{config.Active, "", config.Active}, {config.Active, "n3", config.Active},
		} {
			second := start(c.configured, c.alone)
			second.Fleet.Restore(first.Fleet.Records())
			second.Run(func() { wants(second, "after a restart", c.want) })
		}
		first.Change(func(s *fleet.Settings) { s.Mode = config.Off })
		wants(first, "after a reload with another mode", config.Off)
		first.Change(func(s *fleet.Settings) { s.Mode = config.Active })
		wants(first, "after a reload with the first one", config.Active)
	})
}

// A mode in which one node alone answers needs that node.
func TestModeNeedsANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, []*bubble.Fake{{}, {}}, bubble.Options{})
		b.Run(func() {
			for _, mode := range []config.Mode{config.Shadow, config.Off} {
				if err := b.Fleet.SetMode(mode); err == nil || !strings.Contains(err.Error(), "--shadow-node") {
					t.Errorf("without a node mode %s: %v", mode, err)
				}
			}
			b.Change(func(s *fleet.Settings) { s.ShadowNode = "n1" })
			if err := b.Fleet.SetMode(config.Off); err != nil {
				t.Fatal(err)
			}
			for _, word := range []string{"n1", "http://n1:8551/"} {
				if err := b.Fleet.RemoveNodes([]string{"n2", word}); err == nil || len(b.Fleet.Pool.Nodes()) != 2 {
					t.Errorf("the node that answers was removed as %s: %v", word, err)
				}
				err := b.Fleet.DrainNodes([]string{"n2", word}, true)
				if err == nil || len(b.Fleet.Pool.Drained()) > 0 {
					t.Errorf("the node that answers was drained as %s: %v", word, err)
				}
			}
			if err := b.Fleet.SetMode(config.Active); err != nil {
				t.Fatal(err)
			}
			if err := b.Fleet.DrainNodes([]string{"n1"}, true); err != nil {
				t.Error(err)
			}
			if err := b.Fleet.SetMode(config.Shadow); err == nil {
				t.Error("the node that would answer is drained, and the mode is chosen")
			}
			if err := b.Fleet.DrainNodes([]string{"n1"}, false); err != nil {
				t.Error(err)
			}
			if err := b.Fleet.RemoveNodes([]string{"n1"}); err != nil {
				t.Error(err)
			}
			if err := b.Fleet.SetMode(config.Shadow); err == nil {
				t.Error("the node that would answer isn't there any more, and the mode is chosen")
			}
		})
	})
}

// A node that alone answers does so in the midst of a reload, too, which gives it another name, or takes it away. Where
// none is left to answer alone, the mode is active for all to see.
func TestReloadOfTheNodeThatAnswersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bubble.New(t, []*bubble.Fake{{}, {}, {}}, bubble.Options{
			Settings: func(s *fleet.Settings) { s.ShadowNode = "n1" },
		})
		b.Run(func() {
			wants := func(when string, mode config.Mode, name string) {
				t.Helper()
				got, alone := b.Fleet.Mode()
				if got != mode || alone == nil && name != "" || alone != nil && alone.Name() != name {
					t.Errorf("%s: the mode is %s, and %v answers, want %s and %s", when, got, alone, mode, name)
				}
			}
			for _, mode := range []config.Mode{config.Shadow, config.Off} {
				if err := b.Fleet.SetMode(mode); err != nil {
					t.Fatal(err)
				}
				specs := []config.Node{bubble.Spec(t, 1), bubble.Spec(t, 2), bubble.Spec(t, 3)}
				specs[0].Name = "other"
				b.Fleet.Pool.Reload(specs)
				wants("while it gets another name", mode, "other")
				b.Change(func(s *fleet.Settings) { s.ShadowNode = "other" })
				wants("with another name", mode, "other")
				b.Fleet.Pool.Reload(specs[1:])
				wants("while it is taken away", mode, "other")
				if got, _ := b.Send(bubble.PayloadCall(1)); got != "VALID" {
					t.Errorf("while it is taken away the CL hears %s", got)
				}
				b.Change(func(s *fleet.Settings) { s.ShadowNode = "n2" })
				wants("when another is to answer", mode, "n2")
				b.Change(func(s *fleet.Settings) { s.ShadowNode = "" })
				wants("when none is to answer", config.Active, "")
				b.Fleet.Pool.Reload([]config.Node{bubble.Spec(t, 1), bubble.Spec(t, 2), bubble.Spec(t, 3)})
				b.Change(func(s *fleet.Settings) { s.ShadowNode = "n1" })
				wants("when it is there again", config.Active, "")
			}
		})
	})
}
