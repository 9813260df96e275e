//go:build e2e

// Package live puts ExecutionBackup between software that no one here wrote: Prysm with 64 validators before it; geth,
// ethereumjs and Erigon behind it, each a process of its own. On a running chain it breaks one thing after the other,
// and counts what the validators missed.
//
//	make e2e         every scenario, and the same faults with Prysm directly on one geth; writes docs/e2e-report.md
//	make e2e-short   a few of them, within minutes
//
// A world is such a network. A scenario is a story that is told in slots: before, during and after a fault. A run is
// one telling of it, and gives a result, which the report has and the claims are checked on.
//
// The clients come from e2e/clients (make e2e-clients).
package live
