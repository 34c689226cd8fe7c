package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/envelope"
	"ociproxy/internal/key"
)

func (a *app) record() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "record",
		Short: "Verify and show signed records",
		Long: `record reads the records that other commands write, such as the verdict about a store. A record
is JSON. With a key it is in a signed envelope (DSSE), so that others can verify who made it.`,
		Example: `  oci-proxyctl record verify admission.json --trust 'mRrzl8…='
  oci-proxyctl record show admission.json`,
	}, a.recordVerify(), a.recordShow())
}

func (a *app) recordVerify() *cobra.Command {
	var trust []string
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Verify the signature of a record, and print the record",
		Long: `verify checks that the record in FILE has a signature by one of the keys of --trust, and prints
the record. FILE may be - for stdin. Nothing is printed of a record that is not verified; use record
show for that. The verdict in the record does not change the exit code.`,
		Example: `  oci-proxyctl record verify admission.json --trust 'mRrzl8…='
  oci-proxyctl record verify admission.json --trust "$(oci-proxyctl key show my.key -o json | jq -r .public)"`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			keys, err := trusted(trust)
			if err != nil {
				return err
			}
			return a.runRecordVerify(args[0], keys)
		},
	}
	cmd.Flags().StringArrayVar(&trust, "trust", nil, "public `key` in base64, as key show prints it, whose signatures count; may be repeated")
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd,
		cli.ExitCode{Code: cli.CodeOK, Means: "a key of --trust has signed the record"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "the file cannot be read, or is no record"},
		cli.ExitCode{Code: cli.CodeDifferent, Means: "not verified: no key of --trust has signed the record"})
	return cmd
}

func (a *app) recordShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Print a record without verifying its signature",
		Long: `show prints the record in FILE, signed or not, and which keys it says it is signed with. It verifies
nothing: anyone could have written what it prints. FILE may be - for stdin.`,
		Example: `  oci-proxyctl record show admission.json`,
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return a.runRecordShow(args[0]) },
	}
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeFailure, Means: "the file cannot be read, or is no record"})
	return cmd
}

// trusted reads the keys of --trust.
func trusted(texts []string) (keys []ed25519.PublicKey, err error) {
	if len(texts) == 0 {
		return nil, cli.Usage("give the public key of the signer: --trust KEY; record show prints a record without verifying it", "--trust is missing")
	}
	for _, text := range texts {
		public, err := key.Parse(text)
		if err != nil {
			return nil, cli.Usage("oci-proxyctl key show FILE prints the public key of a private one", "--trust %.60q: %w", text, err)
		}
		keys = append(keys, public)
	}
	return keys, nil
}

// shownRecord is the JSON document of record verify and record show. Only add fields; never remove one.
type shownRecord struct {
	Verified bool            `json:"verified"`
	Key      string          `json:"key,omitempty"`    // id of the trusted key, when verified
	Claims   []string        `json:"claims,omitempty"` // ids of the keys that the envelope names, when not verified
	Type     string          `json:"type"`
	Record   json.RawMessage `json:"record"`
}

func (a *app) runRecordVerify(file string, keys []ed25519.PublicKey) error {
	data, about, err := a.readRecord(file)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(envelope.Kinds(), func(k envelope.Kind) bool { return k.Type() == about.Type })
	if i < 0 {
		return cli.Fail("a newer oci-proxyctl may know it", "%s: unknown type of record %.100q", file, about.Type)
	}
	if about.KeyIDs == nil {
		return &cli.Error{Err: fmt.Errorf("%s: not verified: the record has no signature", file), Hint: "record show prints it", Code: cli.CodeDifferent}
	}
	_, id, err := envelope.OpenRecord(data, envelope.Kinds()[i], keys...)
	switch {
	case errors.Is(err, envelope.ErrUntrusted):
		return &cli.Error{Err: fmt.Errorf("%s: not verified: %w", file, err), Code: cli.CodeDifferent,
			Hint: "give the key of the signer with --trust, if you trust it; if you did, the record was changed after it was signed"}
	case err != nil:
		return cli.Fail("", "%s: %w", file, err)
	}
	return a.writeRecord(shownRecord{Verified: true, Key: id, Type: about.Type, Record: about.Payload}, "signed by the trusted key "+id)
}

func (a *app) runRecordShow(file string) error {
	_, about, err := a.readRecord(file)
	if err != nil {
		return err
	}
	if !json.Valid(about.Payload) {
		return cli.Fail("a record is what commands such as store admit write", "%s: the content is not JSON", file)
	}
	says := "not signed"
	if about.KeyIDs != nil {
		says = "not verified; it says that it is signed by " + cli.OneLine(strings.Join(about.KeyIDs, ", "))
	}
	return a.writeRecord(shownRecord{Claims: about.KeyIDs, Type: about.Type, Record: about.Payload}, says)
}

// readRecord reads a file and what it says about itself.
func (a *app) readRecord(file string) ([]byte, *envelope.Content, error) {
	from := a.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, nil, fmt.Errorf("read record: %w", err)
		}
		defer f.Close()
		from = f
	}
	data, err := io.ReadAll(io.LimitReader(from, envelope.MaxBytes+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read record: %w", err)
	}
	about, err := envelope.Peek(data)
	if err != nil {
		return nil, nil, cli.Fail("a record is what commands such as store admit write", "%s: %w", file, err)
	}
	return data, about, nil
}

func (a *app) writeRecord(doc shownRecord, says string) error {
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, doc)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, bytes.TrimSpace(doc.Record), "", "  "); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(a.stderr, "%s: %s\n", doc.Type, says); err != nil {
		return err
	}
	_, err := fmt.Fprintln(a.stdout, &text)
	return err
}
