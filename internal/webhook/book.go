package webhook

import (
	"maps"
	"slices"
	"time"

	"executionbackup/internal/overview"
)

const (
	// quiet is how long an alert must not have fired until it is resolved: what comes and goes is one alert.
	quiet = 5 * time.Minute
	// again is how long after a message has failed the next one of its group is tried, unless there is news of it.
	again = time.Minute
	// oldNews is how long after its end nobody wants to hear of an alert.
	oldNews = 24 * time.Hour
	// maxAlerts bounds the alerts that are known, and so a message.
	maxAlerts = 1000
)

// book is what fires and what of it was told. It is pure: times are arguments. They are compared as Go does, by a clock
// that isn't set, so that an alert's end comes as long after its start as it was there.
type book struct {
	page string // the URL of ours

	entries map[string]*entry    // by fingerprint
	failed  map[string]time.Time // by group: when its last message failed
	missing map[string]int       // by group: how many alerts there was no room for
}

// entry is one alert, from when it begins to be so until its end has been told.
type entry struct {
	alert overview.Alert
	begun time.Time // when it began
	last  time.Time // when it was last so
	again time.Time // since when it is so now; zero while it isn't
	// status is none until it has been so for as long as its rule wants, and told what the receiver knows.
	status, told Status
}

// news reports whether there is something to tell of an alert. One that ended before anybody could be told is told as
// resolved.
func (e *entry) news() bool { return e.status != e.told }

// form is the alert as a message has it.
func (b *book) form(fingerprint string, e *entry) Alert {
	a := Alert{
		Status: e.status, Labels: e.alert.Labels, Annotations: e.alert.Annotations,
		StartsAt: e.begun.UTC(), GeneratorURL: b.page, Fingerprint: fingerprint,
	}
	if e.status == Resolved {
		a.EndsAt = e.begun.Add(e.last.Sub(e.begun)).UTC() // the clock may have been set in between
	}
	return a
}

func newBook(page string) *book {
	return &book{page: page, entries: make(map[string]*entry), failed: make(map[string]time.Time)}
}

// see takes in which alerts there are now.
func (b *book) see(now time.Time, alerts []overview.Alert) {
	b.missing = make(map[string]int)
	is := make(map[string]bool, len(alerts))
	for _, a := range alerts {
		key := fingerprint(a.Labels)
		is[key] = true
		e := b.entries[key]
		if e == nil && len(b.entries) >= maxAlerts {
			b.missing[a.Name()]++
			continue
		}
		if e == nil {
			e = &entry{begun: now}
			b.entries[key] = e
		}
		if e.again.IsZero() {
			e.again = now
		}
		fires := e.status == Firing || now.Sub(e.again) >= a.For
		if e.status == Resolved && !fires {
			continue // so far it is over
		}
		e.alert, e.last = a, now
		if fires && e.status != Firing {
			b.set(e, Firing)
		}
	}
	for key, e := range b.entries {
		if !is[key] {
			e.again = time.Time{}
		}
		since := now.Sub(e.last)
		switch {
		case e.status == "" && since > 0, e.status == Resolved && since > oldNews:
			delete(b.entries, key)
		case e.status == Firing && since >= quiet:
			b.set(e, Resolved)
		}
	}
}

// set gives an alert another status. That is news, which doesn't wait for what has failed.
func (b *book) set(e *entry, s Status) {
	e.status = s
	delete(b.failed, e.alert.Name())
}

// next returns the message that is to be sent now; nil where there is none.
func (b *book) next(now time.Time) *Message {
	group := ""
	var news []Alert
	for _, a := range b.all() {
		name := a.Labels["alertname"]
		if failed, is := b.failed[name]; is && now.Sub(failed) < again {
			continue
		}
		if b.entries[a.Fingerprint].news() && (group == "" || group == name) {
			group, news = name, append(news, a)
		}
	}
	if group == "" {
		return nil
	}
	status := Resolved
	for _, e := range b.entries {
		if e.alert.Name() == group && e.status == Firing {
			status = Firing
		}
	}
	return message(news, status, b.missing[group], b.page)
}

// all are the alerts that have a status, in order.
func (b *book) all() (list []Alert) {
	for key, e := range b.entries {
		if e.status != "" {
			list = append(list, b.form(key, e))
		}
	}
	slices.SortFunc(list, order)
	return list
}

// sent notes that the receiver has a message.
func (b *book) sent(m *Message) {
	for _, a := range m.Alerts {
		e := b.entries[a.Fingerprint]
		switch {
		case e == nil: // too old by now
		case a.Status == Resolved && e.status == Resolved:
			delete(b.entries, a.Fingerprint)
		default:
			e.told = a.Status
		}
	}
}

// fail notes that the receiver can't be told.
func (b *book) fail(m *Message, now time.Time) {
	maps.DeleteFunc(b.failed, func(_ string, at time.Time) bool { return now.Sub(at) >= again })
	b.failed[m.GroupLabels["alertname"]] = now
}
