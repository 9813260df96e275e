package webhook

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"executionbackup/internal/overview"
)

// alert is one of a name and a node ("" for none) that has to be so for a while.
func alert(name, node string, wait time.Duration) overview.Alert {
	labels := map[string]string{"alertname": name, "severity": "warning", "instance": "eb:7000"}
	if name == "Dispute" {
		labels["severity"] = "critical"
	}
	if node != "" {
		labels["node"] = node
	}
	return overview.Alert{Labels: labels, Annotations: map[string]string{"summary": name + " " + node}, For: wait}
}

// alertsOf reads alerts: "Dispute", "Dead a", "Slow/5m a", separated by commas.
func alertsOf(t testing.TB, text string) (list []overview.Alert) {
	t.Helper()
	for word := range strings.SplitSeq(text, ",") {
		word, node, _ := strings.Cut(strings.TrimSpace(word), " ")
		name, wait, _ := strings.Cut(word, "/")
		if name == "" {
			continue
		}
		d, err := time.ParseDuration(wait + "0s")
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, alert(name, node, d))
	}
	return list
}

// words are a message in short: "firing Dead: a firing, b resolved".
func words(m *Message) string {
	if m == nil {
		return ""
	}
	var alerts []string
	for _, a := range m.Alerts {
		alerts = append(alerts, strings.TrimSpace(a.Labels["node"]+" "+string(a.Status)))
	}
	return fmt.Sprintf("%s %s: %s", m.Status, m.GroupLabels["alertname"], strings.Join(alerts, ", "))
}

// story is what fires at which time, and what is told then. A receiver that is down takes nothing.
type story []struct {
	at    string // since the beginning
	alert string
	tells string // messages, separated by semicolons
	down  bool
}

// play looks at each time, and sends all that there is.
func (s story) play(t *testing.T) {
	t.Helper()
	b := newBook("http://eb:7000")
	begun := time.Now()
	for _, step := range s {
		after, err := time.ParseDuration(step.at)
		if err != nil {
			t.Fatal(err)
		}
		now := begun.Add(after)
		b.see(now, alertsOf(t, step.alert))
		var told []string
		for m := b.next(now); m != nil; m = b.next(now) {
			told = append(told, words(m))
			if step.down {
				b.fail(m, now)
			} else {
				b.sent(m)
			}
		}
		if got := strings.Join(told, "; "); got != step.tells {
			t.Errorf("at %s, %s:\n got %s\nwant %s", step.at, step.alert, got, step.tells)
		}
	}
	for key, e := range b.entries {
		if e.status != Firing {
			t.Errorf("%s is left: %+v", key, e)
		}
	}
}

// Each alert is told once when it fires, and once when it is resolved, five minutes after it was last so.
func TestOnce(t *testing.T) {
	story{
		{at: "0s", alert: "Dispute", tells: "firing Dispute: firing"},
		{at: "1s", alert: "Dispute"},
		{at: "9m", alert: "Dispute"},
		{at: "10m"},
		{at: "13m59s"},
		{at: "14m", tells: "resolved Dispute: resolved"},
		{at: "15m"},
		{at: "16m", alert: "Dispute", tells: "firing Dispute: firing"},
		{at: "21m", tells: "resolved Dispute: resolved"},
	}.play(t)
}

// What must be so for a while is told after that, and not where it was interrupted.
func TestFor(t *testing.T) {
	story{
		{at: "0s", alert: "Dead/5m a"},
		{at: "4m", alert: "Dead/5m a"},
		{at: "4m30s"},
		{at: "5m", alert: "Dead/5m a"},
		{at: "9m59s", alert: "Dead/5m a"},
		{at: "10m", alert: "Dead/5m a", tells: "firing Dead: a firing"},
		{at: "15m", tells: "resolved Dead: a resolved"},
	}.play(t)
}

