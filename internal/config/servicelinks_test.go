package config

import (
	"slices"
	"strings"
	"testing"
)

// What Kubernetes tells a pod of the Services beside it is left out. What somebody wrote stays, however wrong it is.
func TestServiceLinks(t *testing.T) {
	const service = "EXECUTIONBACKUP_SERVICE_HOST=10.96.7.1 "
	for name, test := range map[string]struct{ environ, kept string }{
		"a Service with two ports": {
			service + "EXECUTIONBACKUP_SERVICE_PORT=7000 EXECUTIONBACKUP_SERVICE_PORT_ENGINE=7000 " +
				"EXECUTIONBACKUP_SERVICE_PORT_ADDR=7001 EXECUTIONBACKUP_PORT=tcp://10.96.7.1:7000 " +
				"EXECUTIONBACKUP_PORT_7000_TCP=tcp://10.96.7.1:7000 EXECUTIONBACKUP_PORT_7000_TCP_PROTO=tcp " +
				"EXECUTIONBACKUP_PORT_7000_TCP_PORT=7000 EXECUTIONBACKUP_PORT_7000_TCP_ADDR=10.96.7.1 " +
				"EXECUTIONBACKUP_PORT_7001_TCP=tcp://10.96.7.1:7001 EXECUTIONBACKUP_GRACE=1s HOME=/",
			"EXECUTIONBACKUP_GRACE=1s HOME=/",
		},
		"one of a pair": {
			"EXECUTIONBACKUP_A_SERVICE_HOST=10.96.7.1 EXECUTIONBACKUP_A_SERVICE_PORT=7000 " +
				"EXECUTIONBACKUP_A_PORT=tcp://10.96.7.1:7000 EXECUTIONBACKUP_A_PORT_7000_TCP=tcp://10.96.7.1:7000", "",
		},
		"IPv6": {
			"EXECUTIONBACKUP_SERVICE_HOST=fd00::1 EXECUTIONBACKUP_PORT=tcp://[fd00::1]:7000", "",
		},
		"a port of ours beside a Service": {service + "EXECUTIONBACKUP_PORT=9000", "EXECUTIONBACKUP_PORT=9000"},
		"a mistake beside a Service":      {service + "EXECUTIONBACKUP_PORT=tcp", "EXECUTIONBACKUP_PORT=tcp"},
		"a typing error beside a Service": {service + "EXECUTIONBACKUP_PROT=1", "EXECUTIONBACKUP_PROT=1"},
		"no Service": {
			"EXECUTIONBACKUP_PORT=tcp://10.96.7.1:7000", "EXECUTIONBACKUP_PORT=tcp://10.96.7.1:7000",
		},
		"a Service's address that is none": {"EXECUTIONBACKUP_SERVICE_HOST=here", "EXECUTIONBACKUP_SERVICE_HOST=here"},
		"another's":                        {"GETH_PORT=tcp://10.96.7.2:8551", "GETH_PORT=tcp://10.96.7.2:8551"},
	} {
		t.Run(name, func(t *testing.T) {
			environ := strings.Fields(test.environ)
			kept, links := WithoutServiceLinks(environ)
			if got := strings.Join(kept, " "); got != test.kept {
				t.Errorf("kept %s, want %s", got, test.kept)
			}
			if len(kept)+len(links) != len(environ) {
				t.Errorf("%d variables, of which %q are kept and %q left out", len(environ), kept, links)
			}
		})
	}
}

// No setting of ours is named so that a Service's variable could be taken for it, but for the port.
func TestSettingsLikeServiceLinks(t *testing.T) {
	var like []string
	for _, s := range Settings() {
		if serviceLink.MatchString(s.Env()) {
			like = append(like, s.Key)
		}
	}
	if !slices.Equal(like, []string{"port"}) {
		t.Errorf("%q", like)
	}
}
