// Package azure runs Azurite, an emulator of Azure Blob Storage, with one publicly readable container.
//
// Limits of the emulator: it has one account, in no region; it copies from no URL; it compares no CRC64.
package azure

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"ociproxy/test/parts"
)

const (
	// Account and Key are the fixed credentials of every Azurite, from its manual.
	Account = "devstoreaccount1"
	Key     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
	// Container is the name of the first container.
	Container = "blobs"
)

// Store is a running server with its container.
type Store struct {
	Addr string // host:port
	URL  string // http://host:port/ACCOUNT; a blob is below /CONTAINER/

	options *container.ClientOptions
}

// Start starts an empty store.
func Start(t testing.TB) *Store {
	t.Helper()
	return start(t, "http", nil)
}

// StartOAuth starts an empty store that clients reach by HTTPS, with a certificate and its key, both files. It takes tokens
// of Entra too: it compares their issuer, audience and time, and not their signature.
func StartOAuth(t testing.TB, cert, key string, roots *x509.CertPool) *Store {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	t.Cleanup(client.CloseIdleConnections)
	return start(t, "https", client, "--oauth", "basic", "--cert", cert, "--key", key)
}

// start starts a store. A nil client is the library's own.
func start(t testing.TB, scheme string, client *http.Client, more ...string) *Store {
	t.Helper()
	parts.Find(t, "node")
	s := &Store{Addr: parts.FreeAddr(t)}
	if client != nil {
		s.options = &container.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: client}}
	}
	s.URL = scheme + "://" + s.Addr + "/" + Account
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	parts.Start(t, parts.Spec{
		Path: parts.Find(t, "azurite/node_modules/.bin/azurite-blob"),
		Args: append([]string{"--blobHost", host, "--blobPort", port, "--location", t.TempDir(), "--silent", "--disableTelemetry",
			"--skipApiVersionCheck"}, more...),
		Ready: parts.Dial("tcp", s.Addr),
	})
	s.Make(t, Container)
	return s
}

// Make makes another container.
func (s *Store) Make(t testing.TB, name string) {
	t.Helper()
	key, err := container.NewSharedKeyCredential(Account, Key)
	if err != nil {
		t.Fatal(err)
	}
	client, err := container.NewClientWithSharedKeyCredential(s.URL+"/"+name, key, s.options)
	if err != nil {
		t.Fatal(err)
	}
	anybody := container.PublicAccessTypeBlob
	if _, err := client.Create(t.Context(), &container.CreateOptions{Access: &anybody}); err != nil {
		t.Fatal(err)
	}
}

// Getenv returns environment variables with the account's key.
func Getenv(name string) string {
	if name == "AZURE_STORAGE_KEY" {
		return Key
	}
	return ""
}

// BucketURL returns the URL of a container for the config.
func (s *Store) BucketURL(name string) string {
	return "azblob://" + Account + "/" + name + "?endpoint=" + s.URL
}

// BlobURL returns the URL of a container's blobs for the proxy's config, with {digest}.
func (s *Store) BlobURL(name string) string {
	return s.URL + "/" + name + "/containers/images/{digest}"
}
