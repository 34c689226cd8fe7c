package infra

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ociproxy/test/parts"
)

// mutant is a dangerous edit of a module. Something must say so.
type mutant struct {
	name      string
	file      string // below deploy/terraform
	old, with string // old must be there: an edit that changes nothing would prove nothing
	caught    string // part of what is said
}

// byPolicy are edits that give a plan, which the policies must deny.
var byPolicy = []mutant{
	{"public write", "aws-stores/policy.tf", `Action    = "s3:GetObject"
        Resource  = ["${arn}/${local.blobs}*", "${arn}/${local.inventory}*"]
      }],`, `Action    = ["s3:GetObject", "s3:PutObject"]
        Resource  = ["${arn}/${local.blobs}*", "${arn}/${local.inventory}*"]
      }],`, "anybody may s3:PutObject"},
	{"public list", "aws-stores/policy.tf", `        Resource  = ["${arn}/${local.blobs}*", "${arn}/${local.inventory}*"]
      }],`, `        Resource  = [arn, "${arn}/${local.blobs}*", "${arn}/${local.inventory}*"]
      }],`, "only containers/images/ and inventory/ may be public"},
	{"no denial without TLS", "aws-stores/policy.tf", `Condition = { Bool = { "aws:SecureTransport" = "false" } }`, `Condition = { Bool = { "aws:SecureTransport" = "true" } }`,
		"no statement denies requests without TLS"},
	{"blobs can be replaced", "aws-stores/policy.tf", `Null = { "s3:if-none-match" = "true" }`, `Null = { "s3:if-none-match" = "false" }`, "without If-None-Match"},
	{"no Block Public Access", "aws-stores/bucket.tf", `resource "aws_s3_bucket_public_access_block" "store" {
  for_each = var.stores`, `resource "aws_s3_bucket_public_access_block" "store" {
  for_each = {}`, "no Block Public Access"},
	{"ACLs count", "aws-stores/bucket.tf", `object_ownership = "BucketOwnerEnforced"`, `object_ownership = "ObjectWriter"`, "object_ownership must be BucketOwnerEnforced"},
	{"no versions", "aws-stores/bucket.tf", `    status = "Enabled"
  }
}`, `    status = "Suspended"
  }
}`, "has no versions"},
	{"unfinished uploads stay", "aws-stores/bucket.tf", `    abort_incomplete_multipart_upload {
      days_after_initiation = var.unfinished_days
    }`, `    expiration {
      days = var.unfinished_days
    }`, "no enabled rule with abort_incomplete_multipart_upload"},
	{"the inventory is replicated", "aws-stores/replication.tf", `prefix = local.blobs`, `prefix = ""`, "must have the filter containers/images/"},
	{"delete markers are replicated", "aws-stores/replication.tf", `      delete_marker_replication {
        status = "Disabled"`, `      delete_marker_replication {
        status = "Enabled"`, "must not replicate delete markers"},
	{"a writer that deletes blobs", "aws-stores/roles.tf", `      Action   = "s3:DeleteObject"
      Resource = local.all_inventory`, `      Action   = "s3:DeleteObject"
      Resource = concat(local.all_inventory, local.all_blobs)`, "it may write blobs and delete them"},
	{"any action", "aws-stores/replication.tf", `Action   = ["s3:ReplicateObject", "s3:ReplicateTags"]`, `Action   = ["s3:*Object"]`,
		"the wildcard in the action s3:*Object"},
	{"any bucket", "aws-stores/replication.tf", `Resource = [local.bucket_arns[var.replication.from]]`, `Resource = ["*"]`, "reaches buckets and services of others"},
	{"no audience", "aws-stores/trust.tf", `      "accounts.google.com:oaud" = t.audiences
`, "", "does not name the claim oaud"},
	{"no subject", "aws-stores/trust.tf", `      "accounts.google.com:sub"  = t.subjects
`, "", "does not name the claim sub"},
	{"no access log", "aws-stores/logs.tf", `resource "aws_s3_bucket_logging" "store" {
  for_each = var.stores`, `resource "aws_s3_bucket_logging" "store" {
  for_each = {}`, "no access log"},

	{"anybody lists at Google", "gcp-stores/bucket.tf", `role   = "roles/storage.legacyObjectReader"`, `role   = "roles/storage.objectViewer"`, "lets anybody do more than get an object"},
	{"ACLs count at Google", "gcp-stores/bucket.tf", `uniform_bucket_level_access = true`, `uniform_bucket_level_access = false`, "uniform_bucket_level_access must be true"},
	{"a writer that deletes at Google", "gcp-stores/writer.tf", `"storage.objects.create", `, `"storage.objects.create", "storage.objects.delete", `, "may create objects and delete them"},
	{"deletion without a condition at Google", "gcp-stores/writer.tf", `expression = "resource.name.startsWith(\"${local.objects[each.value.store]}/inventory/\")"`, `expression = "true"`,
		"has no condition that limits it to inventory/"},

	{"anybody lists at Azure", "azure-stores/bucket.tf", `container_access_type = "blob"`, `container_access_type = "container"`, "lets anybody list"},
	{"plain HTTP at Azure", "azure-stores/bucket.tf", `https_traffic_only_enabled      = true`, `https_traffic_only_enabled      = false`, "https_traffic_only_enabled must be true"},
	{"account keys at Azure", "azure-stores/bucket.tf", `shared_access_key_enabled       = false`, `shared_access_key_enabled       = true`, "shared_access_key_enabled must be false"},
	{"a writer that deletes at Azure", "azure-stores/writer.tf", `rights  = ["${local.blobs}/read", "${local.blobs}/write"]`, `rights  = ["${local.blobs}/read", "${local.blobs}/write", "${local.blobs}/delete"]`,
		"the role may write blobs and delete them"},

	{"r2.dev is on", "r2-store/bucket.tf", `enabled      = false # r2.dev`, `enabled      = true # r2.dev`, "r2.dev must be off"},
	{"old TLS at R2", "r2-store/bucket.tf", `min_tls      = "1.2"`, `min_tls      = "1.0"`, "min_tls must be 1.2"},

	{"ingress from everywhere", "gcp-front/service.tf", `"INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"`, `"INGRESS_TRAFFIC_ALL"`, "ingress must be INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"},
	{"the default URL is on", "gcp-front/service.tf", `default_uri_disabled = true`, `default_uri_disabled = false`, "default_uri_disabled must be true"},
	{"a region without instances", "gcp-front/service.tf", `min_instance_count = each.value.min_instances`, `min_instance_count = 0`, "min_instance_count must be at least 1"},
	{"CPU for requests only", "gcp-front/service.tf", `cpu_idle          = false`, `cpu_idle          = true`, "cpu_idle must be false"},
	{"a tag for the server", "gcp-front/service.tf", `      image = var.image`, `      image = "${split("@", var.image)[0]}:latest"`, "has no digest"},
	{"no edge rules", "gcp-front/balancer.tf", `security_policy       = google_compute_security_policy.edge.id`, `security_policy       = null`, "no security_policy"},
	{"the edge lets the rest through", "gcp-front/armor.tf", `action      = var.edge_rules.default_action`, `action      = "allow"`, "the last rule must deny"},
	{"an edge rule for all paths", "gcp-front/armor.tf", `expression = rule.value.expression`, `expression = "true"`, "the rule 1000 lets all paths through"},
	{"no rate limit", "gcp-front/armor.tf", `rule.value.action == "allow" ? "throttle" : rule.value.action`, `rule.value.action`, "the rule 1000 has no rate limit"},
	{"answers are cached", "gcp-front/balancer.tf", `enable_cdn            = false`, `enable_cdn            = true`, "enable_cdn must be false"},
}

