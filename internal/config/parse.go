package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A value's parser gets the text as it was written. Its error quotes the text and says what would do.

func parsePort(text string) (int, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is not a port (0 to 65535)", text)
	}
	return int(port), nil
}

// parseListenAddr takes an IP address or a host name. Empty would mean every interface: one has to say so.
func parseListenAddr(text string) (string, error) {
	if _, err := netip.ParseAddr(text); err == nil {
		return text, nil
	}
	if text == "" || strings.ContainsAny(text, ":/[]#?@, \t\n") {
		return "", fmt.Errorf("%q is not an address: write one without a port, such as 127.0.0.1, ::1 or localhost",
			text)
	}
	return text, nil
}

// parseAdminAddr takes an address as parseListenAddr does, and a port. Empty is none.
func parseAdminAddr(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		return "", fmt.Errorf("%q is not an address and a port: write them like 127.0.0.1:7001 or [::1]:7001", text)
	}
	if host == "" {
		return "", fmt.Errorf("%q has no address: write 127.0.0.1%[1]s, or 0.0.0.0%[1]s for every one", text)
	}
	if host, err = parseListenAddr(host); err != nil {
		return "", err
	}
	port, err := parsePort(portText)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), nil
}

// parseDuration takes a Go duration, or a plain number of milliseconds; none is negative.
func parseDuration(text string) (time.Duration, error) {
	withUnit := text
	if strings.Trim(text, "0123456789") == "" {
		withUnit += "ms"
	}
	d, err := time.ParseDuration(withUnit)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration: write milliseconds (500) or a unit (500ms, 2s)", text)
	}
	if d < 0 {
		return 0, fmt.Errorf("%q is negative", text)
	}
	return d, nil
}

// parseTimeout takes a duration that is more than zero.
func parseTimeout(text string) (time.Duration, error) {
	d, err := parseDuration(text)
	if err == nil && d == 0 {
		err = fmt.Errorf("%q must be more than zero", text)
	}
	return d, err
}

// units are those of sizes, in bytes.
var units = map[string]int64{
	"": 1, "B": 1,
	"KB": 1e3, "MB": 1e6, "GB": 1e9,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
}

// parseSize takes a number of bytes, with or without a unit.
func parseSize(text string) (int64, error) {
	number := strings.TrimRight(text, "KMGiB")
	unit, known := units[text[len(number):]]
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil || !known || int64(n) > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is not a size: write bytes (1048576) or a unit (128MiB, 128MB, 1GiB)", text)
	}
	return int64(n) * unit, nil
}

// parseLimit takes a size that is more than zero.
func parseLimit(text string) (int64, error) {
	n, err := parseSize(text)
	if err == nil && n == 0 {
		err = fmt.Errorf("%q must be more than zero", text)
	}
	return n, err
}

// parseCount takes a whole number from 1.
func parseCount(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is not a whole number from 1", text)
	}
	return int(n), nil
}

func parseBool(text string) (bool, error) {
	b, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("%q is neither true nor false", text)
	}
	return b, nil
}

func parsePath(text string) (string, error) {
	if text == "" {
		return "", errors.New("the path is empty")
	}
	return text, nil
}

// parseStateURL refuses what must not be shown. The rest of it is for whoever goes there to judge.
func parseStateURL(text string) (string, error) {
	bad := strings.Contains(text, "@")
	_, query, _ := strings.Cut(text, "?")
	for option := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(option, "=") // a master may have the name users
		bad = bad || strings.Contains(name, "password") || strings.Contains(name, "user")
	}
	if bad {
		return "", errors.New("no user and password belong in it: set state-user and state-password-file")
	}
	return text, nil
}

func parseText(text string) (string, error) { return text, nil }

// logLevels are the values of --log-level.
var logLevels = map[string]slog.Level{
	"trace": LevelTrace, "debug": slog.LevelDebug, "info": slog.LevelInfo,
	"warn": slog.LevelWarn, "error": slog.LevelError, "critical": LevelCritical, "off": LevelOff,
}

// parseLogLevel takes a level's name in upper or lower case.
func parseLogLevel(text string) (slog.Level, error) {
	level, ok := logLevels[strings.ToLower(text)]
	if !ok {
		return 0, fmt.Errorf("%q is not a log level: write trace, debug, info, warn, error, critical or off", text)
	}
	return level, nil
}

func parseLogFormat(text string) (string, error) {
	if text != "text" && text != "json" {
		return "", fmt.Errorf("%q is neither text nor json", text)
	}
	return text, nil
}

// parseSecond returns a parser of two words that reports whether the text is the second.
func parseSecond(first, second string) func(string) (bool, error) {
	return func(text string) (bool, error) {
		if text != first && text != second {
			return false, fmt.Errorf("%q is neither %s nor %s", text, first, second)
		}
		return text == second, nil
	}
}

// parseNamespaces takes JSON-RPC namespaces, each without its underscore.
func parseNamespaces(texts []string) ([]string, error) {
	for _, text := range texts {
		if text == "" || strings.ContainsFunc(text, func(r rune) bool { return !isWordRune(r) }) {
			return nil, fmt.Errorf("%q is not a namespace: write its letters only, such as debug", text)
		}
	}
	return texts, nil
}

func isWordRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
