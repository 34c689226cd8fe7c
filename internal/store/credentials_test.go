//go:build unix

package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ociproxy/internal/outbound"
	"ociproxy/internal/wait"
)

// mute returns the address of a server that takes connections and never answers.
func mute(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// alone removes all variables with credentials from the environment, and sets the given ones.
func alone(t *testing.T, env map[string]string) {
	t.Helper()
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		for _, prefix := range []string{"AWS_", "AZURE_", "GOOGLE_", "GCE_", "IDENTITY_", "MSI_"} {
			if strings.HasPrefix(name, prefix) {
				t.Setenv(name, "")
				os.Unsetenv(name)
			}
		}
	}
	t.Setenv("HOME", t.TempDir())
	for name, value := range env {
		t.Setenv(name, value)
	}
}

// serviceAccount returns a key in Google's format whose token service is at the given address.
func serviceAccount(t *testing.T, at string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{"type": "service_account", "client_email": "a@b.test", "token_uri": at,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// If a source of credentials does not answer, the request gives up, the error names the source, and a program that was
// started is killed.
func TestCredentialsThatHang(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	hang := fmt.Sprintf("sh -c 'echo $$ > %s; sleep 1000; true' | cat", pid) // cat ends when the pipe is closed
	at := mute(t)
	const s3 = "s3://b?region=us-east-1&endpoint=http://127.0.0.1:1"
	for name, tt := range map[string]struct {
		url, want string
		env       map[string]string
		process   bool
	}{
		"a program": {s3 + "&profile=p", "credential_process of profile p: sh: within", map[string]string{
			"AWS_CONFIG_FILE": file(t, "[profile p]\ncredential_process = "+hang+"\n")}, true},
		"a program, for a role": {s3 + "&profile=p", "credential_process of profile q: sh: within", map[string]string{
			"AWS_CONFIG_FILE": file(t, "[profile q]\ncredential_process = "+hang+"\n"+
				"[profile p]\nrole_arn = arn:aws:iam::111122223333:role/r\nsource_profile = q\nregion = us-east-1\n")}, true},
		"a role": {s3 + "&profile=p", "no credentials for S3", map[string]string{"AWS_ENDPOINT_URL_STS": "http://" + at,
			"AWS_CONFIG_FILE": file(t, "[profile q]\naws_access_key_id = k\naws_secret_access_key = s\n"+
				"[profile p]\nrole_arn = arn:aws:iam::111122223333:role/r\nsource_profile = q\nregion = us-east-1\n")}, false},
		"a web identity": {s3, "no credentials for S3", map[string]string{"AWS_ENDPOINT_URL_STS": "http://" + at, "AWS_REGION": "us-east-1",
			"AWS_WEB_IDENTITY_TOKEN_FILE": file(t, "token"), "AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/r"}, false},
		"a web identity, the region in the URL only": {"s3://b?region=us-east-1", "Post \"http://" + at, map[string]string{
			"AWS_ENDPOINT_URL_STS": "http://" + at, "AWS_WEB_IDENTITY_TOKEN_FILE": file(t, "token"), "AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/r"}, false},
		"the machine": {s3, "no credentials for S3", map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://" + at}, false},
		"a container": {s3, "no credentials for S3", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://" + at}, false},
		"a service account": {"gs://b", "Google's token: no credentials in time", map[string]string{
			"GOOGLE_APPLICATION_CREDENTIALS": file(t, serviceAccount(t, "http://"+at))}, false},
		"Azure's machine": {"azblob://account/b", "no token for Azure", map[string]string{
			"IDENTITY_ENDPOINT": "http://" + at, "IDENTITY_HEADER": "SECRET"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			alone(t, tt.env)
			os.Remove(pid)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var text []byte
			// On a busy machine a program is ended before it says who it is: it gets more time.
			for limit := 300 * time.Millisecond; ; limit *= 2 {
				b, err := Open(t.Context(), tt.url, Options{Timeout: limit})
				if err != nil {
					t.Fatal(err)
				}
				_, err = b.Head(ctx, "key")
				if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "SECRET") {
					t.Fatalf("%v; want %q", err, tt.want)
				}
				if !tt.process {
					return
				}
				if text, err = os.ReadFile(pid); err == nil && len(text) > 0 {
					break
				}
			}
			n, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			if err := wait.Until(ctx, 10*time.Millisecond, func() bool { return errors.Is(syscall.Kill(n, 0), syscall.ESRCH) || zombie(n) }); err != nil {
				t.Errorf("process %d lives on", n)
			}
		})
	}
}

func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(stat), ") ")
	return err != nil || strings.HasPrefix(after, "Z")
}

// A program that gives credentials is used, also as the source of credentials for a role. If a program gives none, the
// error does not contain what it wrote.
func TestCredentialProcess(t *testing.T) {
	for name, tt := range map[string]struct{ says, want string }{
		"good":       {`{"Version":1,"AccessKeyId":"AKID","SecretAccessKey":"SECRET","SessionToken":"SECRET","Expiration":"2999-01-01T00:00:00Z"}`, ""},
		"no JSON":    {`SECRET`, "it wrote no JSON"},
		"no version": {`{"AccessKeyId":"AKID","SecretAccessKey":"SECRET"}`, "version 0"},
		"no secret":  {`{"Version":1,"AccessKeyId":"AKID"}`, "no AccessKeyId or SecretAccessKey"},
	} {
		t.Run(name, func(t *testing.T) {
			alone(t, map[string]string{"AWS_CONFIG_FILE": file(t, "[profile p]\ncredential_process = cat "+file(t, tt.says)+"\n")})
			tr := &trip{status: 404}
			b, err := Open(t.Context(), "s3://b?region=us-east-1&profile=p&endpoint=http://store.test", Options{Transport: tr})
			if err != nil {
				t.Fatal(err)
			}
			_, err = b.Head(t.Context(), "key")
			if tt.want == "" {
				if !errors.Is(err, ErrNotFound) || !strings.Contains(tr.authorization, "Credential=AKID/") {
					t.Errorf("%v, signed %q", err, tr.authorization)
				}
				return
			}
			if !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("%v; want %q", err, tt.want)
			}
		})
	}
}

