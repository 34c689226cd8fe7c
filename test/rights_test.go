package test

import (
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publicationtest"
	"ociproxy/internal/publication/publish"
	"ociproxy/internal/store"
	"ociproxy/test/parts"
)

// TestRightsOfRoles: with the policies of deploy/permissions a real S3 server lets each role write its own documents and
// no others, whatever keys it has.
func TestRightsOfRoles(t *testing.T) {
	addr, root := parts.FreeAddr(t), []string{"ROOT_ACCESS_KEY=test", "ROOT_SECRET_KEY=test-secret"}
	gateway := parts.Find(t, "versitygw")
	parts.Start(t, parts.Spec{
		Path: gateway, Args: []string{"--quiet", "--port", addr, "--iam-dir", t.TempDir(), "--health", "/-/health", "posix", t.TempDir()},
		Env: root, Ready: parts.HTTP("http://"+addr+"/-/health", 200), Abrupt: true,
	})
	var statements []any
	for user, file := range map[string]string{"ci": "aws-config-policy.json", "oncall": "aws-oncall-policy.json"} {
		p := parts.Start(t, parts.Spec{Path: gateway, Quiet: true, Args: []string{
			"admin", "--access", "test", "--secret", "test-secret", "--endpoint-url", "http://" + addr,
			"create-user", "--access", user, "--secret", user + "-secret", "--role", "user",
		}})
		if code := p.Wait(t, parts.Ready); code != 0 {
			t.Fatalf("create %s: exit code %d: %s", user, code, p.Output.String())
		}
		text, err := os.ReadFile(filepath.Join(parts.Root(), "deploy", "permissions", file))
		if err != nil {
			t.Fatal(err)
		}
		var policy struct{ Statement []map[string]any }
		if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), "BUCKET", "configs")), &policy); err != nil {
			t.Fatal(err)
		}
		for _, s := range policy.Statement {
			s["Principal"] = map[string]any{"AWS": user} // a policy of the bucket, because the server has none of users
			delete(s, "Condition")                       // which it does not know
			statements = append(statements, s)
		}
	}
	policy, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		t.Fatal(err)
	}
	owner := awss3.New(awss3.Options{
		BaseEndpoint: aws.String("http://" + addr), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test-secret", ""),
	})
	bucket := aws.String("configs")
	if _, err := owner.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: bucket, Policy: aws.String(string(policy))}); err != nil {
		t.Fatal(err)
	}
	url := "s3://configs/config?region=us-east-1&pathStyle=true&endpoint=http://" + addr
	env := func(user string) func(string) string {
		return func(name string) string {
			return map[string]string{"AWS_ACCESS_KEY_ID": user, "AWS_SECRET_ACCESS_KEY": user + "-secret"}[name]
		}
	}
	keys := *publicationtest.Open(t, url, env("test")).State().Keys
	now := time.Now().UTC().Truncate(time.Second)
	overrides := []publication.Override{{
		ID: "x", Action: publication.Off, Candidate: "a", Why: "dead", By: "test", From: now, Until: now.Add(time.Hour),
	}}
	for user, may := range map[string]map[string]bool{
		"ci":     {"publish": true, "audit": true, "take and end a lease": true},
		"oncall": {"override": true, "audit": true},
	} {
		b, err := store.Open(t.Context(), url, store.Options{Getenv: env(user)})
		if err != nil {
			t.Fatal(err)
		}
		site := &publish.Site{Bucket: b, Trust: &publication.Trust{Deployment: publicationtest.Deployment, Roots: []ed25519.PublicKey{publicationtest.Root.Public()}, MaxAge: -1}}
		for what, do := range map[string]func(st *publish.State) error{
			"publish": func(st *publish.State) error {
				_, err := site.Publish(t.Context(), st, publicationtest.Config, publish.Change{Rings: []string{"all"}, Content: []byte(user), By: user})
				return err
			},
			"override": func(st *publish.State) error {
				_, err := site.SetOverrides(t.Context(), st, publicationtest.Override, overrides)
				return err
			},
			"keys": func(st *publish.State) error {
				_, err := site.SetKeys(t.Context(), st, publicationtest.Root, keys)
				return err
			},
			"audit": func(*publish.State) error {
				return (&publish.Audit{Bucket: b}).Append(t.Context(), publish.Entry{Action: "test", By: user})
			},
			"take and end a lease": func(*publish.State) error {
				at, err := b.Put(t.Context(), "lease/rollout", store.Bytes([]byte("{}")), store.Header{}, "")
				if err != nil {
					return err
				}
				return b.Delete(t.Context(), "lease/rollout", at.Version)
			},
			"delete": func(*publish.State) error { return b.Delete(t.Context(), publication.KeysName, "") },
		} {
			st, err := site.Read(t.Context())
			if err != nil {
				t.Fatalf("%s reads: %v", user, err)
			}
			switch err := do(st); {
			case may[what] && err != nil:
				t.Errorf("%s: %s: %v", user, what, err)
			case !may[what] && err == nil:
				t.Errorf("%s may %s", user, what)
			}
		}
	}
}
