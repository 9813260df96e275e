package overview

import "strings"

// addTo returns the steps with what their commands need to find us.
func (f Flags) addTo(steps []Step) []Step {
	changes := false
	for i := range steps {
		command := &steps[i].Command
		is := func(name string) bool { return strings.HasPrefix(*command+" ", "executionbackup "+name+" ") }
		switch {
		case is("nodes"), is("mode"):
			*command += f.Remote
			changes = true
		case is("check"):
			*command += f.Check
		case is("evidence"):
			*command += f.Evidence
		}
	}
	if changes && f.NoToken {
		return append([]Step{{Text: "There is no admin token, so nothing can be changed: restart with " +
			"--admin-token-file FILE (openssl rand -hex 32 makes one)."}}, steps...)
	}
	return steps
}
