package buckets

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"ociproxy/test/authority"
	"ociproxy/test/clients"
	"ociproxy/test/ctl"
	"ociproxy/test/gate"
	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/registry"
	"ociproxy/test/seaweedfs"
	"ociproxy/test/shop"
)

// TestVersitygw shares one server among its tests.
func TestVersitygw(t *testing.T) {
	v := startVersity(t)
	t.Run("policy", v.policy)
	t.Run("create", v.create)
	t.Run("foreign", v.foreign)
	t.Run("killed", v.killed)
	t.Run("pulled", v.pulled)
}

// onVersity is what store create makes of a new bucket of versitygw over TLS.
const onVersity = `bucket changed
ownership good
publicAccessBlock unsupported
encryption unsupported
versioning changed
lifecycle/noncurrentVersions unsupported
lifecycle/unfinishedUploads unsupported
policy/AnybodyReadsBlobsAndInventory changed
policy/OnlyOverTLS changed
policy/BlobsAreNeverReplaced unsupported
policy/strangers good
tag changed`

// A bucket is made over TLS with the policy enforced. A second run finds nothing to do. What an operator adds stays.
func (v *versity) create(t *testing.T) {
	bucket, over := "made", "https://"+v.tls
	store := v.store(bucket, over)
	store["owner"] = account
	file := config(t, store)
	doc := create(t, 4, v.env(), file, "s3-use1", "--dry-run")
	if doc.Exists || doc.Changes == 0 || doc.Proof != nil {
		t.Errorf("dry run: %+v", doc)
	}
	if _, err := v.client.HeadBucket(t.Context(), &awss3.HeadBucketInput{Bucket: &bucket}); err == nil {
		t.Fatal("a dry run has made the bucket")
	}
	doc = create(t, 0, v.env(), file, "s3-use1", "--confirm")
	if diff := cmp.Diff(onVersity, doc.states()); diff != "" {
		t.Error(diff)
	}
	again(t, v.env(), file, "s3-use1")
	enforced(t, trusting(t, v.root), over+"/"+bucket+"/", "http://"+v.plain+"/"+bucket+"/")

	// An operator gives a right to somebody else, takes ours away, and adds a tag.
	theirs := `{"Version":"2012-10-17","Statement":[{"Sid":"Theirs","Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::made/inventory/old/*"}]}`
	if _, err := v.client.PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: &bucket, Policy: &theirs}); err != nil {
		t.Fatal(err)
	}
	tags := types.Tagging{TagSet: []types.Tag{{Key: aws.String("team"), Value: aws.String("images")}}}
	if _, err := v.client.PutBucketTagging(t.Context(), &awss3.PutBucketTaggingInput{Bucket: &bucket, Tagging: &tags}); err != nil {
		t.Fatal(err)
	}
	doc = create(t, 0, v.env(), file, "s3-use1", "--confirm")
	if want := "policy/AnybodyReadsBlobsAndInventory changed\npolicy/OnlyOverTLS changed\ntag changed"; doc.states("changed") != want {
		t.Errorf("changed:\n%s\nwant\n%s", doc.states("changed"), want)
	}
	kept := [2][]string{doc.find("policy/AnybodyReadsBlobsAndInventory").Kept, doc.find("tag").Kept}
	if diff := cmp.Diff([2][]string{{`Theirs: Deny s3:GetObject to "*"`}, {"team=images"}}, kept); diff != "" {
		t.Error(diff)
	}
	again(t, v.env(), file, "s3-use1")
	if got, want := sids(t, v.client, bucket), []string{"AnybodyReadsBlobsAndInventory", "OnlyOverTLS", "Theirs"}; !slices.Equal(got, want) {
		t.Errorf("the policy has %v, want %v", got, want)
	}
}

// again runs store create once more, and fails the test unless there is nothing to do.
func again(t testing.TB, env []string, file, name string) {
	t.Helper()
	if doc := create(t, 0, env, file, name, "--confirm"); doc.Changes != 0 || !doc.Exists {
		t.Errorf("there is something to do in a second run:\n%s", doc.states())
	}
	ran := ctl.Run(t, ctl.Limit, env, "store", "create", name, "--config", file, "--dry-run")
	if ran.Code != 0 || !strings.Contains(ran.Stdout, "nothing to do") {
		t.Errorf("%v", ran)
	}
}

// sids returns the ids of the statements of a bucket's policy.
func sids(t testing.TB, client *awss3.Client, bucket string) (out []string) {
	t.Helper()
	got, err := client.GetBucketPolicy(t.Context(), &awss3.GetBucketPolicyInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	var policy struct{ Statement []struct{ Sid string } }
	if err := json.Unmarshal([]byte(*got.Policy), &policy); err != nil {
		t.Fatal(err)
	}
	for _, s := range policy.Statement {
		out = append(out, s.Sid)
	}
	return out
}

// A bucket of another account is not touched, and credentials of another account make none.
func (v *versity) foreign(t *testing.T) {
	for _, bucket := range []string{"theirs", "not-made"} {
		if bucket == "theirs" {
			if _, err := v.client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &bucket}); err != nil {
				t.Fatal(err)
			}
		}
		store := v.store(bucket, "http://"+v.plain)
		store["owner"] = "999999999999"
		file := config(t, store)
		for _, how := range []string{"--dry-run", "--confirm"} { // the dry run once promised what --confirm then refused
			ran := ctl.Run(t, ctl.Limit, v.env(), "store", "create", "s3-use1", "--config", file, how)
			if ran.Code != 1 || !strings.Contains(ran.Stderr, "not ours") || !strings.Contains(ran.Stderr, "999999999999") {
				t.Errorf("%s %s: %v", bucket, how, ran)
			}
		}
		_, err := v.client.GetBucketPolicy(t.Context(), &awss3.GetBucketPolicyInput{Bucket: &bucket})
		if err == nil {
			t.Errorf("%s has a policy now", bucket)
		}
	}
	bucket := "not-made"
	if _, err := v.client.HeadBucket(t.Context(), &awss3.HeadBucketInput{Bucket: &bucket}); err == nil {
		t.Error("the bucket was made")
	}
}

