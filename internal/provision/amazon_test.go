package provision

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ociproxy/internal/config"
	"ociproxy/internal/store"
)

// amazon answers as Amazon S3 does for settings. It is no stand-in for S3: only what Amazon alone does is tested with it.
type amazon struct {
	answers map[string]string // method and first query word: "status body"
	asked   []string
}

func (a *amazon) RoundTrip(req *http.Request) (*http.Response, error) {
	query, _, _ := strings.Cut(req.URL.RawQuery, "=")
	query, _, _ = strings.Cut(query, "&")
	key := req.Method + " " + query
	a.asked = append(a.asked, key)
	w := httptest.NewRecorder()
	status := http.StatusOK
	body, known := a.answers[key]
	if known && strings.HasPrefix(body, "<Error>") {
		status = http.StatusNotFound
		if strings.Contains(body, "AccessDenied") {
			status = http.StatusForbidden
		}
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
	resp := w.Result()
	resp.Request = req
	return resp, nil
}

// onAmazon returns a bucket whose service answers so.
func onAmazon(t *testing.T, answers map[string]string) (*Bucket, *amazon) {
	t.Helper()
	a := &amazon{answers: answers}
	at := parsed(t, "s3://prod-use1?region=us-east-1")
	env := map[string]string{"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_MAX_ATTEMPTS": "1"}
	opened, err := store.Open(t.Context(), "s3://prod-use1?region=us-east-1", store.Options{Owner: "123456789012", Transport: a,
		Getenv: func(name string) string { return env[name] }})
	if err != nil {
		t.Fatal(err)
	}
	of, _ := store.AsS3(opened)
	if !of.Amazon {
		t.Fatal("not Amazon")
	}
	return &Bucket{store: &config.Store{Name: "s3-use1"}, at: at, of: &s3Service{S3: of, opened: opened, at: at, store: "s3-use1"}}, a
}

// one looks at one setting.
func one(t *testing.T, b *Bucket, name string) Finding {
	t.Helper()
	for _, it := range b.of.items() {
		if it.Name == name {
			f, err := b.look(t.Context(), it, true)
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
	}
	t.Fatalf("no setting %s", name)
	return Finding{}
}

const allBlocked = `<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls>` +
	`<BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>`

// What Amazon's buckets have and no other service.
func TestLookAtAmazon(t *testing.T) {
	for name, c := range map[string]struct {
		setting string
		answers map[string]string
		state   State
		says    string // in some text of the finding
	}{
		"a new bucket blocks public policies": {"publicAccessBlock", map[string]string{"GET publicAccessBlock": allBlocked},
			Missing, "BlockPublicPolicy and RestrictPublicBuckets is switched off"},
		"a bucket of CloudFront stays closed": {"publicAccessBlock", map[string]string{"GET publicAccessBlock": allBlocked,
			"GET policy": `{"Version":"2012-10-17","Statement":[{"Sid":"CloudFrontReadsBlobsAndInventory","Effect":"Allow"}]}`}, Good, ""},
		"CloudFront reads": {"policy/" + sidRead, map[string]string{
			"GET policy": `{"Version":"2012-10-17","Statement":[{"Sid":"CloudFrontReadsBlobsAndInventory","Effect":"Allow"}]}`}, Good, "only CloudFront reads"},
		"a KMS key is left alone": {"encryption", map[string]string{"GET encryption": `<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>` +
			`<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>key-1</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>`},
			Blocked, "aws s3api put-bucket-encryption --bucket prod-use1"},
		"no right to read": {"versioning", map[string]string{"GET versioning": "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"},
			Unknown, "s3:GetBucketVersioning"},
		"a statement that may be stricter is shown before it is replaced": {"policy/" + sidTLS, map[string]string{"GET policy": `{"Version":"2012-10-17","Statement":[` +
			`{"Sid":"OnlyOverTLS","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"NumericLessThan":{"s3:TlsVersion":"1.3"}}}]}`}, Missing, "s3:TlsVersion"},
		"strangers may write": {strangers, map[string]string{"GET policy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:PutObject"}]}`},
			Blocked, "s3:PutObject"},
		"strangers of a bucket without a policy": {strangers, map[string]string{"GET policy": "<Error><Code>NoSuchBucketPolicy</Code></Error>"}, Good, ""},
		"strangers of no bucket":                 {strangers, map[string]string{"GET policy": "<Error><Code>NoSuchBucket</Code></Error>"}, Good, ""},
		"no policy":                              {"policy/" + sidTLS, map[string]string{"GET policy": "<Error><Code>NoSuchBucketPolicy</Code></Error>"}, Missing, "none"},
		"days of the operator stay": {"lifecycle/noncurrentVersions", map[string]string{"GET lifecycle": `<LifecycleConfiguration><Rule><ID>old-versions</ID><Status>Enabled</Status>` +
			`<Filter><Prefix></Prefix></Filter><NoncurrentVersionExpiration><NoncurrentDays>90</NoncurrentDays></NoncurrentVersionExpiration>` +
			`<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule></LifecycleConfiguration>`}, Good, "90 days"},
		"a rule that removes blobs is shown": {"lifecycle/noncurrentVersions", map[string]string{"GET lifecycle": `<LifecycleConfiguration><Rule><ID>clean</ID><Status>Enabled</Status>` +
			`<Filter><Prefix>containers/</Prefix></Filter><Expiration><Days>5</Days></Expiration></Rule></LifecycleConfiguration>`}, Missing, "careful"},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := onAmazon(t, c.answers)
			f := one(t, b, c.setting)
			all := strings.Join(append(f.Kept, f.Have, f.Weaker, f.Detail, f.Remedy), "\n")
			if f.State != c.state || !strings.Contains(all, c.says) {
				t.Errorf("%+v, want %s and %q", f, c.state, c.says)
			}
		})
	}
}

// Where the account forbids a public policy, the finding names who can change that.
func TestAccountForbidsPolicy(t *testing.T) {
	b, _ := onAmazon(t, map[string]string{"GET policy": "<Error><Code>NoSuchBucketPolicy</Code></Error>", "PUT policy": "<Error><Code>AccessDenied</Code><Message>" +
		"public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access</Message></Error>"})
	for _, it := range b.of.items() {
		if it.Name != "policy/"+sidRead {
			continue
		}
		f, err := b.change(t.Context(), it, Finding{})
		if err != nil || f.State != Blocked || !strings.Contains(f.Detail, "BlockPublicPolicy") ||
			!strings.Contains(f.Remedy, "aws s3control get-public-access-block --account-id 123456789012") {
			t.Errorf("%+v, %v", f, err)
		}
	}
}

// The public policy comes after the block is open, and a run that ends in between says so.
func TestOrder(t *testing.T) {
	b, _ := onAmazon(t, nil)
	position := map[string]int{}
	for i, it := range b.of.items() {
		position[it.Name] = i
	}
	if position[bucketItself] != 0 || position["ownership"] > position["publicAccessBlock"] || position["publicAccessBlock"] > position["policy/"+sidRead] {
		t.Errorf("%v", position)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Apply(ctx, func(Finding) {}); err == nil {
		t.Error("an interrupted run is no error")
	}
}
