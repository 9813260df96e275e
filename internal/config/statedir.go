package config

import (
	"path"
	"path/filepath"
	"runtime"
)

// DefaultEvidenceDir returns where evidence is unless --evidence-dir says otherwise, by the environment, as os.Environ
// returns it. Empty where that doesn't tell.
func DefaultEvidenceDir(environ []string) string {
	return evidenceDir(runtime.GOOS, environMap(environ))
}

// evidenceDir returns the default of --evidence-dir; empty where the environment doesn't tell.
func evidenceDir(goos string, environ map[string]string) string {
	if ours := ownStateDir(goos, environ); ours != "" {
		return filepath.Join(ours, "evidence")
	}
	return ""
}

// ownStateDir returns the default of --state-dir: a folder of ours under the one where programs keep state for the
// user. Empty where the environment doesn't tell.
func ownStateDir(goos string, environ map[string]string) string {
	if base := stateDir(goos, environ); base != "" {
		return filepath.Join(base, "executionbackup")
	}
	return ""
}

func stateDir(goos string, environ map[string]string) string {
	home := environ["HOME"]
	switch {
	case goos == "windows":
		return environ["LOCALAPPDATA"]
	case goos != "darwin" && path.IsAbs(environ["XDG_STATE_HOME"]): // a relative one is to be ignored, says XDG
		return environ["XDG_STATE_HOME"]
	case home == "":
		return ""
	case goos == "darwin":
		return filepath.Join(home, "Library", "Application Support")
	default:
		return filepath.Join(home, ".local", "state")
	}
}
