package address

import (
	"strings"
	"testing"
)

func TestPublic(t *testing.T) {
	for text, want := range map[string]string{
		"s3://layers-example?region=us-east-1":                                 "https://layers-example.s3.dualstack.us-east-1.amazonaws.com/",
		"s3://layers-example/deep/inside?region=eu-central-1&profile=x":        "https://layers-example.s3.dualstack.eu-central-1.amazonaws.com/deep/inside/",
		"s3://layers-example?region=cn-north-1":                                "https://layers-example.s3.dualstack.cn-north-1.amazonaws.com.cn/",
		"s3://layers.example.org?region=us-east-1":                             "https://s3.dualstack.us-east-1.amazonaws.com/layers.example.org/", // no wildcard certificate fits
		"s3://layers-example?region=us-east-1&pathStyle=true":                  "https://s3.dualstack.us-east-1.amazonaws.com/layers-example/",
		"s3://layers?region=x&endpoint=https://objects.example.org":            "https://layers.objects.example.org/",
		"s3://layers?region=x&endpoint=https://objects.example.org:9000/":      "https://layers.objects.example.org:9000/",
		"s3://layers?region=x&endpoint=http://127.0.0.1:9000":                  "http://127.0.0.1:9000/layers/",
		"s3://layers?region=x&endpoint=http://[::1]:9000":                      "http://[::1]:9000/layers/",
		"s3://layers/a?region=x&endpoint=http://localhost:9000&pathStyle=true": "http://localhost:9000/layers/a/",
		"gs://layers": "https://storage.googleapis.com/layers/",
		"gs://layers/a?endpoint=http://127.0.0.1:4443":           "http://127.0.0.1:4443/layers/a/",
		"azblob://account/container":                             "https://account.blob.core.windows.net/container/",
		"azblob://account/container/a/b":                         "https://account.blob.core.windows.net/container/a/b/",
		"azblob://account/c?endpoint=http://127.0.0.1:1/account": "http://127.0.0.1:1/account/c/",
	} {
		b, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := b.Public(); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
}

// A bucket without a public URL that its own URL could tell.
func TestNotPublic(t *testing.T) {
	for text, want := range map[string]string{
		"s3://layers": "the URL has no region",
		"s3://layers?region=auto&endpoint=https://0123.r2.cloudflarestorage.com": "only under a domain of yours",
		"s3://layers?region=x&endpoint=objects.example.org":                      "want https://HOST",
		"file:///srv/layers":                 "it has no URL",
		"s3://layers?region=host.example%2F": "no region whose hosts are known",
		"s3://layers?region=US-EAST-1":       "no region whose hosts are known",
		"s3://layers?region=us-iso-east-1":   "no region whose hosts are known",
		"s3://layers?region=eusc-de-east-1":  "no region whose hosts are known",
	} {
		b, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := b.Public(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want an error with %q", text, got, err, want)
		}
	}
}

// What is wrong with a URL, without a secret in the message.
func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"ftp://x":                `unknown scheme "ftp"`,
		"s3://":                  "want s3://NAME",
		"gs:///x":                "want gs://NAME",
		"azblob://account":       "want azblob://ACCOUNT/CONTAINER",
		"file://host/dir":        "want file:///DIR",
		"s3://b?pathStyle=maybe": "want true or false",
		"s3://b/a//b":            "empty or dot segment",
		"s3://b?SECRET=SECRET":   `unknown parameter "SECRET": region`,
		"gs://b?region=x":        `unknown parameter "region"`,
		"s3://user:SECRET@b":     "credentials do not belong in the URL",
		"s3://b?endpoint=https://user:SECRET@host":  "credentials do not belong in the URL",
		"s3://user:SECRET@b:port":                   "credentials do not belong in it",
		"s3://b?endpoint=https://host:SECRET":       "endpoint: not a URL",
		"s3://b?region=us-east-1&pathStyle=SECRET1": "want true or false",
		"gs://b#1":                       "has a fragment",
		"s3://b?region=us-east-1#SECRET": "has a fragment",
		"s3://b?region=x&region=y":       `the parameter "region" stands twice`,
		"s3://b:8080?region=x":           "has a port",
		"azblob://account:1/container":   "has a port",
	} {
		_, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
		if err != nil && strings.Contains(strings.ReplaceAll(err.Error(), `parameter "SECRET"`, ""), "SECRET") {
			t.Errorf("%s: the message tells the secret: %v", text, err)
		}
	}
}
