package store

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// bodiless removes the body from an answer to HEAD.
type bodiless struct{ *trip }

func (b bodiless) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.trip.RoundTrip(r)
	if err == nil && r.Method == http.MethodHead {
		resp.Body, resp.ContentLength = http.NoBody, 0
	}
	return resp, err
}

// uses are the first requests that commands make of a bucket.
var uses = map[string]func(context.Context, Bucket) error{
	"check": func(ctx context.Context, b Bucket) error { return b.Check(ctx, "inventory/probe/") },
	"get": func(ctx context.Context, b Bucket) error {
		_, _, err := b.Get(ctx, "inventory/head.json", 0, -1)
		return err
	},
	"list": func(ctx context.Context, b Bucket) error {
		for _, err := range b.List(ctx, "containers/images/", "") {
			return err
		}
		return nil
	},
	"put": func(ctx context.Context, b Bucket) error {
		_, err := b.Put(ctx, "inventory/x", Bytes([]byte("x")), Header{}, "")
		return err
	},
}

// The error of a refused request has one line, with the bucket, the code and what the operator has to do.
func TestAdvice(t *testing.T) {
	s3 := func(code string) string {
		return "<Error><Code>" + code + "</Code><Message>its\nown words</Message><RequestId>1</RequestId></Error>"
	}
	google := func(reason, message string) string {
		return `{"error":{"code":0,"message":"` + message + `","errors":[{"reason":"` + reason + `","message":"m"}]}}`
	}
	for name, tt := range map[string]struct {
		kind string
		trip trip
		want []string
		is   error
		not  string // the use for which this does not hold
	}{
		"s3, no bucket":       {"s3", trip{status: 404, body: s3("NoSuchBucket")}, []string{"bucket", "create it"}, ErrUnfit, ""},
		"s3, denied":          {"s3", trip{status: 403, body: s3("AccessDenied")}, []string{"AccessDenied", "docs/mirroring.md"}, nil, ""},
		"s3, unknown key":     {"s3", trip{status: 403, body: s3("InvalidAccessKeyId")}, []string{"InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"}, ErrDenied, ""},
		"s3, wrong secret":    {"s3", trip{status: 403, body: s3("SignatureDoesNotMatch")}, []string{"SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"}, ErrDenied, ""},
		"s3, skew":            {"s3", trip{status: 403, body: s3("RequestTimeTooSkewed")}, []string{"RequestTimeTooSkewed", "clock"}, ErrDenied, ""},
		"s3, over":            {"s3", trip{status: 403, body: s3("ExpiredToken")}, []string{"ExpiredToken", "get new ones"}, ErrDenied, ""},
		"google, no bucket":   {"gs", trip{status: 404, body: google("notFound", "The specified bucket does not exist.")}, []string{"create it"}, ErrUnfit, "get"}, // to its library, the object
		"google, denied":      {"gs", trip{status: 403, body: google("forbidden", "x does not have storage.objects.get access")}, []string{"forbidden", "storage.objects.get", "docs/mirroring.md"}, ErrDenied, ""},
		"google, unknown":     {"gs", trip{status: 401, body: google("authError", "Invalid Credentials")}, []string{"authError", "GOOGLE_APPLICATION_CREDENTIALS"}, ErrDenied, ""},
		"azure, no container": {"azblob", azureTrip(404, "ContainerNotFound"), []string{"ContainerNotFound", "create it"}, ErrUnfit, ""},
		"azure, wrong key":    {"azblob", azureTrip(403, "AuthenticationFailed"), []string{"AuthenticationFailed", "AZURE_STORAGE_KEY", "clock"}, ErrDenied, ""},
		"azure, denied":       {"azblob", azureTrip(403, "AuthorizationPermissionMismatch"), []string{"AuthorizationPermissionMismatch", "docs/mirroring.md"}, ErrDenied, ""},
		"azure, firewall":     {"azblob", azureTrip(403, "AuthorizationFailure"), []string{"AuthorizationFailure", "firewall"}, ErrDenied, ""},
	} {
		for use, do := range uses {
			if use == tt.not {
				continue
			}
			t.Run(name+", "+use, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					err := do(t.Context(), kindsOver(t, bodiless{&tt.trip})[tt.kind])
					if err == nil || tt.is != nil && !errors.Is(err, tt.is) {
						t.Fatalf("%v, want %v", err, tt.is)
					}
					for _, want := range append(tt.want, "b") {
						if !strings.Contains(err.Error(), want) {
							t.Errorf("%v: want %q in it", err, want)
						}
					}
					if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "somebody else") && !strings.Contains(err.Error(), "AccessDenied") {
						t.Errorf("%v", err)
					}
				})
			})
		}
	}
}

func azureTrip(status int, code string) trip {
	return trip{status: status, header: http.Header{"X-Ms-Error-Code": {code}}, body: "<Error><Code>" + code + "</Code></Error>"}
}

// The error for a bucket in another region names that region, however the service reports it.
func TestOtherRegion(t *testing.T) {
	body := func(code, more string) string {
		return "<Error><Code>" + code + "</Code><Message>m</Message>" + more + "</Error>"
	}
	for name, tt := range map[string]trip{
		"moved":             {status: 301, header: http.Header{"X-Amz-Bucket-Region": {"eu-west-7"}}, body: body("PermanentRedirect", "")},
		"for a while":       {status: 307, header: http.Header{"X-Amz-Bucket-Region": {"eu-west-7"}}, body: body("TemporaryRedirect", "")},
		"a bad request":     {status: 400, header: http.Header{"X-Amz-Bucket-Region": {"eu-west-7"}}},
		"a wrong signature": {status: 400, header: http.Header{"X-Amz-Bucket-Region": {"eu-west-7"}}, body: body("AuthorizationHeaderMalformed", "")},
		"in the body":       {status: 400, body: body("AuthorizationHeaderMalformed", "<Region>eu-west-7</Region>")},
	} {
		for use, do := range uses {
			t.Run(name+", "+use, func(t *testing.T) {
				if name == "in the body" && use == "check" {
					t.Skip("HEAD has none")
				}
				err := do(t.Context(), kindsOver(t, bodiless{&tt})["s3"])
				if err == nil || !errors.Is(err, ErrUnfit) || strings.Contains(err.Error(), "does not lie") {
					t.Fatalf("%v, want ErrUnfit", err)
				}
				for _, want := range []string{"eu-west-7", "us-east-1", "region=eu-west-7"} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%v: want %q in it", err, want)
					}
				}
			})
		}
	}
	right := trip{status: 400, header: http.Header{"X-Amz-Bucket-Region": {"us-east-1"}}}
	if err := uses["check"](t.Context(), kindsOver(t, bodiless{&right})["s3"]); err == nil || strings.Contains(err.Error(), "region") {
		t.Errorf("a bad request in the right region: %v", err)
	}
}

// Without credentials no request was sent, so the owner of the bucket is not known.
func TestUnsignedIsNotForeign(t *testing.T) {
	b := kindsOver(t, &trip{status: 200})["s3"].(*s3Bucket)
	err := b.explain(t.Context(), &credentialsError{errors.New("the helper hangs")})
	if !errors.Is(err, ErrDenied) || strings.Contains(err.Error(), "somebody else") || !strings.Contains(err.Error(), "the helper hangs") {
		t.Error(err)
	}
}