// What comes and goes within five minutes is one alert.
func TestFlapping(t *testing.T) {
	s := story{{at: "0s", alert: "Dispute", tells: "firing Dispute: firing"}}
	for i := range 100 {
		goes, comes := fmt.Sprintf("%ds", 200*i+100), fmt.Sprintf("%ds", 200*i+200)
		s = append(s, story{{at: goes}, {at: comes, alert: "Dispute"}}...)
	}
	s = append(s, story{{at: "20299s"}, {at: "20300s", tells: "resolved Dispute: resolved"}}...)
	s.play(t)
}

// Alerts of one name are one message, and those of two are two, the critical one first. A message has what is new, and
// says that its group fires as long as one alert of it does.
func TestGroups(t *testing.T) {
	story{
		{at: "0s", alert: "Dead a, Dead b, Dispute", tells: "firing Dispute: firing; firing Dead: a firing, b firing"},
		{at: "1s", alert: "Dead a, Dead b, Dead c", tells: "firing Dead: c firing"},
		{at: "5m1s", alert: "Dead b", tells: "resolved Dispute: resolved; firing Dead: a resolved, c resolved"},
		{at: "5m2s", alert: "Dead b, Dead a", tells: "firing Dead: a firing"},
		{at: "11m", tells: "resolved Dead: a resolved, b resolved"},
	}.play(t)
	var all []string
	for i := range 100 {
		all = append(all, fmt.Sprintf("Dead n%02d", i))
	}
	b, now := newBook(""), time.Now()
	b.see(now, alertsOf(t, strings.Join(all, ",")))
	m := b.next(now)
	if b.sent(m); len(m.Alerts) != 100 || m.Alerts[7].Labels["node"] != "n07" || b.next(now) != nil {
		t.Errorf("100 nodes that die together: %s", words(m))
	}
}

// While nobody can be told, an alert is tried again each minute, and at once when there is news of its kind. It is told
// when the receiver is back: one that is over by then as resolved, unless that is a day ago, and one that came again as
// the one that it was.
func TestReceiverIsDown(t *testing.T) {
	story{
		{at: "0s", alert: "Dispute, Dead a", tells: "firing Dispute: firing; firing Dead: a firing", down: true},
		{at: "59s", alert: "Dispute, Dead a", down: true},
		{at: "60s", alert: "Dispute, Dead a", tells: "firing Dispute: firing; firing Dead: a firing", down: true},
		{at: "61s", alert: "Dispute, Dead a, Dead b", tells: "firing Dead: a firing, b firing", down: true},
		{at: "62s", alert: "Dispute"},
		{at: "2m1s", alert: "Dispute", tells: "firing Dispute: firing; firing Dead: a firing, b firing"},
		{at: "6m1s", tells: "resolved Dead: a resolved, b resolved"},
		{at: "7m1s", tells: "resolved Dispute: resolved"},
	}.play(t)
	story{
		{at: "0s", alert: "Dispute", tells: "firing Dispute: firing", down: true},
		{at: "5m", tells: "resolved Dispute: resolved", down: true},
		{at: "23h", tells: "resolved Dispute: resolved"},
	}.play(t)
	story{
		{at: "0s", alert: "Dispute", tells: "firing Dispute: firing", down: true},
		{at: "5m", tells: "resolved Dispute: resolved", down: true},
		{at: "24h1s"},
	}.play(t)
	story{
		{at: "0s", alert: "Dispute", tells: "firing Dispute: firing"},
		{at: "5m", tells: "resolved Dispute: resolved", down: true},
		{at: "7m", alert: "Dispute"},
		{at: "12m", tells: "resolved Dispute: resolved"},
	}.play(t)
}

