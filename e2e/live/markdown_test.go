//go:build e2e

package live

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// markdown is the report for people.
func (b *book) markdown() string {
	var m strings.Builder
	form, command := "whole", "make e2e"
	if b.Short {
		form, command = "short", "make e2e-short"
	}
	fmt.Fprintf(&m, "# End-to-end report, %s form\n\n", form)
	fmt.Fprintf(&m, "As `%s` wrote it on %s, after %s, on %s.\n\n",
		command, b.Begun.Format("2 January 2006, 15:04 MST"), b.Took, b.Machine)
	for _, name := range slices.Sorted(maps.Keys(b.Versions)) {
		fmt.Fprintf(&m, "- %s %s\n", name, b.Versions[name])
	}
	m.WriteString("\nPrysm has all 64 validators of the network. A slot is missed if the chain has no block for it; " +
		"two validators attest in each. ")
	m.WriteString("Times to verdict are those of newPayload, and \"answered in the slot\" is when Prysm had the " +
		"answer, counted from the beginning of the payload's slot. \"Overdue\" are VALIDs that came after " +
		"--attest-by, a quarter of the slot, though their quorum was there before. \"Back\" is from when a node " +
		"could be reached again to its first VALID in a newPayload.\n")
	b.writeFailures(&m)
	b.writeTable(&m)
	b.writeSideBySide(&m)
	m.WriteString("\n## Each scenario\n")
	for _, r := range b.Results {
		r.write(&m)
	}
	return m.String()
}

func (b *book) writeFailures(m *strings.Builder) {
	m.WriteString("\n## Claims that did not hold\n\n")
	all := b.failures()
	if len(all) == 0 {
		m.WriteString("None.\n")
	}
	for _, f := range all {
		fmt.Fprintf(m, "- %s\n", f)
	}
	if names := b.untested(); len(names) > 0 {
		fmt.Fprintf(m, "\n**NOT TESTED, because this machine refuses what they need: %s.**\n",
			strings.Join(names, ", "))
	}
}

// writeTable has all scenarios behind ExecutionBackup.
func (b *book) writeTable(m *strings.Builder) {
	m.WriteString("\n## Behind ExecutionBackup\n\n")
	m.WriteString("| scenario | slots | missed before / during / after | attestations | blocks with transactions | " +
		"blobs | finalized epoch | errors in Prysm's logs | verdict p50 / p99, ms | " +
		"answered in the slot p50 / p99, s | overdue | back, s |\n")
	m.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range b.Results {
		if r.Direct {
			continue
		}
		if r.NotTested {
			fmt.Fprintf(m, "| %s | **NOT TESTED** | | | | | | | | | | |\n", r.Name)
			continue
		}
		fmt.Fprintf(m, "| %s | %d | %s | %d of %d | %d | %d | %d | %d | %.0f / %.0f | %.2f / %.2f | %d | %s |\n",
			r.Name, r.Slots, r.missedByPhase(),
			r.Attested, r.Attesters, r.BlocksWithTransactions, r.BlobTransactions, r.Finalized, r.CLErrors,
			r.P50, r.P99, r.AnsweredP50, r.AnsweredP99, r.Overdue, r.backText())
	}
}

// writeSideBySide has the same faults with and without ExecutionBackup.
func (b *book) writeSideBySide(m *strings.Builder) {
	var rows strings.Builder
	for _, direct := range b.Results {
		with := b.find(direct.Name, false)
		if !direct.Direct || with == nil {
			continue
		}
		fmt.Fprintf(&rows, "| %s | %s | %s | %s | %s |\n",
			direct.Name, with.missedOf(), with.goesOn(), direct.missedOf(), direct.goesOn())
	}
	if rows.Len() == 0 {
		return
	}
	m.WriteString("\n## The same faults without it\n\nPrysm directly on one geth, each fault on a new chain.\n\n")
	m.WriteString("| fault | behind ExecutionBackup: missed | at the end | Prysm directly on one geth: missed | " +
		"at the end |\n|---|---|---|---|---|\n")
	m.WriteString(rows.String())
}

// write has all that is known of one scenario.
func (r *result) write(m *strings.Builder) {
	how := ""
	if r.Direct {
		how = ", Prysm directly on one geth"
	}
	fmt.Fprintf(m, "\n### %s%s\n\n%s\n\n", r.Name, how, r.About)
	if r.NotTested {
		m.WriteString("**NOT TESTED: this machine refuses what it needs.**\n")
	}
	for _, p := range r.Phases {
		fmt.Fprintf(m, "- %s: slots %d to %d, %d missed\n", p.Name, p.From, p.To-1, p.Missed)
	}
	fmt.Fprintf(m, "- %d transactions, %d of them with a blob, in %d of %d blocks\n",
		r.Transactions, r.BlobTransactions, r.BlocksWithTransactions, r.Slots-len(r.Missed))
	if !r.Direct {
		fmt.Fprintf(m, "- verdicts of newPayload: %s; %d in a dispute\n", counts(r.Verdicts), r.Disputes)
		if len(r.Back) > 0 {
			fmt.Fprintf(m, "- at most %.0f ms from when all other voters had said something to the verdict\n", r.Beyond)
		}
	}
	for _, note := range r.Notes {
		fmt.Fprintf(m, "- %s\n", note)
	}
	for _, f := range r.Failures {
		fmt.Fprintf(m, "- **%s**\n", f)
	}
	list(m, "errors in Prysm's logs", r.CLErrorKinds)
	for _, miss := range r.Missed {
		list(m, fmt.Sprintf("slot %d, missed", miss.Slot), miss.Why)
	}
}

func list(m *strings.Builder, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(m, "- %s:\n", title)
	for _, line := range lines {
		fmt.Fprintf(m, "  - `%s`\n", strings.ReplaceAll(line, "`", "'"))
	}
}

func counts(of map[string]int) string {
	var texts []string
	for _, key := range slices.Sorted(maps.Keys(of)) {
		texts = append(texts, fmt.Sprintf("%d %s", of[key], key))
	}
	return strings.Join(texts, ", ")
}

func (r *result) missedOf() string { return fmt.Sprintf("%d of %d", len(r.Missed), r.Slots) }

// goesOn says whether the last slots have blocks.
func (r *result) goesOn() string {
	if n := len(r.Missed); n > 0 && r.Missed[n-1].Slot == r.Phases[len(r.Phases)-1].To-1 {
		return "stands still"
	}
	return "goes on"
}

// missedByPhase is "before / during / after"; phases of one name are added up.
func (r *result) missedByPhase() string {
	missed := map[string]int{}
	for _, p := range r.Phases {
		missed[p.Name] += p.Missed
	}
	text := fmt.Sprintf("%d / %d / %d", missed["before"], missed["during"], missed["after"])
	if r.Halts {
		text += " (rightly)"
	}
	return text
}

func (r *result) backText() string {
	var texts []string
	for _, b := range r.Back {
		if b.Seconds == never {
			texts = append(texts, b.Node+" never")
		} else {
			texts = append(texts, fmt.Sprintf("%s %.1f", b.Node, b.Seconds))
		}
	}
	return strings.Join(texts, ", ")
}
