package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	sd "github.com/coreos/go-systemd/v22/daemon"

	"executionbackup/internal/admin"
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

// feedWatchdog tells systemd's watchdog that we work, as often as it asks for, until ctx ends: that is, that we accept
// connections, and that the nodes can be looked at. As long as that isn't so nothing is told, and in the end systemd
// starts us again, with what each goroutine was at in the log (SIGABRT).
func feedWatchdog(ctx context.Context, log *slog.Logger, address net.Addr) {
	limit, err := sd.SdWatchdogEnabled(true)
	if err != nil {
		log.Warn("the watchdog isn't fed", "error", err)
	}
	if limit == 0 {
		return
	}
	us := &http.Client{Timeout: limit / 4, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, address.Network(), address.String())
		},
	}}
	tick := time.NewTicker(limit / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if status, err := askStatus(ctx, us); err == nil {
			tellSystemd(log, sd.SdNotifyWatchdog+"\nSTATUS="+status)
		} else if ctx.Err() == nil {
			log.Warn("we don't answer ourselves", "error", err)
		}
	}
}

// askStatus returns how we are, in a few words, as we answer it.
func askStatus(ctx context.Context, us *http.Client) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://executionbackup/nodes", nil)
	if err != nil {
		return "", err
	}
	resp, err := us.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var nodes []admin.Node
	if err := json.NewDecoder(resp.Body).Decode(&nodes); err != nil {
		return "", fmt.Errorf("GET /nodes: %w", err)
	}
	return fmt.Sprintf("%d of %d nodes vote", voting(nodes), len(nodes)), nil
}