// What must be so for a while must be so anew when it comes again, also while nobody could be told of its end: what
// was so for a moment doesn't fire, and doesn't move that end.
func TestForAfterAnEndThatNobodyHeardOf(t *testing.T) {
	s := story{
		{at: "0s", alert: "Dead/5m a"},
		{at: "5m", alert: "Dead/5m a", tells: "firing Dead: a firing", down: true},
		{at: "10m", tells: "resolved Dead: a resolved", down: true},
		{at: "3h", alert: "Dead/5m a", tells: "resolved Dead: a resolved", down: true},
		{at: "3h1s"},
		{at: "3h4m", alert: "Dead/5m a", tells: "resolved Dead: a resolved", down: true},
	}
	append(s, story{
		{at: "3h6m", alert: "Dead/5m a", tells: "resolved Dead: a resolved"},
		{at: "3h7m", alert: "Dead/5m a"},
		{at: "3h11m"},
	}...).play(t)
	append(s, story{
		{at: "3h9m", alert: "Dead/5m a", tells: "firing Dead: a firing"},
		{at: "3h14m", tells: "resolved Dead: a resolved"},
	}...).play(t)
	b, begun := newBook(""), time.Now()
	for _, at := range []time.Duration{0, 5 * time.Minute, 10 * time.Minute, 3 * time.Hour} {
		b.see(begun.Add(at), alertsOf(t, map[bool]string{true: "Dead/5m a"}[at != 10*time.Minute]))
	}
	if got := b.all()[0].EndsAt; !got.Equal(begun.Add(5 * time.Minute)) {
		t.Errorf("it ended after %v", got.Sub(begun))
	}
}

// What changes while a message is under way is told after it.
func TestChangesOnTheWay(t *testing.T) {
	b, now := newBook(""), time.Now()
	tell := func(want string) *Message {
		t.Helper()
		m := b.next(now)
		if words(m) != want {
			t.Errorf("got %q, want %q", words(m), want)
		}
		return m
	}
	see := func(after time.Duration, alerts string) {
		t.Helper()
		now = now.Add(after)
		b.see(now, alertsOf(t, alerts))
	}
	see(0, "Dispute")
	firing := tell("firing Dispute: firing")
	see(quiet, "") // it is over before that has arrived
	b.sent(firing)
	resolved := tell("resolved Dispute: resolved")
	see(time.Second, "Dispute") // and is there again
	b.sent(resolved)
	firing = tell("firing Dispute: firing")
	see(quiet+oldNews, "") // nobody knows it any more
	see(oldNews+time.Second, "")
	b.sent(firing)
	if len(b.entries) > 0 {
		t.Errorf("left: %v", b.entries)
	}
}

// However many alerts there are, some are told, and how many more there are.
func TestTooManyAlerts(t *testing.T) {
	b, now := newBook(""), time.Now()
	var all []overview.Alert
	for i := range maxAlerts + 7 {
		all = append(all, alert("Dead", fmt.Sprint(i), 0))
	}
	b.see(now, append([]overview.Alert{alert("Dispute", "", 0)}, all...))
	b.sent(b.next(now))
	m := b.next(now)
	if len(b.entries) != maxAlerts || len(m.Alerts) != maxAlerts-1 || m.TruncatedAlerts != 8 {
		t.Errorf("%d known, %d told, %d more", len(b.entries), len(m.Alerts), m.TruncatedAlerts)
	}
	b.sent(m)
	for i := range 10 { // nodes that come and go, while nobody can be told
		b.see(now.Add(time.Duration(i)*time.Hour), []overview.Alert{alert("Dead", fmt.Sprint("again", i), 0)})
	}
	if len(b.entries) > maxAlerts {
		t.Errorf("%d known", len(b.entries))
	}
}

// When an alert ended is as long after its start as it was there, wherever the clock was set to in between.
func TestClockJumps(t *testing.T) {
	b, now := newBook(""), time.Now()
	b.see(now, alertsOf(t, "Dispute"))
	b.sent(b.next(now))
	e := b.entries[fingerprint(alert("Dispute", "", 0).Labels)]
	e.last = now.Add(time.Minute)
	b.see(now.Add(time.Minute+quiet), nil)
	got := b.next(now.Add(time.Minute + quiet)).Alerts[0]
	if !got.StartsAt.Equal(now.Round(0)) || got.EndsAt.Sub(got.StartsAt) != time.Minute {
		t.Errorf("from %v to %v", got.StartsAt, got.EndsAt)
	}
}