// Messages of the SDK appear in our log, without secrets.
func TestChatter(t *testing.T) {
	var out bytes.Buffer
	opt := Options{Logger: slog.New(slog.NewTextHandler(&out, nil))}
	opt.sdkLog().Logf("WARN", "retrying %s", "https://b.s3.amazonaws.com/k?X-Amz-Credential=AKID%2F1&X-Amz-Signature=abcdef&x=1 Authorization: AWS4-HMAC-SHA256 Credential=zzz")
	opt.sdkLog().Logf("DEBUG", "quiet")
	text := out.String()
	for _, secret := range []string{"AKID", "abcdef", "zzz", "quiet"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q in %s", secret, text)
		}
	}
	if !strings.Contains(text, "level=WARN") || !strings.Contains(text, "retrying https://b.s3.amazonaws.com/k?") || !strings.Contains(text, "x=1") {
		t.Error(text)
	}
	for _, s := range []string{`{"SecretAccessKey": "abc"}`, "sig=abc&se=1", "upload_id=abc", `"access_token":"abc"`, "Authorization: Bearer abc", "X-Amz-Security-Token=abc"} {
		if got := secrets.ReplaceAllString(s, "$1…"); strings.Contains(got, "abc") {
			t.Errorf("%s becomes %s", s, got)
		}
	}
}

// trusting is a transport whose trusted authorities can be set.
type trusting struct{ *http.Transport }

func (t trusting) Trust(roots *x509.CertPool) { t.TLSClientConfig = &tls.Config{RootCAs: roots} }

// The bucket's own transport and a given one trust the authorities of a profile's ca_bundle and of AWS_CA_BUNDLE.
func TestAuthorities(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	ca := file(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	const keys = "[profile p]\naws_access_key_id = k\naws_secret_access_key = s\n"
	for name, tt := range map[string]struct {
		env  map[string]string
		want error
	}{
		"a profile's":   {map[string]string{"AWS_CONFIG_FILE": file(t, keys+"ca_bundle = "+ca+"\n")}, ErrNotFound},
		"the variable":  {map[string]string{"AWS_CONFIG_FILE": file(t, keys), "AWS_CA_BUNDLE": ca}, ErrNotFound},
		"nobody's":      {map[string]string{"AWS_CONFIG_FILE": file(t, keys)}, nil},
		"it is no file": {map[string]string{"AWS_CONFIG_FILE": file(t, keys), "AWS_CA_BUNDLE": ca + ".no"}, os.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			alone(t, tt.env)
			for _, own := range []bool{true, false} {
				var opt Options
				t1 := trusting{outbound.New(outbound.Options{})}
				defer t1.CloseIdleConnections()
				if !own {
					opt.Transport = t1
				}
				b, err := Open(t.Context(), "s3://b?region=us-east-1&profile=p&pathStyle=true&endpoint="+s.URL, opt)
				if err == nil {
					_, err = b.Head(t.Context(), "key")
					b.(*s3Bucket).client.Options().HTTPClient.(*http.Client).CloseIdleConnections()
				}
				unknown := x509.UnknownAuthorityError{}
				if tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && !errors.As(err, &unknown) {
					t.Errorf("own transport %v: %v; want %v", own, err, tt.want)
				}
			}
		})
	}
}

// No message repeats the parts of a bucket's URL that do not belong there: they may be secret.
func TestURLKeepsSecrets(t *testing.T) {
	const secret = "topsecret99"
	for _, text := range []string{
		"s3://b?region=r&secret_key=" + secret, "gs://b?key=" + secret, "azblob://a/c?sig=" + secret, "file:///d?x=" + secret,
		"s3://user:" + secret + "@b?region=r", "s3://user:" + secret + "^@b", "s3://user:1/" + secret + "@b", "ftp://user:" + secret + "@b",
		"s3://b?region=r&endpoint=http://user:" + secret + "@h", "s3://b?region=r&endpoint=http://user:" + secret + "^@h", "gs://b?endpoint=http://user:" + secret + "@h",
		"azblob://a/c?endpoint=https://user:" + secret + "@h/a", "s3://b?region=r&pathStyle=" + secret, "s3://?region=r&endpoint=" + secret,
	} {
		_, err := Open(t.Context(), text, Options{Getenv: func(string) string { return "" }})
		if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "bucket ") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
