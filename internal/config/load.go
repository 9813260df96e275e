package config

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"executionbackup/internal/auth"
)

// Inputs are where settings come from.
type Inputs struct {
	// Flags are the flags that the user gave, by Setting.Key or alias, each with its values in order. One that stands
	// for true without a value has "true".
	Flags map[string][]string
	// Environ is the environment, as os.Environ returns it.
	Environ []string
	// ReadFile reads the configuration file, secrets and tokens; nil = ReadFile.
	ReadFile func(string) ([]byte, error)
}

// Invalid is what is wrong with a configuration, as opposed to with the world.
type Invalid struct{ Err error }

// Error says what is wrong. That repeats what somebody wrote, but not what may be a secret in it.
func (e Invalid) Error() string { return auth.Redact(e.Err.Error()) }

// Unwrap returns what is wrong.
func (e Invalid) Unwrap() error { return e.Err }

// Load returns the settings: flags before environment before file before defaults. Every value that is given must be
// good, also one that is overruled. An error is Invalid, names what is wrong as the user wrote it, and has no secret.
func Load(in Inputs) (*Config, error) {
	d, err := in.gather()
	if err == nil {
		err = d.resolve(in.read())
	}
	if err == nil {
		err = d.check()
	}
	if err != nil {
		return nil, Invalid{err}
	}
	return &d.Config, nil
}

// Look is Load for whoever asks a running ExecutionBackup, or reads what it left: of the files that settings name only
// the configuration file is read, so there are no secrets, and there may be no nodes. Where only that file is no good,
// what is good is returned beside the error: the one that runs goes by an older one.
func Look(in Inputs) (*Config, error) {
	d, err := in.gather()
	if d == nil {
		return nil, Invalid{err}
	}
	if bad := d.parseNodes(NodeDefaults{NoSecrets: true, Timeout: d.Timeout}); err == nil {
		err = bad
	}
	if err != nil {
		return &d.Config, Invalid{err}
	}
	return &d.Config, nil
}

func (in Inputs) read() func(string) ([]byte, error) {
	if in.ReadFile == nil {
		return ReadFile
	}
	return in.ReadFile
}

// gather puts together what all ways of setting say. Where only the file is no good, the draft has what is good.
func (in Inputs) gather() (*draft, error) {
	flags, err := fromFlags(in.Flags)
	if err != nil {
		return nil, err
	}
	variables := environMap(in.Environ)
	environ, err := fromEnviron(variables)
	if err != nil {
		return nil, err
	}
	file, bad := readFile(slices.Concat(environ, flags), in.read())
	d := new(draft)
	d.from = make(map[string]string)
	d.Grace = BySlot
	d.StateDir, d.EvidenceDir = ownStateDir(runtime.GOOS, variables), evidenceDir(runtime.GOOS, variables)
	for i, e := range slices.Concat(defaults(), file, environ, flags) {
		err := e.setting.set(d, e.texts)
		inFile := i >= len(defaults()) && i < len(defaults())+len(file)
		switch {
		case err == nil:
			d.from[e.setting.Key] = e.where
		case !inFile:
			return nil, fmt.Errorf("%s: %w", e.where, err)
		case bad == nil:
			bad = fmt.Errorf("%s: %w", e.where, err)
		}
	}
	return d, bad
}

// readFile reads the configuration file that the last of the entries for it names, if any.
func readFile(es entries, read func(string) ([]byte, error)) (entries, error) {
	for _, e := range slices.Backward(es) {
		if e.setting.Key != "config" || e.texts[0] == "" {
			continue
		}
		data, err := read(e.texts[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.where, err)
		}
		return fromFile(e.texts[0], data)
	}
	return nil, nil
}

