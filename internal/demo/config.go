package demo

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"ociproxy/internal/key"
)

// The names of the files in the demo's directory.
const (
	configFile = "oci-proxy.yaml"
	keyFile    = "probe.key"
	rangesFile = "ranges.csv"
	hostsDir   = "certs.d"
)

var (
	//go:embed config.yaml.tmpl
	configText     string
	configTemplate = template.Must(template.New(configFile).Parse(configText))

	//go:embed ranges.csv
	rangesText []byte
)

// configInput is the data for the config file's template.
type configInput struct {
	Listen, Admin, Prefix, Blobs, Inventory string
	Published                               bool
	ProbeKey                                string // whose identities the proxy accepts; "": none
	Upstreams, Stores                       []configNode
}

// configNode is an upstream or store in the config file.
type configNode struct {
	Name, URL, Place, Serves string
	Canonical                bool
}

// writeConfig writes the proxy's config, the address ranges and a key for probes into dir, and returns the path of the
// config. A
// published demo gets its requests from the network of its container. Both are files, not values, so that users of the
// demo can read and edit them and watch the proxy reload them.
func (w *world) writeConfig(dir, listen, admin string, published bool) (string, error) {
	in := configInput{Listen: listen, Admin: admin, Published: published, Prefix: upstreamPrefix, Blobs: blobRoot + "{digest}", Inventory: inventoryRoot}
	if !published { // nobody outside a container could read the key
		private, err := key.New(filepath.Join(dir, keyFile))
		if err != nil {
			return "", fmt.Errorf("write key: %w", err)
		}
		in.ProbeKey = key.Format(key.Public(private))
	}
	for _, n := range w.nodes {
		c := configNode{Name: n.name, URL: n.url, Place: n.place, Serves: n.serves, Canonical: n.canonical}
		if n.upstream {
			in.Upstreams = append(in.Upstreams, c)
		} else {
			in.Stores = append(in.Stores, c)
		}
	}
	var text bytes.Buffer
	if err := configTemplate.Execute(&text, in); err != nil {
		return "", fmt.Errorf("write config: %w", err)
	}
	path := filepath.Join(dir, configFile)
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		return "", fmt.Errorf("write config: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, rangesFile), rangesText, 0o600); err != nil {
		return "", fmt.Errorf("write ranges: %w", err)
	}
	return path, nil
}

// writeHosts writes a containerd hosts.toml. With it, containerd pulls from the
// proxy and looks like a client at address. writeHosts returns the directory to
// pass to containerd.
func writeHosts(dir, proxy, address string) (string, error) {
	root := filepath.Join(dir, hostsDir)
	host := filepath.Join(root, proxy)
	if err := os.MkdirAll(host, 0o700); err != nil {
		return "", fmt.Errorf("write hosts.toml: %w", err)
	}
	text := fmt.Sprintf(`server = "http://%[1]s"

[host."http://%[1]s"]
  capabilities = ["pull", "resolve"]
  [host."http://%[1]s".header]
    %[2]s = [%[3]q]
`, proxy, headerForwarded, address)
	if err := os.WriteFile(filepath.Join(host, "hosts.toml"), []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write hosts.toml: %w", err)
	}
	return root, nil
}
