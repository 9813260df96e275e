package recipes

import (
	"bufio"
	"cmp"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// What matters of eth-docker 26.8.1 here, in our words: the variables that it knows, a file for each client, in which a
// consensus client gets EL_NODE either as a flag or as a variable, and one network, on which the clients have their
// services' names.
const (
	defaultEnv = `CUSTOM_FILES=
CORE_FILES=flag.yml:execution.yml
COMPOSE_FILE=${CORE_FILES}${CUSTOM_FILES:+:${CUSTOM_FILES}}
NETWORK=hoodi
EE_PORT=8551
JWT_SECRET=
EL_NODE=http://execution:8551
`
	flagYML = `
services:
  consensus:
    image: a
    networks: {default: {aliases: [eth2]}}
    entrypoint: [docker-entrypoint.sh, beacon, --execution-endpoint, "${EL_NODE}", --datadir, /data]
    volumes: ["jwtsecret:/data/ee-secret"]
volumes: {jwtsecret: }
networks: {default: {enable_ipv6: false}}
`
	variableYML = `
services:
  consensus:
    image: b
    networks: {default: {aliases: [eth2]}}
    environment: ["JWT_SECRET=${JWT_SECRET}", "EL_NODE=${EL_NODE}"]
    entrypoint: [docker-entrypoint.sh, bn]
    volumes: ["jwtsecret:/data/ee-secret"]
volumes: {jwtsecret: }
`
	executionYML = `
services:
  execution:
    image: c
    networks: {default: {aliases: [eth1]}}
    volumes: ["jwtsecret:/data/ee-secret"]
volumes: {jwtsecret: }
`
)

// ethDocker is a folder of eth-docker's.
type ethDocker struct {
	t   *testing.T
	dir string
}

// update is what ethd update does to .env: of the variables there it keeps those that its default.env knows.
func (e ethDocker) update() {
	mine := e.env()
	e.write(".env", defaultEnv)
	for _, name := range names(defaultEnv) {
		if value, has := mine[name]; has {
			e.set(name, value)
		}
	}
}

// configure is what ethd config does to .env: it writes what was chosen from its menus, and EL_NODE.
func (e ethDocker) configure(files string) {
	e.set("CORE_FILES", files)
	e.set("EL_NODE", "http://execution:8551")
}

func (e ethDocker) write(name, text string) {
	e.t.Helper()
	if err := os.WriteFile(filepath.Join(e.dir, name), []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
}

func (e ethDocker) read() string {
	e.t.Helper()
	text, err := os.ReadFile(filepath.Join(e.dir, ".env"))
	if err != nil {
		e.t.Fatal(err)
	}
	return string(text)
}

// env is .env as it is written, nothing in it expanded.
func (e ethDocker) env() map[string]string {
	all := make(map[string]string)
	for line := range strings.Lines(e.read()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			all[name] = value
		}
	}
	return all
}

func names(env string) (all []string) {
	for s := bufio.NewScanner(strings.NewReader(env)); s.Scan(); {
		name, _, _ := strings.Cut(s.Text(), "=")
		all = append(all, name)
	}
	return all
}

func (e ethDocker) set(name, value string) {
	line := regexp.MustCompile(`(?m)^` + name + `=.*$`)
	e.write(".env", line.ReplaceAllLiteralString(e.read(), name+"="+value))
}

// load is docker compose in that folder: the files are those of COMPOSE_FILE, the variables those of .env.
func (e ethDocker) load() *types.Project {
	e.t.Helper()
	e.t.Chdir(e.dir)
	options, err := cli.NewProjectOptions(nil, cli.WithWorkingDirectory(e.dir), cli.WithName("eth-docker"),
		cli.WithEnvFiles(), cli.WithDotEnv, cli.WithConfigFileEnv)
	if err != nil {
		e.t.Fatal(err)
	}
	project, err := options.LoadProject(e.t.Context())
	if err != nil {
		e.t.Fatal(err)
	}
	return project
}

// answers finds who answers a service under a URL: an address of /etc/hosts comes before the names on its networks.
func answers(project *types.Project, from, address string) (service, port string) {
	u, err := url.Parse(address)
	if err != nil {
		return err.Error(), ""
	}
	caller := project.Services[from]
	ips := caller.ExtraHosts[u.Hostname()]
	for name, other := range project.Services {
		for network := range caller.Networks {
			at, shared := other.Networks[network]
			if !shared {
				continue
			}
			named := name == u.Hostname() || at != nil && slices.Contains(at.Aliases, u.Hostname())
			if len(ips) == 0 && named || at != nil && slices.Contains(ips, at.Ipv4Address) {
				return name, u.Port()
			}
		}
	}
	return "nobody", u.Port()
}

// endpoint is where the consensus client looks for its execution client.
func endpoint(project *types.Project) string {
	if address := variable(project, "consensus", "EL_NODE"); address != "" {
		return address
	}
	line := project.Services["consensus"].Entrypoint
	return line[slices.Index(line, "--execution-endpoint")+1]
}

// variable is one of a service's environment; "" = it isn't set.
func variable(project *types.Project, service, name string) string {
	if value := project.Services[service].Environment[name]; value != nil {
		return *value
	}
	return ""
}

// block returns the first block of commands in a page.
func block(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "```bash\n")
	commands, _, ok := strings.Cut(after, "```")
	if !ok {
		t.Fatalf("%s has no commands", page)
	}
	return commands
}

