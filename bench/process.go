package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// process is a child that is measured from outside, by what Linux says of it.
type process struct {
	cmd *exec.Cmd
}

func start(name string, args ...string) (*process, error) {
	cmd := exec.Command(name, args...)
	log, err := os.OpenFile(filepath.Join(directory, filepath.Base(name)+".log"),
		os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+filepath.Join(directory, "state")) // of its own
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &process{cmd}, nil
}

func (p *process) stop() {
	p.cmd.Process.Signal(os.Interrupt)
	kill := time.AfterFunc(15*time.Second, func() { p.cmd.Process.Kill() })
	defer kill.Stop()
	p.cmd.Wait()
}

func (p *process) proc(file string) string {
	return filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), file)
}

// cpu returns the time that the process has spent on processors (proc_pid_stat(5): utime and stime, in ticks of 10 ms).
func (p *process) cpu() time.Duration {
	text, _ := os.ReadFile(p.proc("stat"))
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // from the third on
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// memory returns a value of proc_pid_status(5): VmRSS, or VmHWM for the peak, in bytes.
func (p *process) memory(what string) int64 {
	text, _ := os.ReadFile(p.proc("status"))
	kilobytes, _ := strconv.ParseInt(after(text, what+":", 'k'), 10, 64)
	if kilobytes == 0 {
		kilobytes, _ = strconv.ParseInt(strings.TrimSpace(after(text, what+":", 'k')), 10, 64)
	}
	return kilobytes << 10
}

// forget makes the present memory the peak (proc_pid_clear_refs(5)).
func (p *process) forget() { os.WriteFile(p.proc("clear_refs"), []byte("5"), 0o600) }

// daemon is an ExecutionBackup.
type daemon struct {
	*process
	address string
}

// startDaemon runs the program at path before nodes, with the default of every setting but the state directory and what
// the flags say.
func startDaemon(ctx context.Context, path, stateDir string, nodes []string, flags ...string) (*daemon, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	p, err := start(path, append(flags, "--nodes", "http://"+strings.Join(nodes, ",http://"),
		"--jwt-secret", file("jwt.hex"), "--admin-token-file", file("admin.token"), "--port", port,
		"--state-dir", stateDir)...)
	if err != nil {
		return nil, err
	}
	d := &daemon{p, address}
	return d, await(ctx, "http://"+address+"/readyz")
}

// await waits until an address answers with 200.
func await(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		if _, err := get(ctx, url, ""); err == nil {
			return nil
		} else if ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func get(ctx context.Context, url, token string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: HTTP %d: %.200s", url, resp.StatusCode, body)
	}
	return body, err
}

// mallocs returns how many allocations the daemon has made, by its metrics.
func (d *daemon) mallocs(ctx context.Context) (float64, error) {
	text, err := get(ctx, "http://"+d.address+"/metrics?format=prometheus", "")
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(after(text, "\ngo_memstats_mallocs_total ", '\n'), 64)
}

// profile writes profiles of what the daemon does in the next seconds: processor time, and allocations.
func (d *daemon) profile(ctx context.Context, seconds int, name string) error {
	for _, kind := range []string{"profile", "allocs"} {
		b, err := get(ctx, fmt.Sprintf("http://%s/debug/pprof/%s?seconds=%d", d.address, kind, seconds), adminToken)
		if err != nil {
			return err
		}
		if err := os.WriteFile(name+"."+kind, b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// startSelf runs this program with arguments that make it serve n addresses, which it prints. It ends with ours, when
// its standard input closes.
func startSelf(n int, args ...string) (cmd *exec.Cmd, addresses []string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, nil, err
	}
	cmd = exec.Command(self, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, nil, err
	}
	lines := bufio.NewScanner(out)
	for len(addresses) < n && lines.Scan() {
		addresses = append(addresses, lines.Text())
	}
	if len(addresses) < n {
		return nil, nil, nil, fmt.Errorf("%v: didn't start: %w", args, lines.Err())
	}
	return cmd, addresses, func() { in.Close(); cmd.Wait() }, nil
}

// nodeProcess runs n nodes in a process of their own.
func nodeProcess(n int) (addresses []string, stop func(), err error) {
	_, addresses, stop, err = startSelf(n, "-serve", strconv.Itoa(n))
	return addresses, stop, err
}

// serveNodes is that process.
func serveNodes(n int) error {
	all := answers()
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		fmt.Println(l.Addr())
		go serve(l, all, i)
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// measureDisk adds what it takes to append a line to a file where state is kept, and to have it on disk.
func (r *Result) measureDisk() error {
	f, err := os.Create(file("fsync"))
	if err != nil {
		return err
	}
	defer f.Close()
	var took []time.Duration
	for range 100 * r.Rounds {
		begun := time.Now()
		if _, err := f.Write(make([]byte, 1000)); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		took = append(took, time.Since(begun))
	}
	r.Rows = append(r.Rows, Row{
		Workload: "a line appended to a file", Way: "fsync", P50: milliseconds(percentile(took, 50)),
		P99: milliseconds(percentile(took, 99)),
	})
	return nil
}
