package mirror

import (
	"testing"

	"ociproxy/test/parts"
)

// Cases wait more than they compute.
func TestMain(m *testing.M) { parts.Together(m, 6) }
