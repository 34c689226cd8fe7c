package iam

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/infra"
	"ociproxy/test/parts"
)

const (
	account = "123456789012" // of the stub
	eks     = "https://oidc.eks.us-east-1.amazonaws.com/id/ABC"
	gke     = "https://container.googleapis.com/v1/projects/p/locations/europe-west1/clusters/c"
	github  = "https://token.actions.githubusercontent.com"
	id      = "https://accounts.google.com"

	source, copied = "arn:aws:s3:::prod-use1", "arn:aws:s3:::prod-euw1"
	distribution   = "arn:aws:cloudfront::123456789012:distribution/E123"

	blob  = "/containers/images/sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
	head  = "/inventory/head.json"
	roles = "arn:aws:iam::123456789012:role/oci-proxy-"
)

var inputs = map[string]any{
	"stores": map[string]any{
		"use1": map[string]any{"bucket": "prod-use1", "region": "us-east-1"},
		"euw1": map[string]any{"bucket": "prod-euw1", "region": "eu-west-1"},
		"euc1": map[string]any{"bucket": "prod-euc1", "region": "eu-central-1"},
	},
	"writer":        map[string]any{"issuer": eks, "subjects": []string{"system:serviceaccount:registry:mirror"}, "audiences": []string{"sts.amazonaws.com"}},
	"repair":        map[string]any{"issuer": id, "subjects": []string{"112233445566778899001"}, "audiences": []string{"oci-proxy"}},
	"purge":         map[string]any{"issuer": github, "subjects": []string{"repo:example/registry:environment:purge"}, "audiences": []string{"sts.amazonaws.com"}},
	"replication":   map[string]any{"from": "use1", "to": []string{"euw1"}},
	"distributions": map[string]any{"euc1": distribution},
}

// documents are the policies in a plan, by the address of their resource.
type documents map[string]map[string]any

func (d documents) policy(t *testing.T, address, field string) *Policy {
	t.Helper()
	text, ok := d[address][field].(string)
	if !ok {
		t.Fatalf("the plan has no %s of %s", field, address)
	}
	return policy(t, text)
}