// Wherever a run is killed, the next one finishes what is left.
func (v *versity) killed(t *testing.T) {
	g := gate.New(t, v.plain)
	settings := func(r *http.Request) bool {
		return r.Method == http.MethodPut && !strings.Contains(strings.Trim(r.URL.Path, "/"), "/")
	}
	k := 1
	for ; ; k++ {
		file := config(t, v.store(fmt.Sprintf("killed-%d", k), g.URL))
		was := kill(t, g, v.env(), file, "s3-use1", k, settings)
		doc := create(t, 0, v.env(), file, "s3-use1", "--confirm")
		if got := strings.ReplaceAll(doc.states("changed", "good"), "good", "changed"); got != onPlain {
			t.Errorf("killed at change %d, then finished:\n%s\nwant\n%s", k, got, onPlain)
		}
		if !was {
			break
		}
	}
	if k < 6 {
		t.Errorf("only %d changes", k-1)
	}
}

// onPlain are the settings that versitygw has at a plain-text endpoint.
const onPlain = `bucket changed
ownership changed
versioning changed
policy/AnybodyReadsBlobsAndInventory changed
policy/strangers changed
tag changed`

// The mirror fills a bucket that store create has made, and crane pulls from there.
func (v *versity) pulled(t *testing.T) {
	const prefix, name = "project/images", "app"
	r := registry.Start(t)
	img := image.New(t, 16, 300<<10, 2000)
	img.Push(t, r.Addr, prefix+"/"+name, "1")
	g := gate.New(t, v.plain)
	c := proxy.Config{
		"location":  "aws/us-east-1",
		"upstreams": proxy.List{proxy.Map{"name": "us", "url": r.URL, "prefix": prefix, "place": "gcp/europe-west1", "canonical": true, "insecure": true}},
		"stores":    proxy.List{v.store("pulled", g.URL)},
		"mirror":    proxy.Map{"source": "us", "repositories": proxy.Map{"list": proxy.List{name}}, "spool": proxy.Map{"dir": t.TempDir()}},
	}.Defaults(t)
	c["client"] = proxy.Map{"behind": proxy.Map{"header": "X-Forwarded-For", "entry": 1, "trusted": proxy.List{"127.0.0.0/8"}}}
	file := config(t, v.store("pulled", g.URL))
	c.Write(t, file)
	create(t, 0, v.env(), file, "s3-use1", "--confirm")
	if ran := ctl.Run(t, ctl.Limit, v.env(), "mirror", "--config", file, "--once", "--output", "json"); ran.Code != 0 {
		t.Fatalf("mirror: %v", ran)
	}
	p := proxy.StartFile(t, file, c)
	g.Take()
	clients.CranePull(t, p.Addr+"/"+name+":1", "linux/amd64")
	blobs := 0
	for _, e := range g.Take() {
		if e.Method == http.MethodGet && strings.HasPrefix(e.Path, "/pulled/containers/images/") && e.Status == http.StatusOK && !strings.HasSuffix(e.Path, shop.EmptyObject) {
			blobs++
		}
	}
	if want := len(img.Arch["amd64"].Blobs); blobs < want {
		t.Errorf("crane read %d blobs from the bucket, want %d", blobs, want)
	}
}

// TestSlowSeaweedFS shares one server among its tests.
func TestSlowSeaweedFS(t *testing.T) {
	parts.Slow(t)
	t.Parallel()
	root := authority.New(t)
	cert := root.Issue(t, time.Hour, "127.0.0.1")
	s := seaweedfs.StartTLS(t, "us-east-1", cert.Cert, cert.Key)
	t.Run("policy", func(t *testing.T) { policyOnSeaweedFS(t, s, root) })
	t.Run("create", func(t *testing.T) { createOnSeaweedFS(t, s, root) })
}

// onSeaweedFS is what store create makes of a new bucket of SeaweedFS over TLS.
const onSeaweedFS = `bucket changed
ownership good
publicAccessBlock changed
encryption good
versioning changed
lifecycle/noncurrentVersions changed
lifecycle/unfinishedUploads changed
policy/AnybodyReadsBlobsAndInventory changed
policy/OnlyOverTLS changed
policy/BlobsAreNeverReplaced changed
policy/strangers good
tag changed`

func createOnSeaweedFS(t *testing.T, s *seaweedfs.Store, root *authority.Authority) {
	env := append(slices.Clone(shop.Environment), root.Trust())
	file := config(t, entry("s3-use1", "aws/us-east-1", "s3://made?region=us-east-1&pathStyle=true&endpoint="+s.TLS, s.TLS+"/made/"))
	create(t, 4, env, file, "s3-use1", "--dry-run")
	doc := create(t, 0, env, file, "s3-use1", "--confirm")
	if diff := cmp.Diff(onSeaweedFS, doc.states()); diff != "" {
		t.Error(diff, doc)
	}
	again(t, env, file, "s3-use1")
	enforced(t, trusting(t, root), s.TLS+"/made/", s.URL+"/made/")
}
