package overview

import "fmt"

// unheardAfter is how many payloads in a row without a VALID are more than one that is lacking its parent.
const unheardAfter = 2

// unheard tells that the consensus client hears no VALID to its payloads, whatever the nodes look like.
func (s State) unheard() (f finding) {
	row, heard := 0, ""
	for _, b := range s.Blocks {
		switch b.Told() {
		case "":
		case "VALID":
			row, f.since = 0, b.Time
		default:
			if row == 0 {
				f.since = b.Time
			}
			row, heard = row+1, b.Told()
		}
	}
	if row < unheardAfter {
		return finding{}
	}
	if heard == "error" {
		heard = "an error"
	}
	f.level = Bad
	f.text = fmt.Sprintf("the consensus client hears %s to its payloads", heard)
	f.meaning = "Validators neither attest nor propose until it hears VALID."
	f.do = []Step{{"See what the nodes say, and whether so many can say VALID as the policy wants:",
		"executionbackup check"}}
	return f
}