// alone are those of modules that the examples do not call, by the module.
var alone = map[string][]mutant{
	"aws-front": {
		{"tasks that everybody reaches", "aws-front/network.tf", `["80", "443"]`, `["80", "443", "8080"]`, "everybody reaches port 8080"},
		{"a tag for the server at AWS", "aws-front/service.tf", `var.image`, `"${split("@", var.image)[0]}:latest"`, "has no digest"},
	},
	"cdn-cloudfront": {
		{"plain HTTP at CloudFront", "cdn-cloudfront/distribution.tf", `"https-only"`, `"allow-all"`, "viewer_protocol_policy must be"},
		{"old TLS at CloudFront", "cdn-cloudfront/distribution.tf", `"TLSv1.2_2021"`, `"TLSv1"`, "minimum_protocol_version must be"},
		{"requests that are not signed", "cdn-cloudfront/distribution.tf", `signing_behavior                  = "always"`, `signing_behavior                  = "never"`, "not signed always"},
		{"the query makes a copy", "cdn-cloudfront/edge.tf", `query_string_behavior = "none"`, `query_string_behavior = "all"`, "the key of the cache has the query"},
	},
}

// TestInfraMutants: all dangerous edits that still give a plan are denied by a policy. Those of one plan are made in one copy of
// the modules, because each has words of its own; the longest run makes each in a copy of its own.
func TestInfraMutants(t *testing.T) {
	parts.Slow(t)
	type group struct {
		at   string
		of   []mutant
		args []string
	}
	groups := []group{{at: filepath.Join("examples", "production"), of: byPolicy}}
	for module, of := range alone {
		groups = append(groups, group{module, of, inputs(t, module)})
	}
	if parts.Exhaustive() {
		var each []group
		for _, g := range groups {
			for _, m := range g.of {
				each = append(each, group{g.at, []mutant{m}, g.args})
			}
		}
		groups = each
	}
	for _, group := range groups {
		t.Run(group.of[0].name, func(t *testing.T) {
			t.Parallel()
			dir := Copy(t)
			for _, m := range group.of {
				m.apply(t, dir)
			}
			at := filepath.Join(dir, group.at)
			Init(t, at)
			plan, err := Plan(t, at, group.args...)
			if err != nil {
				t.Fatal(err)
			}
			denied := strings.Join(Conftest(t, filepath.Join(dir, "policy"), plan), "\n")
			for _, m := range group.of {
				if !strings.Contains(denied, m.caught) {
					t.Errorf("%s is not caught: nothing says %q in\n%s", m.name, m.caught, denied)
				}
			}
		})
	}
}