// plan plans the module aws-stores with inputs.
func plan(t *testing.T, dir string, inputs map[string]any) documents {
	t.Helper()
	text, err := json.Marshal(inputs)
	if err != nil {
		t.Fatal(err)
	}
	vars := filepath.Join(t.TempDir(), "in.tfvars.json")
	if err := os.WriteFile(vars, text, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := infra.Plan(t, dir, "-var-file="+vars)
	if err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	var p struct {
		PlannedValues struct {
			RootModule struct {
				Resources []struct {
					Address string
					Values  map[string]any
				}
			} `json:"root_module"`
		} `json:"planned_values"`
	}
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	d := documents{}
	for _, r := range p.PlannedValues.RootModule.Resources {
		d[r.Address] = r.Values
	}
	return d
}

// request is a request to S3 over TLS.
func request(action, resource string, pairs ...string) Request {
	q := Request{Action: "s3:" + action, Resource: resource, Keys: map[string]string{"aws:securetransport": "true"}}
	for i := 0; i < len(pairs); i += 2 {
		q.Keys[pairs[i]] = pairs[i+1]
	}
	return q
}

// What is special in requests that write.
var (
	creates = []string{"s3:objectcreationoperation", "true"}
	ifNew   = []string{"s3:objectcreationoperation", "true", "s3:if-none-match", "*"}
	part    = []string{"s3:objectcreationoperation", "false"} // also the start of a multipart upload
	plain   = []string{"aws:securetransport", "false"}
)

// TestSlowRights tries requests against the policies in the plan of aws-stores.
func TestSlowRights(t *testing.T) {
	parts.Slow(t)
	dir := filepath.Join(infra.Copy(t), "aws-stores")
	infra.Init(t, dir)
	d := plan(t, dir, inputs)
	t.Run("buckets", func(t *testing.T) { bucketRights(t, d) })
	t.Run("trust", func(t *testing.T) {
		trust(t, d, tokens)
		trust(t, plan(t, dir, map[string]any{
			"stores": inputs["stores"],
			"writer": map[string]any{"issuer": gke, "subjects": []string{"system:serviceaccount:registry:mirror"}, "audiences": []string{"sts.amazonaws.com"}},
		}), gkeTokens)
	})
	t.Run("published", func(t *testing.T) { published(t, d) })
}

func bucketRights(t *testing.T, d documents) {
	caller := func(role string) *Policy {
		switch role {
		case "", "admin":
			return nil
		case "replication":
			return d.policy(t, "aws_iam_role_policy.replication[0]", "policy")
		}
		return d.policy(t, `aws_iam_role_policy.this["`+role+`"]`, "policy")
	}
	buckets := map[string]*Policy{}
	for _, name := range []string{"use1", "euw1", "euc1"} {
		buckets["arn:aws:s3:::prod-"+name] = d.policy(t, `aws_s3_bucket_policy.store["`+name+`"]`, "policy")
	}
	closed := "arn:aws:s3:::prod-euc1" // read by CloudFront
	for _, c := range []struct {
		role string // "": anonymous
		q    Request
		want bool
	}{
		{"", request("GetObject", source+blob), true},
		{"", request("GetObject", source+head), true},
		{"", request("GetObject", source+"/config/rings/all.json"), false},
		{"", request("GetObject", source+blob, plain...), false},
		{"", request("GetObjectVersion", source+blob), false},
		{"", request("ListBucket", source), false},
		{"", request("ListBucketVersions", source), false},
		{"", request("ListBucketMultipartUploads", source), false},
		{"", request("PutObject", source+blob, ifNew...), false},
		{"", request("PutObject", source+head, creates...), false},
		{"", request("DeleteObject", source+blob), false},
		{"", request("PutObjectAcl", source+blob), false},
		{"", request("GetBucketPolicy", source), false},
		{"", request("PutBucketPolicy", source), false},
		{"", request("GetObject", closed+blob), false},

		{"writer", request("PutObject", source+blob, ifNew...), true},
		{"writer", request("PutObject", source+blob, creates...), false},
		{"writer", request("PutObject", source+blob, part...), true},
		{"writer", request("PutObject", source+blob, append(ifNew, plain...)...), false},
		{"writer", request("PutObject", source+head, creates...), true},
		{"writer", request("PutObject", source+"/elsewhere", ifNew...), false},
		{"writer", request("AbortMultipartUpload", source+blob), true},
		{"writer", request("GetObject", closed+blob), true},
		{"writer", request("ListBucket", source), true},
		{"writer", request("DeleteObject", source+head), true},
		{"writer", request("DeleteObject", source+blob), false},
		{"writer", request("DeleteObjectVersion", source+blob), false},
		{"writer", request("DeleteObjectVersion", source+head), false},
		{"writer", request("PutObjectAcl", source+blob), false},
		{"writer", request("PutBucketPolicy", source), false},
		{"writer", request("PutObject", "arn:aws:s3:::other"+blob, ifNew...), false},

		{"repair", request("PutObject", source+blob, creates...), true},
		{"repair", request("PutObject", source+blob, ifNew...), true},
		{"repair", request("DeleteObject", source+blob), false},
		{"repair", request("DeleteObjectVersion", source+blob), false},

		{"purge", request("DeleteObject", source+blob), true},
		{"purge", request("DeleteObjectVersion", source+blob), true},
		{"purge", request("ListBucketVersions", source), true},
		{"purge", request("PutObject", source+head, creates...), true},
		{"purge", request("PutObject", source+blob, ifNew...), false},
		{"purge", request("DeleteObject", source+blob, plain...), false},
		{"purge", request("DeleteBucket", source), false},

		{"replication", request("GetReplicationConfiguration", source), true},
		{"replication", request("GetObjectVersionForReplication", source+blob), true},
		{"replication", request("GetObjectVersionForReplication", source+head), false},
		{"replication", request("GetObjectVersionForReplication", copied+blob), false},
		{"replication", request("ReplicateObject", copied+blob), true},
		{"replication", request("ReplicateObject", copied+head), false},
		{"replication", request("ReplicateObject", source+blob), false},
		{"replication", request("ReplicateDelete", copied+blob), false},
		{"replication", request("PutObject", copied+blob, creates...), false},
		{"replication", request("DeleteObject", copied+blob), false},

		{"cloudfront", request("GetObject", closed+blob, "aws:sourcearn", distribution), true},
		{"cloudfront", request("GetObject", closed+blob, "aws:sourcearn", distribution+"4"), false},
		{"cloudfront", request("GetObject", closed+"/other", "aws:sourcearn", distribution), false},
		{"cloudfront", request("ListBucket", closed, "aws:sourcearn", distribution), false},
		{"cloudfront", request("PutObject", closed+blob, append(ifNew, "aws:sourcearn", distribution)...), false},
	} {
		r := Rights{}
		switch c.role {
		case "":
		case "cloudfront":
			c.q.Caller.Service = "cloudfront.amazonaws.com"
		default:
			r.Caller = caller(c.role)
			c.q.Caller.Role = roles + c.role
			c.q.Keys["aws:principalarn"] = c.q.Caller.Role
		}
		name, _, _ := strings.Cut(c.q.Resource, "/")
		r.Resource = buckets[name]
		check(t, r, c.q, c.want)
	}

	logs := Rights{Resource: d.policy(t, `aws_s3_bucket_policy.logs["us-east-1"]`, "policy")}
	const into = "arn:aws:s3:::oci-proxy-logs-123456789012-us-east-1"
	for _, c := range []struct {
		caller Caller
		q      Request
		want   bool
	}{
		{Caller{Service: "logging.s3.amazonaws.com"}, request("PutObject", into+"/prod-use1/x", "aws:sourceaccount", account, "aws:sourcearn", source), true},
		{Caller{Service: "logging.s3.amazonaws.com"}, request("PutObject", into+"/prod-use1/x", "aws:sourceaccount", "210987654321", "aws:sourcearn", source), false},
		{Caller{Service: "logging.s3.amazonaws.com"}, request("PutObject", into+"/prod-use1/x", "aws:sourceaccount", account, "aws:sourcearn", copied), false},
		{Caller{Service: "logging.s3.amazonaws.com"}, request("GetObject", into+"/prod-use1/x", "aws:sourceaccount", account, "aws:sourcearn", source), false},
		{Caller{}, request("GetObject", into+"/prod-use1/x"), false},
		{Caller{}, request("PutObject", into+"/prod-use1/x"), false},
	} {
		c.q.Caller = c.caller
		check(t, logs, c.q, c.want)
	}
}

func check(t *testing.T, r Rights, q Request, want bool) {
	t.Helper()
	got, sid, err := r.Decide(q)
	if err != nil || got != want {
		t.Errorf("%+v: %v by %q, %v; want %v", q, got, sid, err, want)
	}
}

type attempt struct {
	role  string
	token Token
	want  bool
}

var (
	mirrorOfEKS = Token{Issuer: eks, Subject: "system:serviceaccount:registry:mirror", Audience: "sts.amazonaws.com"}
	mirrorOfGKE = Token{Issuer: gke, Subject: "system:serviceaccount:registry:mirror", Audience: "sts.amazonaws.com"}
	number      = "112233445566778899001"

	tokens = []attempt{
		{"writer", mirrorOfEKS, true},
		{"writer", Token{Issuer: eks, Subject: "system:serviceaccount:registry:other", Audience: "sts.amazonaws.com"}, false},
		{"writer", Token{Issuer: eks, Subject: "system:serviceaccount:other:mirror", Audience: "sts.amazonaws.com"}, false},
		{"writer", Token{Issuer: eks, Subject: mirrorOfEKS.Subject, Audience: "kubernetes"}, false},
		{"writer", Token{Issuer: eks, Subject: mirrorOfEKS.Subject}, false},
		{"writer", Token{Issuer: eks, Audience: "sts.amazonaws.com"}, false},
		{"writer", Token{Issuer: eks + "D", Subject: mirrorOfEKS.Subject, Audience: "sts.amazonaws.com"}, false},
		{"writer", mirrorOfGKE, false},
		{"repair", mirrorOfEKS, false},
		{"purge", mirrorOfEKS, false},

		{"repair", Token{Issuer: id, Subject: number, AuthorizedParty: number, Audience: "oci-proxy"}, true},
		{"repair", Token{Issuer: id, Subject: number, AuthorizedParty: number, Audience: "another"}, false},
		{"repair", Token{Issuer: id, Subject: number, AuthorizedParty: "998877665544332211009", Audience: "oci-proxy"}, false},
		{"repair", Token{Issuer: id, Subject: "998877665544332211009", AuthorizedParty: number, Audience: "oci-proxy"}, false},
		{"repair", Token{Issuer: id, Subject: number, Audience: "oci-proxy"}, false}, // no azp: IAM's aud is the audience
		{"writer", Token{Issuer: id, Subject: number, AuthorizedParty: number, Audience: "oci-proxy"}, false},

		{"purge", Token{Issuer: github, Subject: "repo:example/registry:environment:purge", Audience: "sts.amazonaws.com"}, true},
		{"purge", Token{Issuer: github, Subject: "repo:example/registry:ref:refs/heads/main", Audience: "sts.amazonaws.com"}, false},
		{"purge", Token{Issuer: github, Subject: "repo:example/registry:pull_request", Audience: "sts.amazonaws.com"}, false},
		{"purge", Token{Issuer: github, Subject: "repo:other/registry:environment:purge", Audience: "sts.amazonaws.com"}, false},
		{"purge", Token{Issuer: github, Subject: "repo:example/registry:environment:purge", Audience: "https://github.com/example"}, false},
	}
	gkeTokens = []attempt{
		{"writer", mirrorOfGKE, true},
		{"writer", Token{Issuer: gke + "2", Subject: mirrorOfGKE.Subject, Audience: "sts.amazonaws.com"}, false},
		{"writer", Token{Issuer: gke, Subject: mirrorOfGKE.Subject, Audience: gke}, false},
		{"writer", Token{Issuer: gke, Subject: "system:serviceaccount:default:default", Audience: "sts.amazonaws.com"}, false},
		{"writer", mirrorOfEKS, false},
	}
)

func trust(t *testing.T, d documents, attempts []attempt) {
	t.Helper()
	for _, a := range attempts {
		r := Rights{Resource: d.policy(t, `aws_iam_role.this["`+a.role+`"]`, "assume_role_policy")}
		check(t, r, a.token.Assume("aws", account), a.want)
	}
}

// published: deploy/permissions has the writer's rights for those without Terraform. The two must be the same.
func published(t *testing.T, d documents) {
	text, err := os.ReadFile(filepath.Join(parts.Root(), "deploy", "permissions", "aws-writer-policy.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := policy(t, string(text))
	got := d.policy(t, `aws_iam_role_policy.this["writer"]`, "policy")
	for i := range want.Statement {
		want.Statement[i].Resource = everyBucket(want.Statement[i].Resource)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("deploy/permissions/aws-writer-policy.json and the module differ (-file +module):\n%s", diff)
	}
}

// everyBucket puts the buckets of the inputs in the place of the file's BUCKET.
func everyBucket(resources Texts) Texts {
	var all Texts
	for _, r := range resources {
		for _, bucket := range []string{"prod-euc1", "prod-euw1", "prod-use1"} {
			all = append(all, strings.Replace(r, "BUCKET", bucket, 1))
		}
	}
	return all
}
