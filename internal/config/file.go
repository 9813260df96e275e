package config

import (
	"fmt"
	"io"
	"os"
)

// maxFile bounds every file that settings name, in bytes.
const maxFile = 1 << 20

// ReadFile is os.ReadFile for files of up to 1 MiB: what a setting names may be anything, and /dev/zero has no end.
func ReadFile(path string) ([]byte, error) {
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
