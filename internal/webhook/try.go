package webhook

import (
	"context"
	"fmt"
	"time"

	"executionbackup/internal/auth"
)

// Try tells a receiver of a test alert, and that it is over, for whoever wants to see whether that arrives. instance
// names us. Each of the two messages is sent once. An error says why one failed, without what of the URL is a secret.
func Try(ctx context.Context, to auth.URL, instance, version string) error {
	labels := map[string]string{
		"alertname": "ExecutionBackupTest", "severity": "warning", "job": "executionbackup", "instance": instance,
	}
	a := Alert{
		Status: Firing, Labels: labels, StartsAt: time.Now().UTC(), Fingerprint: fingerprint(labels),
		Annotations: map[string]string{
			"summary":     fmt.Sprintf("A test by %s: alerts of ExecutionBackup arrive here.", instance),
			"description": "Nothing is wrong: somebody ran executionbackup check --webhook.",
		},
	}
	s := newSender(version)
	if err := s.Send(ctx, to, message([]Alert{a}, Firing, 0, "")); err != nil {
		return err
	}
	a.Status, a.EndsAt = Resolved, time.Now().UTC()
	return s.Send(ctx, to, message([]Alert{a}, Resolved, 0, ""))
}