// follow does what the recipe says.
func follow(t *testing.T) ethDocker {
	t.Helper()
	e := prepare(t)
	if out, err := e.recipe(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return e
}

// recipe runs the recipe's commands. The editor only says that it ran; so does ethd.
func (e ethDocker) recipe() (string, error) {
	e.t.Helper()
	script := "set -e; git() { :; }; nano() { test -e $1; }\n" + block(e.t, "../../docs/recipes/eth-docker.md")
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append(os.Environ(), "HOME="+filepath.Dir(e.dir))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// prepare puts eth-docker and us where the recipe says.
func prepare(t *testing.T) ethDocker {
	t.Helper()
	home := t.TempDir()
	e := ethDocker{t, filepath.Join(home, "eth-docker")}
	if err := os.CopyFS(filepath.Join(home, "executionbackup/deploy"), os.DirFS("../../deploy")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(e.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{".env": defaultEnv,
		"flag.yml": flagYML, "variable.yml": variableYML, "execution.yml": executionYML} {
		e.write(name, text)
	}
	e.write("ethd", "#!/bin/sh\nexit 0\n")
	if err := os.Chmod(filepath.Join(e.dir, "ethd"), 0o700); err != nil {
		t.Fatal(err)
	}
	return e
}

// Who has a custom.yml of his own, or files of his own in CUSTOM_FILES, and takes the commands as they are, keeps both;
// nothing starts without ours.
func TestEthDockerOverwritesNothing(t *testing.T) {
	for name, mine := range map[string]func(ethDocker){
		"custom.yml":   func(e ethDocker) { e.write("custom.yml", "services: {mine: {image: x}}\n") },
		"CUSTOM_FILES": func(e ethDocker) { e.set("CUSTOM_FILES", "mine.yml") },
	} {
		e := prepare(t)
		mine(e)
		out, err := e.recipe()
		custom, _ := os.ReadFile(filepath.Join(e.dir, "custom.yml"))
		if name == "custom.yml" && !strings.Contains(string(custom), "mine") {
			t.Errorf("%s is overwritten: %s", name, custom)
		}
		if files := e.env()["CUSTOM_FILES"]; name == "CUSTOM_FILES" && files != "mine.yml" {
			t.Errorf("%s is overwritten: %s", name, files)
		}
		if err == nil && name == "CUSTOM_FILES" {
			t.Errorf("%s: all goes on as if ours were there: %s", name, out)
		}
	}
}

// Whatever eth-docker does to .env, its files and ours are one project, our nodes stay, and the consensus client calls
// us. An EL_NODE with another host is the one way past us.
func TestEthDocker(t *testing.T) {
	e := follow(t)
	check := func(when string) {
		t.Helper()
		project := e.load()
		nodes := variable(project, "executionbackup", "NODES")
		if nodes != "http://execution:8551#name=local,http://10.0.0.7:8551#name=nethermind" {
			t.Errorf("%s: the nodes are %s", when, nodes)
		}
		if who, port := answers(project, "consensus", endpoint(project)); who != "executionbackup" ||
			port != cmp.Or(variable(project, who, "PORT"), "7000") {
			t.Errorf("%s: %s leads the consensus client to %s, port %s", when, endpoint(project), who, port)
		}
		local, _, _ := strings.Cut(nodes, "#")
		if who, _ := answers(project, "executionbackup", local); who != "execution" {
			t.Errorf("%s: our node %s is %s", when, local, who)
		}
		if _, has := project.Services["consensus"].Networks["default"]; !has {
			t.Errorf("%s: the consensus client has lost its network", when)
		}
	}
	check("at first")
	e.write(".env", e.read()+"UNKNOWN=1\n")
	e.update()
	if _, has := e.env()["UNKNOWN"]; has || e.env()["CUSTOM_FILES"] != "custom.yml" {
		t.Errorf("after ethd update .env is %s", e.read())
	}
	check("after ethd update")
	for _, files := range []string{"variable.yml:execution.yml", "flag.yml:execution.yml"} {
		e.configure(files)
		check("after ethd config with " + files)
		e.update()
		check("and ethd update")
	}
	e.set("EL_NODE", "http://10.0.0.7:8551")
	if who, _ := answers(e.load(), "consensus", endpoint(e.load())); who == "executionbackup" {
		t.Error("a node's own address leads to us: this test can't see who goes past")
	}
}

// The network that we bring along leads nowhere else, and whoever is on it has an address of its own there: one that is
// given out by chance might be the one that stands for the execution client.
func TestEthDockerAddresses(t *testing.T) {
	project := follow(t).load()
	network := project.Networks["executionbackup"]
	if !network.Internal {
		t.Error("the network leads out")
	}
	subnet := netip.MustParsePrefix(network.Ipam.Config[0].Subnet)
	owners := map[netip.Addr]string{subnet.Addr(): "the network", subnet.Addr().Next(): "the gateway"}
	for name, service := range project.Services {
		at, on := service.Networks["executionbackup"]
		if !on {
			continue
		}
		address, err := netip.ParseAddr(at.Ipv4Address)
		if err != nil || !subnet.Contains(address) || owners[address] != "" {
			t.Errorf("%s has address %q in %s: %v, %s", name, at.Ipv4Address, subnet, err, owners[address])
		}
		owners[address] = name
	}
	if len(owners) != 4 {
		t.Errorf("on the network are %v", owners)
	}
}