// byModule are edits that a module's own tests must find.
var byModule = []mutant{
	{"a misspelt argument", "gcp-stores/bucket.tf", "uniform_bucket_level_access", "uniform_bucket_access", `An argument named "uniform_bucket_access" is not expected here`},
	{"the wrong type", "azure-stores/bucket.tf", "days = var.keep_days\n", "days = [var.keep_days]\n", "Inappropriate value for attribute"},
	{"a block that is not known", "aws-stores/bucket.tf", "noncurrent_version_expiration {", "old_version_expiration {", `Blocks of type "old_version_expiration" are not expected here`},
}

// TestInfraMisspelt: what the providers do not know is named before anything is planned.
func TestInfraMisspelt(t *testing.T) {
	parts.Slow(t)
	for _, m := range byModule {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			dir := Copy(t)
			m.apply(t, dir)
			at := filepath.Join(dir, filepath.Dir(m.file))
			Init(t, at)
			if _, err := Tofu(t, at, "validate", "-no-color"); err == nil || !strings.Contains(strings.Join(strings.Fields(err.Error()), " "), m.caught) {
				t.Errorf("not caught: want %q, got %v", m.caught, err)
			}
		})
	}
}

func (m mutant) apply(t *testing.T, dir string) {
	t.Helper()
	file := filepath.Join(dir, m.file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), m.old) {
		t.Fatalf("%s: %s no longer has\n%s", m.name, m.file, m.old)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), m.old, m.with)), 0o600); err != nil {
		t.Fatal(err)
	}
}
