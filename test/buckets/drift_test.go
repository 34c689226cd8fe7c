package buckets

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ociproxy/test/azure"
	"ociproxy/test/ctl"
	"ociproxy/test/gcs"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
	"ociproxy/test/seaweedfs"
)

// comparison is the part of the JSON of infra check that the tests read.
type comparison struct {
	Findings    []struct{ Target, Source, What, Result, Detail, Remedy string }
	Drift       int
	Interrupted bool
}

// of returns the findings with a result, as "target source/what", sorted.
func (c *comparison) of(result string) []string {
	var out []string
	for _, f := range c.Findings {
		if f.Result == result {
			out = append(out, f.Target+" "+f.Source+"/"+f.What)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// inspect runs infra check, and fails the test unless it ends with code.
func inspect(t testing.TB, code int, env []string, file string, args ...string) comparison {
	t.Helper()
	ran := ctl.Run(t, ctl.Limit, env, append([]string{"infra", "check", "--config", file, "--output", "json"}, args...)...)
	if ran.Code != code {
		t.Fatalf("infra check %v: want exit code %d: %v", args, code, ran)
	}
	return ctl.Decode[comparison](t, ran.Stdout)
}

// TestSlowDrift breaks what store create has made, in each way that people do, and requires that infra check names it.
func TestSlowDrift(t *testing.T) {
	parts.Slow(t)
	v, az, sea, google := startVersity(t), azure.Start(t), seaweedfs.Start(t, "us-east-1"), gcs.Start(t, "us-central1")
	credentials := filepath.Join(t.TempDir(), "credentials")
	text := "[sea]\naws_access_key_id = " + sea.Getenv("AWS_ACCESS_KEY_ID") + "\naws_secret_access_key = " + sea.Getenv("AWS_SECRET_ACCESS_KEY") + "\n"
	if err := os.WriteFile(credentials, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ready := http.StatusOK
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			t.Errorf("the front was asked for %s", r.URL)
		}
		w.WriteHeader(ready)
	}))
	defer front.Close()
	base := func(blob string) string { return strings.TrimSuffix(blob, "containers/images/{digest}") }
	file := filepath.Join(t.TempDir(), "config.yaml")
	cfg := proxy.Config{
		"location":  "gcp/us-central1",
		"upstreams": proxy.List{proxy.Map{"name": "us", "url": "http://127.0.0.1:1", "place": "gcp/us-central1", "canonical": true, "insecure": true}},
		"stores": proxy.List{
			v.store("use1", "https://"+v.tls),
			entry("az", "azure/westeurope", az.BucketURL("fresh"), az.URL+"/fresh/"),
		},
		"mirror": proxy.Map{"source": "us", "repositories": proxy.Map{"list": proxy.List{"app"}}, "spool": proxy.Map{"dir": t.TempDir()}},
	}.Defaults(t)
	cfg.Write(t, file)
	env := append(v.env(), "AZURE_STORAGE_KEY="+azure.Key, "STORAGE_EMULATOR_HOST="+google.URL, "AWS_SHARED_CREDENTIALS_FILE="+credentials)
	create(t, 0, env, file, "s3-use1", "--confirm")
	create(t, 0, env, file, "az", "--confirm")
	tfvars := filepath.Join(t.TempDir(), "stores.auto.tfvars.json")
	if ran := ctl.Run(t, ctl.Limit, env, "infra", "export", "--config", file, "--out", tfvars); ran.Code != 0 {
		t.Fatal(ran)
	}
	args := []string{"--tfvars", tfvars, "--front", front.URL}
	got := inspect(t, 0, env, file, args...)
	for _, want := range []string{"front variables/front", front.URL + " front/registry", "s3-use1 bucket/versioning", "s3-use1 clients/list",
		"az bucket/publicAccess"} {
		if !slices.Contains(got.of("ok"), want) {
			t.Errorf("%s is not ok: %+v", want, got)
		}
	}

	// What people break.
	ready = http.StatusServiceUnavailable
	broken := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := v.client.DeleteBucketPolicy(t.Context(), &awss3.DeleteBucketPolicyInput{Bucket: new("use1")})
	broken(err)
	_, err = v.client.PutBucketVersioning(t.Context(), &awss3.PutBucketVersioningInput{
		Bucket: new("use1"), VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusSuspended},
	})
	broken(err)
	key, err := container.NewSharedKeyCredential(azure.Account, azure.Key)
	broken(err)
	blobs, err := container.NewClientWithSharedKeyCredential(az.URL+"/fresh", key, nil)
	broken(err)
	level := container.PublicAccessTypeContainer
	_, err = blobs.SetAccessPolicy(t.Context(), &container.SetAccessPolicyOptions{Access: &level})
	broken(err)
	bare := entry("sea", "aws/us-east-1", sea.BucketURL(seaweedfs.Bucket)+"&profile=sea", base(sea.BlobURL(seaweedfs.Bucket))) // made by hand
	gone := entry("gone", "aws/us-east-1", sea.BucketURL("gone")+"&profile=sea", base(sea.BlobURL("gone")))
	far := entry("far", "aws/eu-west-1", "s3://use1/x?region=eu-west-1&pathStyle=true&endpoint=https://"+v.tls, "https://"+v.tls+"/use1/x/")
	listed := entry("listed", "gcp/us-central1", google.BucketURL(gcs.Bucket), base(google.BlobURL(gcs.Bucket)))
	cfg["stores"] = append(cfg["stores"].(proxy.List), bare, gone, far, listed)
	cfg["client"] = proxy.Map{"behind": "google-lb"}
	cfg.Write(t, file)
	got = inspect(t, 4, env, file, args...)
	for _, want := range []string{
		front.URL + " front/registry",
		"front variables/behind",
		"s3-use1 bucket/policy/AnybodyReadsBlobsAndInventory",
		"s3-use1 bucket/versioning",
		"sea bucket/lifecycle/unfinishedUploads",
		"az bucket/publicAccess", "az clients/list",
		"gone bucket/bucket",
		"listed clients/list",
	} {
		if !slices.Contains(got.of("drift"), want) {
			t.Errorf("%s is not named: %+v", want, got)
		}
	}
	if !slices.Contains(got.of("unknown"), "far bucket/bucket") { // versitygw says only 400 of a request for another region
		t.Errorf("a bucket in another region is taken for fine: %+v", got)
	}
	for _, f := range got.Findings {
		if f.Result == "drift" && (f.Remedy == "" || f.Detail == "") {
			t.Errorf("without a remedy: %+v", f)
		}
		if f.Source == "bucket" && f.Target == "az" && f.Result == "drift" && f.What != "publicAccess" {
			t.Errorf("not broken, and named: %+v", f)
		}
	}

	// One store only, for people, with a try to write.
	ran := ctl.Run(t, ctl.Limit, env, "infra", "check", "--config", file, "--store", "s3-use1", "--try-writing")
	for _, want := range []string{"remedy: s3-use1 versioning", "writer   probe", "is not public"} {
		if !strings.Contains(ran.Stdout, want) || ran.Code != 4 {
			t.Errorf("no %q: %v", want, ran)
		}
	}
}

