// Package kube runs a real kube-apiserver on an etcd, on loopback, without any controller. The server validates and
// stores objects, and does nothing more with them. So a test does the work of the controllers that it needs.
//
// It knows the API's paths and how the server is started. It must not know what is stored.
package kube

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ociproxy/test/parts"
)

// token is the token of the administrator.
const token = "for-tests"

// Cluster is a running kube-apiserver.
type Cluster struct {
	URL        string
	Kubeconfig string // a file, for an administrator

	client *http.Client
	kinds  map[kind]resource // of discover
}

// Start starts etcd and kube-apiserver and waits until the server is ready.
func Start(t testing.TB) *Cluster {
	t.Helper()
	server, etcd := parts.Find(t, "kube-apiserver"), parts.Find(t, "etcd")
	dir := t.TempDir()
	store, peers, addr := "http://"+parts.FreeAddr(t), "http://"+parts.FreeAddr(t), parts.FreeAddr(t)
	parts.Start(t, parts.Spec{
		Path: etcd, Quiet: true, Abrupt: true, Ready: parts.HTTP(store+"/health", http.StatusOK),
		Args: []string{"--data-dir=" + filepath.Join(dir, "etcd"), "--listen-client-urls=" + store, "--advertise-client-urls=" + store,
			"--listen-peer-urls=" + peers, "--initial-advertise-peer-urls=" + peers, "--initial-cluster=default=" + peers},
	})
	write(t, filepath.Join(dir, "tokens.csv"), []byte(token+`,admin,admin,"system:masters"`+"\n"))
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "sa.key"), pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	_, port, _ := cut(addr)
	c := &Cluster{URL: "https://" + addr, Kubeconfig: filepath.Join(dir, "kubeconfig")}
	authority := filepath.Join(dir, "certs", "apiserver.crt")
	parts.Start(t, parts.Spec{
		Path: server, Quiet: true, Abrupt: true,
		Args: []string{"--etcd-servers=" + store, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port=" + port,
			"--cert-dir=" + filepath.Dir(authority), "--token-auth-file=" + filepath.Join(dir, "tokens.csv"),
			"--authorization-mode=RBAC", "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/16",
			"--service-account-issuer=https://kubernetes.default.svc", "--service-account-signing-key-file=" + filepath.Join(dir, "sa.key"),
			"--service-account-key-file=" + filepath.Join(dir, "sa.key")},
		Ready: func() error { return c.ready(authority) },
	})
	write(t, c.Kubeconfig, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: admin, user: {token: %q}}]
contexts: [{name: test, context: {cluster: test, user: admin}}]
current-context: test
`, c.URL, authority, token))
	if err := c.discover(); err != nil {
		t.Fatal(err)
	}
	return c
}

func cut(addr string) (host, port string, ok bool) {
	i := bytes.LastIndexByte([]byte(addr), ':')
	return addr[:i], addr[i+1:], true
}

func write(t testing.TB, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// ready asks the server whether it is ready. The client trusts the certificate that the server makes at its start.
func (c *Cluster) ready(authority string) error {
	trusted, err := os.ReadFile(authority)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(trusted) {
		return fmt.Errorf("%s has no certificate yet", authority)
	}
	c.client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	status, body, err := c.do(http.MethodGet, "/readyz", "", nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("/readyz: %d: %s", status, body)
	}
	return err
}

func (c *Cluster) do(method, path, contentType string, body []byte) (int, []byte, error) {
	req, err := http.NewRequest(method, c.URL+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	return resp.StatusCode, out, err
}

// Do sends an object to a path of the API; nil sends none. The error has the server's text.
func (c *Cluster) Do(method, path string, body any) (map[string]any, error) {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	contentType := "application/json"
	if method == http.MethodPatch {
		contentType = "application/merge-patch+json"
	}
	status, out, err := c.do(method, path, contentType, data)
	if err != nil {
		return nil, err
	}
	var answer map[string]any
	if err := json.Unmarshal(out, &answer); err != nil {
		return nil, fmt.Errorf("%s %s: %d: %s", method, path, status, out)
	}
	if status >= http.StatusMultipleChoices {
		return answer, fmt.Errorf("%s %s: %d: %v", method, path, status, answer["message"])
	}
	return answer, nil
}
