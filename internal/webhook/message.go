package webhook

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"net"
	"os"
	"slices"
	"time"
)

// Message is what is POSTed to the receiver, in JSON: what Alertmanager sends to a webhook, version 4. It has the news
// of one group, which is all alerts of one name.
//
// https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
type Message struct {
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   int               `json:"truncatedAlerts"` // alerts that fire, and were too many to be told
	Receiver          string            `json:"receiver"`
	Status            Status            `json:"status"` // Firing as long as one alert of the group does
	Alerts            []Alert           `json:"alerts"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"` // of our page
}

// Alert is one alert in a Message.
type Alert struct {
	Status       Status            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`     // since when it was so
	EndsAt       time.Time         `json:"endsAt"`       // until when; zero while it fires
	GeneratorURL string            `json:"generatorURL"` // of our page
	Fingerprint  string            `json:"fingerprint"`  // of the labels, as Alertmanager makes it
}

// Status is whether an alert fires.
type Status string

// The statuses. An alert that nobody was told of yet has none.
const (
	Firing   Status = "firing"
	Resolved Status = "resolved"
)

// Instance names us by an address of ours, as Prometheus names its targets: the machine's name, where it has one, and
// the port.
func Instance(address string) string {
	host, port, _ := net.SplitHostPort(address)
	name, _ := os.Hostname() // "" where the system doesn't tell
	return net.JoinHostPort(cmp.Or(name, host), port)
}

// message puts together the news of a group, of which there is at least one. One name of alerts comes from one
// instance, so that these two make the group.
func message(news []Alert, status Status, truncated int, page string) *Message {
	labels := func(a Alert) map[string]string { return a.Labels }
	annotations := func(a Alert) map[string]string { return a.Annotations }
	name, instance := news[0].Labels["alertname"], news[0].Labels["instance"]
	return &Message{
		Version: "4", GroupKey: fmt.Sprintf("{}:{alertname=%q, instance=%q}", name, instance),
		TruncatedAlerts: truncated, Receiver: "executionbackup", Status: status, Alerts: news,
		GroupLabels:  map[string]string{"alertname": name, "instance": instance},
		CommonLabels: common(news, labels), CommonAnnotations: common(news, annotations), ExternalURL: page,
	}
}

// common is what all alerts have in common.
func common(alerts []Alert, of func(Alert) map[string]string) map[string]string {
	shared := maps.Clone(of(alerts[0]))
	for _, a := range alerts[1:] {
		maps.DeleteFunc(shared, func(name, value string) bool { return of(a)[name] != value })
	}
	return shared
}

// fingerprint is that of a set of labels in Prometheus and Alertmanager, in hexadecimal digits.
func fingerprint(labels map[string]string) string {
	h := fnv.New64a()
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(h, "%s\xff%s\xff", name, labels[name])
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

// order is the order of alerts in a message, and of groups among each other: the critical ones first.
func order(a, b Alert) int {
	return cmp.Or(
		cmp.Compare(a.Labels["severity"], b.Labels["severity"]), // critical comes before warning
		cmp.Compare(a.Labels["alertname"], b.Labels["alertname"]),
		cmp.Compare(a.Labels["node"], b.Labels["node"]),
		cmp.Compare(a.Fingerprint, b.Fingerprint),
	)
}
