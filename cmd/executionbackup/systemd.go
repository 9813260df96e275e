package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	sd "github.com/coreos/go-systemd/v22/daemon"

	"executionbackup/internal/config"
	"executionbackup/internal/overview"
)

// passedSocket returns the socket that systemd has for us (sd_listen_fds(3)); nil where it has none. It is a copy: when
// we close it, whoever connects waits in systemd's for our successor.
func passedSocket() (net.Listener, error) {
	files := activation.Files(true)
	for _, f := range files {
		defer f.Close()
	}
	switch len(files) {
	case 0:
		return nil, nil
	case 1:
	default:
		return nil, fmt.Errorf("%d sockets were passed on to us (LISTEN_FDS), want one", len(files))
	}
	listener, err := net.FileListener(files[0])
	if err != nil {
		return nil, fmt.Errorf("the socket that was passed on to us (LISTEN_FDS) is none to listen on: %w", err)
	}
	if _, isTCP := listener.(*net.TCPListener); !isTCP || isConnection(files[0]) {
		listener.Close()
		return nil, errors.New("the socket that was passed on to us (LISTEN_FDS) doesn't listen on TCP")
	}
	return listener, nil
}

// isConnection reports whether a socket is a connection, as a socket unit with Accept=yes passes them on.
func isConnection(socket *os.File) bool {
	conn, err := net.FileConn(socket)
	if err != nil {
		return false
	}
	defer conn.Close()
	return conn.RemoteAddr() != nil
}

// tellSystemd tells systemd how we are (sd_notify(3)), where it wants to know.
func tellSystemd(log *slog.Logger, state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		log.Warn("systemd can't be told how we are", "error", err)
	}
}

// reloading is what systemd hears when a reload begins. READY=1 ends it.
func reloading() string { return sd.SdNotifyReloading + "\n" + sd.SdNotifyMonotonicUsec() }

// ourselves are where we answer.
type ourselves struct {
	calls, admin net.Addr
	tls          bool
}

// feedWatchdog tells systemd's watchdog that we work, as often as it asks for, until ctx ends: that is, that we accept
// connections, and that the nodes can be looked at. As long as that isn't so nothing is told, and in the end systemd
// starts us again, with what each goroutine was at in the log (SIGABRT).
func feedWatchdog(ctx context.Context, log *slog.Logger, us ourselves) {
	limit, err := sd.SdWatchdogEnabled(true)
	if err != nil {
		log.Warn("the watchdog isn't fed", "error", err)
	}
	if limit == 0 {
		return
	}
	tick := time.NewTicker(limit / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		asking, cancel := context.WithTimeout(ctx, limit/4)
		status, err := us.status(asking)
		cancel()
		if err == nil {
			tellSystemd(log, sd.SdNotifyWatchdog+"\nSTATUS="+status)
		} else if ctx.Err() == nil {
			log.Warn("we don't answer ourselves", "error", err)
		}
	}
}

// status returns how we are, in a few words, as we answer it.
func (us ourselves) status(ctx context.Context) (string, error) {
	if us.admin != us.calls {
		if err := us.get(ctx, us.calls, "/healthz", func(io.Reader) error { return nil }); err != nil {
			return "", err
		}
	}
	var o overview.Overview
	err := us.get(ctx, us.admin, "/status", func(body io.Reader) error { return json.NewDecoder(body).Decode(&o) })
	if err != nil {
		return "", err
	}
	switch o.Mode {
	case config.Shadow:
		return fmt.Sprintf("mode shadow: %s alone answers, %d of %d nodes would vote", o.Alone, o.Voting, o.Voters), nil
	case config.Off:
		return fmt.Sprintf("mode off: %s alone answers", o.Alone), nil
	}
	return fmt.Sprintf("%d of %d nodes vote", o.Voting, o.Voters), nil
}

// get asks us at one of our addresses, and has the answer read.
func (us ourselves) get(ctx context.Context, at net.Addr, path string, read func(io.Reader) error) error {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, at.Network(), at.String())
		},
		// Our certificate has other names than an address of ours, and nothing secret is sent.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	scheme := "http"
	if us.tls {
		scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://executionbackup"+path, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: HTTP %d", path, resp.StatusCode)
	}
	if err := read(resp.Body); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}
