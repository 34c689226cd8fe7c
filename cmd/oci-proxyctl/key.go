package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/key"
)

func (a *app) key() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "key",
		Short: "Make keys for probes and records",
		Long: `key makes and shows the ed25519 keys with which operators sign probe requests, records, and what
config publishes.

The private key is a file. It stays with the person or job that signs. The public key is a line of
text. It goes into configs, and to those who verify records.`,
		Example: `  oci-proxyctl key new probe.key
  oci-proxyctl key show probe.key
  oci-proxyctl key new root.key --output json | jq -r .public`,
	}, a.keyNew(), a.keyShow())
}

func (a *app) keyNew() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new FILE",
		Short: "Make a private key, and print its public key",
		Long: `new writes a new private key to FILE, which only its owner can read, and prints the public key.
It never replaces a file. The file has the format that openssl genpkey -algorithm ed25519 writes.`,
		Example: `  oci-proxyctl key new probe.key
  oci-proxyctl key new /etc/oci-proxy/probe.key --output json`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			private, err := key.New(args[0])
			if errors.Is(err, fs.ErrExist) {
				return cli.Fail("name a file that does not exist; key show prints the public key of this one", "%s exists, and is not replaced", args[0])
			}
			if err != nil {
				return fmt.Errorf("make key: %w", err)
			}
			return a.writeKey(args[0], private, true)
		},
	}
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd)
	return cmd
}

func (a *app) keyShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Print the public key and the id of a private key",
		Long: `show reads the private key in FILE, and prints its public key and its id. It never prints the
private key.`,
		Example: `  oci-proxyctl key show probe.key`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			private, err := key.Read(args[0])
			if err != nil {
				return cli.Fail("key new FILE makes a key", "read key: %w", err)
			}
			return a.writeKey(args[0], private, false)
		},
	}
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd)
	return cmd
}

// shownKey is the JSON document of key new and key show. Only add fields; never remove one.
type shownKey struct {
	File   string `json:"file"`   // with the private key
	Public string `json:"public"` // in base64
	ID     string `json:"id"`
}

// writeKey prints the public half of a key and, for a new one, what to do with it.
func (a *app) writeKey(file string, private ed25519.PrivateKey, made bool) error {
	public := key.Public(private)
	doc := shownKey{File: file, Public: key.Format(public), ID: key.ID(public)}
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, doc)
	}
	t := cli.Table{}
	t.Row("public key", doc.Public)
	t.Row("id", doc.ID)
	if _, err := t.WriteTo(a.stdout); err != nil || !made {
		return err
	}
	_, err := fmt.Fprintf(a.stdout, `
%[1]s has the private key. Keep it secret: give it only to the commands that sign, which are
oci-proxyctl probe --identity, oci-proxyctl store admit --sign-with, and those with --key.

To let a server accept probes of this key, add the public key to its config, with a name of yours:
  probe:
    keys:
      - {name: ops, key: %[2]q}
To let somebody verify records of this key, give them the public key:
  oci-proxyctl record verify FILE --trust %[2]s
To publish configs or overrides with this key, or to trust it as a root key: docs/publication.md.
`, file, doc.Public)
	return err
}
