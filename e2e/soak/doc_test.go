//go:build e2e

// Package soak has one long test: ExecutionBackup between the project's own consensus client, which makes a block in
// every slot of two seconds, and three real geths, while every minute something breaks. `make soak` runs it, and
// docs/end-to-end.md says what it checks.
//
// What may break, for how long and at what price is one table (fault_test.go). A seed makes a sequence of it
// (plan_test.go); account_test.go says which slots each fault cost, and what that should not have. Those three are
// pure. The rest are the processes (node_test.go, multiplexer_test.go), the consensus client (chain_test.go), what a
// process has in use (level_test.go), and the report.
package soak
