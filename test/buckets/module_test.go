package buckets

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/parts"
)

// TestPolicyIsTheModules: the policy that the tests of this package enforce is that of the Terraform module, byte for byte.
// TestInfraRights compares the same file with the module's plan.
func TestPolicyIsTheModules(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(parts.Root(), "test", "infra", "iam", "testdata", "bucket-policy.json"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(text)), policyOf(t, "prod-use1")); diff != "" {
		t.Errorf("(-module +store create)\n%s", diff)
	}
}
