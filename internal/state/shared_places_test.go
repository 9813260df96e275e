package state

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseURL(t *testing.T) {
	for raw, want := range map[string]Endpoint{
		"redis://localhost":                {Addresses: []string{"localhost:6379"}},
		"valkey://10.0.0.1:7000/3":         {Addresses: []string{"10.0.0.1:7000"}, Database: 3},
		"rediss://db.example/":             {Addresses: []string{"db.example:6379"}, TLS: true},
		"valkeys://[::1]:7000":             {Addresses: []string{"[::1]:7000"}, TLS: true},
		"redis://[::1]":                    {Addresses: []string{"[::1]:6379"}},
		"redis://a,b:1/2?master=m":         {Addresses: []string{"a:26379", "b:1"}, Database: 2, Master: "m"},
		"redis://a?master=m&cluster=false": {Addresses: []string{"a:26379"}, Master: "m"},
		"redis://a,b?master=m&sentinel-auth=true": {
			Addresses: []string{"a:26379", "b:26379"}, Master: "m", SentinelAuth: true},
		"redis://a:1,b?cluster=true": {Addresses: []string{"a:1", "b:6379"}, Cluster: true},
	} {
		if got, err := ParseURL(raw); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", raw, got, err, want)
		}
	}
	for raw, want := range map[string]string{
		"":                                  "it must begin with",
		"localhost:6379":                    "it must begin with",
		"http://localhost":                  "it must begin with",
		"redis://":                          `"" isn't host or host:port`,
		"redis://a,":                        `"" isn't host or host:port`,
		"redis://a:b":                       `"a:b" isn't host or host:port`,
		"redis://a:70000":                   `"a:70000" isn't host or host:port`,
		"redis://a:1:2":                     `"a:1:2" isn't host or host:port`,
		"redis://a/x":                       "isn't a number",
		"redis://a/-1":                      "isn't a number",
		"redis://a,b":                       "several addresses",
		"redis://a?cluster=true&master=m":   "Sentinel's, and cluster",
		"redis://a/1?cluster=true":          "no databases",
		"redis://a?sentinel-auth=true":      "no master",
		"redis://a?master=":                 "option master has a bad value",
		"redis://a?cluster=yes":             "option cluster has a bad value",
		"redis://a?db=SECRET":               `unknown option "db"`,
		"redis://user:SECRET@a":             "no user and password",
		"redis://:SECRET/SECRET@a:1":        "no user and password",
		"SECRET@a":                          "no user and password",
		"redis://a?%zz=SECRET":              "can't be read",
		"redis://a/SECRET":                  "isn't a number",
		"redis://a?cluster=SECRET&master=m": "bad value",
	} {
		_, err := ParseURL(raw)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v, want %q", raw, err, want)
		}
	}
}

