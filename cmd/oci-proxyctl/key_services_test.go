package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"ociproxy/internal/key"
)

// TestKeyServices: the scripts of docs/key-services.md sign what --key-command gives them. The clients of the clouds are
// real. The services are not: keyService answers as their references say.
func TestKeyServices(t *testing.T) {
	page, err := os.ReadFile(filepath.FromSlash("../../docs/key-services.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "ci.key")
	private, err := key.New(file)
	if err != nil {
		t.Fatal(err)
	}
	public := key.Format(key.Public(private))
	service := httptest.NewServer(&keyService{t: t, key: private})
	t.Cleanup(service.Close)
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("token"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_KMS": service.URL, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1",
		"AWS_CONFIG_FILE": filepath.Join(dir, "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(dir, "none"), "AWS_MAX_ATTEMPTS": "1",
		"CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS": service.URL + "/", "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": token,
		"CLOUDSDK_CONFIG": filepath.Join(dir, "gcloud"), "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
	} {
		t.Setenv(name, value)
	}
	message := bytes.Repeat([]byte("DSSEv1 \n\x00\xff"), 409) // near the bound of AWS
	for _, c := range []struct{ program, script, args string }{
		{"openssl", "sign-with-openssl.sh", file},
		{"aws", "sign-with-aws.sh", "alias/oci-proxy-config"},
		{"gcloud", "sign-with-gcloud.sh", "example global oci-proxy config 1"},
	} {
		t.Run(c.program, func(t *testing.T) {
			if _, err := exec.LookPath(c.program); err != nil {
				t.Skip(err)
			}
			text := regexp.MustCompile("(?s)```sh\n(#!/bin/sh\n# " + regexp.QuoteMeta(c.script) + " .*?)```").FindSubmatch(page)
			if text == nil {
				t.Fatalf("the page has no %s", c.script)
			}
			script := filepath.Join(dir, c.script)
			if err := os.WriteFile(script, text[1], 0o700); err != nil { //nolint:gosec // a program
				t.Fatal(err)
			}
			signer, err := newCommandSigner(script+" "+c.args, public)
			if err != nil {
				t.Fatal(err)
			}
			signature, err := signer.Sign(t.Context(), message)
			if err != nil {
				t.Fatal(err)
			}
			if !ed25519.Verify(signer.Public(), message, signature) {
				t.Errorf("%x is no signature of the message", signature)
			}
		})
	}
}

// keyService answers the requests for a signature of AWS KMS and Google Cloud KMS.
type keyService struct {
	t   *testing.T
	key ed25519.PrivateKey
}

// ServeHTTP implements [http.Handler].
func (s *keyService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		s.t.Error(err)
	}
	const resource = "projects/example/locations/global/keyRings/oci-proxy/cryptoKeys/config/cryptoKeyVersions/1"
	var answer any
	switch {
	case r.Header.Get("X-Amz-Target") == "TrentService.Sign":
		var q struct {
			KeyID            string `json:"KeyId"`
			Message          []byte
			MessageType      string
			SigningAlgorithm string
		}
		err = json.Unmarshal(text, &q)
		if err != nil || q.MessageType != "RAW" || q.SigningAlgorithm != "ED25519_SHA_512" || len(q.Message) > 4096 || q.KeyID != "alias/oci-proxy-config" {
			s.t.Errorf("AWS KMS refuses this: %.200s", text)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		answer = map[string]any{"KeyId": q.KeyID, "Signature": ed25519.Sign(s.key, q.Message), "SigningAlgorithm": q.SigningAlgorithm}
	case strings.HasSuffix(r.URL.Path, "/v1/"+resource+":asymmetricSign"):
		var q struct {
			Data       string `json:"data"` // in the URL's alphabet; Google takes both
			DataCRC32C string `json:"dataCrc32c"`
		}
		err = json.Unmarshal(text, &q)
		data, wrong := base64.URLEncoding.DecodeString(q.Data)
		if err != nil || wrong != nil || q.DataCRC32C != castagnoli(data) {
			s.t.Errorf("Google Cloud KMS refuses this: %.200s", text)
		}
		signature := ed25519.Sign(s.key, data)
		w.Header().Set("Content-Type", "application/json")
		answer = map[string]any{
			"name": resource, "signature": signature, "signatureCrc32c": castagnoli(signature), "verifiedDataCrc32c": true, "protectionLevel": "SOFTWARE",
		}
	default:
		s.t.Errorf("%s %s", r.Method, r.URL)
		http.NotFound(w, r)
		return
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		s.t.Error(err)
	}
}

// castagnoli returns the CRC-32C of data as Google's JSON has it: decimal, in a string.
func castagnoli(data []byte) string {
	return strconv.FormatUint(uint64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))), 10)
}
