package buckets

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/parts"
)

// known is what the file of the module's policies needs of the others.
const known = `locals {
  blobs             = "containers/images/"
  inventory         = "inventory/"
  bucket_arns       = { s3-use1 = "arn:aws:s3:::prod-use1" }
  role_arns         = {}
  behind_cloudfront = { s3-use1 = false }
}
variable "repair" { default = null }
variable "replication" { default = null }
variable "distributions" { default = {} }
`

// TestInfraPolicyIsTheModules: the policy that the tests of this package enforce is that of the Terraform module, byte for byte. OpenTofu evaluates
// the module's own text.
func TestInfraPolicyIsTheModules(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(parts.Root(), "deploy/terraform/aws-stores/policy.tf"))
	if err != nil {
		t.Fatal(err)
	}
	policies, _, ok := strings.Cut(string(text), "\nresource ") // it needs a provider
	if !ok {
		t.Fatal("policy.tf has no resource")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"policy.tf": policies, "known.tf": known} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), parts.Find(t, "tofu"), "-chdir="+dir, "console")
	cmd.Stdin = strings.NewReader(`base64encode(local.bucket_policies["s3-use1"])` + "\n")
	cmd.Env = append(parts.Env(t), "CHECKPOINT_DISABLE=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got, err := base64.StdEncoding.DecodeString(strings.Trim(strings.TrimSpace(string(out)), `"`))
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if diff := cmp.Diff(policyOf(t, "prod-use1"), string(got)); diff != "" {
		t.Error(diff)
	}
}
