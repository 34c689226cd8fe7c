package onesource

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ociproxy/test/infra"
	"ociproxy/test/parts"
)

// TestSlowNewcomer: what the pages say to a person who begins is what the examples have.
func TestSlowNewcomer(t *testing.T) {
	parts.Slow(t)
	dir := filepath.Join(infra.Copy(t), "examples", "production")
	infra.Init(t, dir)

	// An account that the config has and terraform.tfvars has not: OpenTofu by itself said "Invalid index" eight times.
	_, err := infra.Tofu(t, dir, "plan", "-no-color", "-input=false", "-var=aws_accounts={}", "-var=gcp_projects={}", "-var=r2_accounts={}", "-var=azure=null")
	if err == nil {
		t.Fatal("a plan without accounts")
	}
	said := strings.Join(strings.Fields(err.Error()), " ")
	for _, want := range []string{
		"aws_accounts in terraform.tfvars does not: aws/123456789012.",
		"gcp_projects in terraform.tfvars does not: 4711.",
		"r2_accounts in terraform.tfvars does not: 0123456789abcdef0123456789abcdef.",
		"terraform.tfvars has no azure",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("without accounts, OpenTofu does not say %q:\n%v", want, err)
		}
	}

	// The addresses of the import blocks on the page are those of the plan.
	plan, err := infra.Plan(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	made := addresses(t, plan)
	page, err := os.ReadFile(filepath.Join(parts.Root(), "docs", "infrastructure.md"))
	if err != nil {
		t.Fatal(err)
	}
	to := regexp.MustCompile(`(?m)^  to = (.*)$`).FindAllStringSubmatch(string(page), -1)
	if len(to) != 5 {
		t.Errorf("%d import blocks on the page", len(to))
	}
	for _, m := range to {
		if !made[m[1]] {
			t.Errorf("docs/infrastructure.md imports %s, which the example does not make", m[1])
		}
	}

	// The mirror's account before the stores that trust it.
	first, err := infra.Plan(t, dir, "-target=module.gcp_front")
	if err != nil {
		t.Fatal(err)
	}
	alone := addresses(t, first)
	if !alone[`module.gcp_front["4711"].google_service_account.mirror[0]`] {
		t.Error("module.gcp_front alone does not make the mirror's account")
	}
	for address := range alone {
		if !strings.HasPrefix(address, "module.gcp_front") {
			t.Errorf("module.gcp_front alone also makes %s", address)
		}
	}
}

// addresses returns what a plan would change.
func addresses(t *testing.T, plan string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(plan)
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		Changes []struct{ Address, Mode string } `json:"resource_changes"`
	}
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{}
	for _, c := range p.Changes {
		if c.Mode == "managed" {
			made[c.Address] = true
		}
	}
	return made
}
