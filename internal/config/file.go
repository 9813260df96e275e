package config

import (
	"fmt"
	"io"
	"os"
)

// maxFile bounds every file that settings name, in bytes.
const maxFile = 1 << 20

// readBounded is os.ReadFile for files that may be anything: /dev/zero has no end.
func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: larger than 1 MiB", path)
	}
	return data, nil
}
