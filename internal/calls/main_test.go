package calls_test

import (
	"testing"

	"executionbackup/internal/bubble"
)

func TestMain(m *testing.M) { bubble.Main(m) }