// resolve reads the files that settings name, and parses the nodes.
func (d *draft) resolve(read func(string) ([]byte, error)) (err error) {
	if d.JWTSecretFile != "" {
		if d.JWTSecret, err = auth.ReadSecret(d.JWTSecretFile, read); err != nil {
			return fmt.Errorf("%s: %w", d.from["jwt-secret"], err)
		}
	}
	if d.AdminTokenFile != "" {
		if d.AdminToken, err = auth.ReadAdminToken(d.AdminTokenFile, read); err != nil {
			return fmt.Errorf("%s: %w", d.from["admin-token-file"], err)
		}
	}
	if d.WebhookFile != "" {
		if !d.Webhook.IsZero() {
			return fmt.Errorf("%s and %s exclude each other", d.from["webhook-url"], d.from["webhook-url-file"])
		}
		if d.Webhook, err = auth.ReadURL(d.WebhookFile, read); err != nil {
			return fmt.Errorf("%s: %w", d.from["webhook-url-file"], err)
		}
		d.from["webhook-url"] = d.from["webhook-url-file"]
	}
	if d.CAFile != "" {
		if d.CAs, err = ReadCAs(d.CAFile, read); err != nil {
			return fmt.Errorf("%s: %w", d.from["ca-file"], err)
		}
	}
	if d.TLSCertFile != "" && d.TLSKeyFile != "" {
		if _, err = ReadKeyPair(d.TLSCertFile, d.TLSKeyFile, read); err != nil {
			return fmt.Errorf("%s: %w", d.from["tls-cert-file"], err)
		}
	}
	if len(d.nodes) == 0 {
		return errors.New("there are no nodes: set --nodes, EXECUTIONBACKUP_NODES or nodes in the configuration file," +
			" for example --nodes http://127.0.0.1:8551")
	}
	nodeDefaults := NodeDefaults{Secret: d.JWTSecret, CAs: d.CAs, Timeout: d.Timeout, ReadFile: read}
	if err := d.parseNodes(nodeDefaults); err != nil {
		return err
	}
	if d.JWTSecret.IsZero() {
		d.JWTSecret, d.FirstNodeSecret = d.Nodes[0].Secret, true
	}
	return nil
}

func (d *draft) parseNodes(defaults NodeDefaults) error {
	for _, spec := range d.nodes {
		node, err := ParseNode(spec, defaults)
		if err != nil {
			return fmt.Errorf("%s: %w", d.from["nodes"], err)
		}
		d.Nodes = append(d.Nodes, node)
	}
	return nil
}

// check finds settings that are good each for itself, but not together.
func (d *draft) check() error {
	if err := CheckNodes(d.Nodes); err != nil {
		return fmt.Errorf("%s: %w", d.from["nodes"], err)
	}
	voters := d.voters()
	if voters == 0 {
		return fmt.Errorf("%s: every node is do-not-use: none could vote", d.from["nodes"])
	}
	if d.Rules.MinValid > voters {
		return fmt.Errorf("%s: %d is more than there are voters (%d)", d.from["min-valid"], d.Rules.MinValid, voters)
	}
	if err := d.checkShadowNode(); err != nil {
		return err
	}
	if d.Slot > 0 && d.AttestBy > d.Slot {
		return fmt.Errorf("%s: more than %s, a slot's length", d.from["attest-by"], d.from["slot"])
	}
	if d.MaxBody > d.MaxInFlight {
		return fmt.Errorf("%s: more than %s, which bounds all requests together",
			d.from["max-body"], d.from["max-in-flight"])
	}
	if d.TLSCertFile != "" && d.TLSKeyFile == "" {
		return fmt.Errorf("%s: there is no tls-key-file", d.from["tls-cert-file"])
	}
	if d.TLSKeyFile != "" && d.TLSCertFile == "" {
		return fmt.Errorf("%s: there is no tls-cert-file", d.from["tls-key-file"])
	}
	if d.OpenAdmin && !d.AdminToken.IsZero() {
		return fmt.Errorf("%s and %s exclude each other", d.from["open-admin"], d.from["admin-token-file"])
	}
	return nil
}

// environMap returns the environment by name. Of two values for one name the last counts.
func environMap(environ []string) map[string]string {
	variables := make(map[string]string, len(environ))
	for _, variable := range environ {
		if name, value, ok := strings.Cut(variable, "="); ok {
			variables[name] = value
		}
	}
	return variables
}