func TestOpenShared(t *testing.T) {
	for _, c := range []struct {
		o    SharedOptions
		want string
	}{
		{SharedOptions{URL: "redis://u:SECRET@a"}, "URL of the shared state: no user"},
		{SharedOptions{URL: "redis://a", Prefix: "a:b"}, `prefix of the shared state "a:b"`},
		{SharedOptions{URL: "redis://a", Prefix: "{a}"}, "prefix"},
		{SharedOptions{URL: "redis://a", PasswordFile: "/missing"}, "password of the shared state: open /missing"},
		{SharedOptions{URL: "redis://a", PasswordFile: secretFile(t, " \n")}, "is empty"},
		{SharedOptions{URL: "redis://a", CAFile: secretFile(t, "x")}, "isn't rediss"},
		{SharedOptions{URL: "rediss://a", CAFile: secretFile(t, "SECRET")}, "no certificate"},
		{SharedOptions{URL: "rediss://a", CAFile: "/missing"}, "CA of the shared state: open /missing"},
	} {
		_, err := OpenShared(c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
}

// TestLeastACL does everything as a user who may do nothing else, and finds nothing that was refused, and
// nothing that is allowed without need.
func TestLeastACL(t *testing.T) {
	s := startServer(t)
	rules := strings.Fields(LeastACL("multiplexer", "test"))
	set := []any{"ACL", "SETUSER"}
	for _, rule := range append(rules[1:], ">the password") {
		set = append(set, rule)
	}
	s.do(set...)
	least := func(run string, database string) *instance {
		i := newInstance(t, s.url()+database, run, func(o *SharedOptions) {
			o.User, o.PasswordFile = "multiplexer", secretFile(t, "the password\n")
		}).quick().run()
		i.enter()
		return i
	}
	a, b := least("a", ""), least("b", "/0")
	s.subscribed(2)
	a.put("k", 1, "v")
	b.has(time.Second, "k", 1, "v")
	b.stands(0, "k", 1, "v")
	s.do("FLUSHALL")
	a.looked(3 * time.Second)
	b.stands(3*time.Second, "k", 1, "v")
	b.looked(3 * time.Second)
	s.do("DEL", testSpace+"r:k")
	<-b.Put(Records{"k": {}})
	<-a.Put(Records{"k": {}})
	soon(t, patience, isTrue("the index is cleared", func() bool {
		return s.do("ZCARD", testSpace+indexName).(int64) == 2
	}))
	a.stop()
	b.stop()
	least("c", "/3").stop()
	for _, rule := range rules {
		if name, is := strings.CutPrefix(rule, "+"); is && name != "command" && name != "cluster|slots" {
			used(t, s, name)
		}
	}
	if log := s.do("ACL", "LOG").([]any); len(log) != 0 {
		t.Errorf("refused: %v", log)
	}
	for _, i := range []*instance{a, b} {
		if i.logs.count("the password") != 0 {
			t.Errorf("logged the password:\n%s", i.logs)
		}
	}
	bad := newInstance(t, s.url(), "bad", func(o *SharedOptions) {
		o.User, o.PasswordFile = "multiplexer", secretFile(t, "a wrong password")
	}).run()
	bad.degradedWithin(2*time.Second, "WRONGPASS")
	if bad.logs.count("a wrong password") != 0 || strings.Contains(bad.Degraded(), "a wrong") {
		t.Errorf("logged the password:\n%s", bad.logs)
	}
}

// used finds commands that are allowed without need.
func used(t *testing.T, s *server, names ...string) {
	t.Helper()
	stats := s.do("INFO", "commandstats").(string)
	for _, name := range names {
		if !strings.Contains(stats, "cmdstat_"+name+":") {
			t.Errorf("%s is never used", name)
		}
	}
}

// TestNewPassword follows a password that is changed in its file.
func TestNewPassword(t *testing.T) {
	s := startServer(t)
	s.do("ACL", "SETUSER", "u", "on", ">one", "allkeys", "allcommands", "allchannels")
	file := secretFile(t, "one")
	a := newInstance(t, s.url(), "a", func(o *SharedOptions) { o.User, o.PasswordFile = "u", file }).run()
	a.enter()
	s.do("ACL", "SETUSER", "u", "resetpass", ">two")
	s.do("CLIENT", "KILL", "USER", "u")
	a.degradedWithin(3*time.Second, "WRONGPASS")
	if err := os.WriteFile(file, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.inOrderWithin(3 * time.Second)
}

func TestTLS(t *testing.T) {
	ca, cert, key := certificates(t)
	port := freePort(t)
	startServer(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca,
		"--tls-auth-clients", "no")
	url := "rediss://127.0.0.1:" + port
	a := newInstance(t, url, "a", func(o *SharedOptions) { o.CAFile = ca }).run()
	a.enter()
	other := strings.Replace(url, "rediss", "valkeys", 1)
	b := newInstance(t, other, "b", func(o *SharedOptions) { o.CAFile = ca }).run()
	b.enter()
	a.put("k", 1, "v")
	b.has(patience, "k", 1, "v")
	stranger := newInstance(t, url, "s", nil).run() // it knows only the system's CAs
	stranger.degradedWithin(2*time.Second, "certificate")
}

// certificates writes a CA's certificate, and that of a server on loopback with its key.
func certificates(t *testing.T) (ca, cert, key string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	must := func(der []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	caKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	serverKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	issuer := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{{127, 0, 0, 1}},
	}
	ca = write("ca.pem", "CERTIFICATE",
		must(x509.CreateCertificate(rand.Reader, issuer, issuer, &caKey.PublicKey, caKey)))
	cert = write("cert.pem", "CERTIFICATE",
		must(x509.CreateCertificate(rand.Reader, server, issuer, &serverKey.PublicKey, caKey)))
	return ca, cert, write("key.pem", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(serverKey)))
}

// TestCluster runs on a Cluster of one node that has all slots.
func TestCluster(t *testing.T) {
	s := startServer(t, "--cluster-enabled", "yes")
	s.do("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	soon(t, patience, isTrue("the Cluster works", func() bool {
		return strings.Contains(s.do("CLUSTER", "INFO").(string), "cluster_state:ok")
	}))
	set := []any{"ACL", "SETUSER"}
	for _, rule := range append(strings.Fields(LeastACL("multiplexer", "test"))[1:], ">p") {
		set = append(set, rule)
	}
	s.do(set...)
	start := func(run string) *instance {
		i := newInstance(t, s.url()+"?cluster=true", run, func(o *SharedOptions) {
			o.User, o.PasswordFile = "multiplexer", secretFile(t, "p")
		}).run()
		i.enter()
		return i
	}
	a, b := start("a"), start("b")
	s.subscribed(2)
	a.put("k", 1, "v")
	b.has(time.Second, "k", 1, "v")
	s.do("FLUSHALL")
	a.stands(3*time.Second, "k", 1, "v")
	a.put("l", 1, "v")
	b.has(patience, "l", 1, "v")
	used(t, s, "command", "cluster|slots")
	if log := s.do("ACL", "LOG").([]any); len(log) != 0 {
		t.Errorf("refused: %v", log)
	}
}

