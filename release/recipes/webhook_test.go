package recipes

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/notify/webhook"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/common/model"
)

// What we send to --webhook-url (internal/webhook/testdata/message.json, which a test there makes) is what Alertmanager
// sends: its own type reads every field, and its own fingerprints are ours.
func TestWebhookMessage(t *testing.T) {
	data, err := os.ReadFile("../../internal/webhook/testdata/message.json")
	if err != nil {
		t.Fatal(err)
	}
	var m webhook.Message
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	if m.Version != "4" || m.GroupKey != `{}:{alertname="Dead", instance="eb:7000"}` || m.TruncatedAlerts != 0 {
		t.Errorf("got %+v", m)
	}
	want := template.KV{"alertname": "Dead", "instance": "eb:7000"}
	if m.Receiver != "executionbackup" || m.Status != string(model.AlertFiring) || m.ExternalURL != "http://eb:7000" ||
		!reflect.DeepEqual(m.GroupLabels, want) || m.CommonLabels["severity"] != "warning" ||
		len(m.CommonLabels) != 3 || m.CommonAnnotations == nil {
		t.Errorf("got %+v", m.Data)
	}
	if len(m.Alerts.Firing()) != 1 || len(m.Alerts.Resolved()) != 2 {
		t.Fatalf("%d fire, %d are resolved", len(m.Alerts.Firing()), len(m.Alerts.Resolved()))
	}
	for _, a := range m.Alerts {
		labels := make(model.LabelSet)
		for name, value := range a.Labels {
			labels[model.LabelName(name)] = model.LabelValue(value)
		}
		if a.Fingerprint != labels.Fingerprint().String() {
			t.Errorf("%v: fingerprint %s, want %v", labels, a.Fingerprint, labels.Fingerprint())
		}
		firing := a.Status == string(model.AlertFiring)
		if a.EndsAt.IsZero() != firing || a.StartsAt.Before(time.Unix(1, 0)) || a.GeneratorURL == "" ||
			a.Annotations["summary"] == "" {
			t.Errorf("got %+v", a)
		}
	}

	// Written by it again, there is nothing that it didn't read.
	again, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var ours, theirs map[string]any
	if err := json.Unmarshal(data, &ours); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(again, &theirs); err != nil {
		t.Fatal(err)
	}
	for field, value := range ours {
		if !reflect.DeepEqual(theirs[field], value) {
			t.Errorf("%s: it reads %v, and we wrote %v", field, theirs[field], value)
		}
	}
}