// TestCheckInterrupted: what was found before Ctrl-C is shown.
func TestCheckInterrupted(t *testing.T) {
	v := startVersity(t)
	hangs := make(chan struct{})
	t.Cleanup(func() { close(hangs) })
	asked := make(chan struct{}, 100)
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-hangs
	}))
	t.Cleanup(slow.CloseClientConnections)
	file := filepath.Join(t.TempDir(), "config.yaml")
	cfg := proxy.Config{
		"location":  "gcp/us-central1",
		"upstreams": proxy.List{proxy.Map{"name": "us", "url": "http://127.0.0.1:1", "place": "gcp/us-central1", "canonical": true, "insecure": true}},
		"stores":    proxy.List{v.store("use1", "https://"+v.tls)},
	}.Defaults(t)
	cfg.Write(t, file)
	running := ctl.Start(t, v.env(), "infra", "check", "--config", file, "--output", "json", "--front", slow.URL)
	<-asked
	running.Signal(syscall.SIGINT)
	ran := running.Wait(t, ctl.Limit)
	got := ctl.Decode[comparison](t, ran.Stdout)
	if ran.Code != 1 || !got.Interrupted || !slices.Contains(got.of("unknown"), slow.URL+" front/registry") {
		t.Errorf("%v %+v", ran, got)
	}
}