// TestSentinel kills a master: its replica takes over, and has all that the two instances know.
func TestSentinel(t *testing.T) {
	master := startServer(t)
	replica := startServer(t, "--replicaof", "127.0.0.1 "+master.port, "--repl-diskless-sync-delay", "0")
	soon(t, patience, isTrue("the replica is in step", func() bool {
		return strings.Contains(replica.do("INFO", "replication").(string), "master_link_status:up")
	}))
	var sentinels []string
	for range 3 {
		sentinels = append(sentinels, startSentinel(t, master.port))
	}
	url := "redis://" + strings.Join(sentinels, ",") + "?master=shared"
	a, b := startInstance(t, url, "a"), startInstance(t, url, "b")
	for n := range uint64(5) {
		a.put(fmt.Sprint("k", n), n, "v")
	}
	b.has(patience, "k4", 4, "v")
	replica.signal(syscall.SIGSTOP) // what follows doesn't get there any more
	a.put("k9", 9, "lost with the master")
	b.has(patience, "k9", 9, "lost with the master")
	master.kill()
	replica.signal(syscall.SIGCONT)
	a.degradedWithin(3*time.Second, "")
	<-a.Put(Records{"meanwhile": {1, []byte("v")}})
	soon(t, 30*time.Second, isTrue("the replica is master", func() bool {
		return strings.Contains(replica.do("INFO", "replication").(string), "role:master")
	}))
	begin := time.Now()
	a.inOrderWithin(patience)
	t.Logf("in order %v after the replica became master", time.Since(begin).Round(time.Millisecond))
	b.has(patience, "meanwhile", 1, "v")
	a.allStand(patience)
	a.stands(patience, "k9", 9, "lost with the master")
}

// startSentinel starts one that watches a master, and returns its address.
func startSentinel(t *testing.T, master string) string {
	t.Helper()
	program(t, "redis-sentinel")
	s := &server{t: t, port: freePort(t), dir: t.TempDir()}
	file := filepath.Join(s.dir, "sentinel.conf")
	content := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor shared 127.0.0.1 %s 2\n"+
		"sentinel down-after-milliseconds shared 1000\nsentinel failover-timeout shared 3000\n", s.port, s.dir, master)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	s.launch([]string{file, "--sentinel"})
	t.Cleanup(s.kill)
	soon(t, patience, func() error {
		c, err := net.Dial("tcp", s.address())
		if err == nil {
			c.Close()
		}
		return err
	})
	return s.address()
}
