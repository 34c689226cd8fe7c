package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"ociproxy/internal/admission"
	"ociproxy/internal/atomicfile"
	"ociproxy/internal/check"
	"ociproxy/internal/cli"
	"ociproxy/internal/envelope"
	"ociproxy/internal/key"
)

// admitting holds the flags of store admit.
type admitting struct {
	file, record, sign, bytes string
	dryRun                    bool
	opt                       admission.Options
}

func (a *app) storeAdmit() *cobra.Command {
	var f admitting
	cmd := &cobra.Command{
		Use:   "admit NAME",
		Short: "Find out whether a store may get traffic",
		Long: `admit examines a store of the config before it gets traffic, whatever its state is. It makes the
checks of oci-proxy check --live, and reads random objects of the inventory: whole, by ranges, in
parallel, and resumed after a cut. It compares the speed with that of the store's neighbours, and
makes sure that strangers can read objects and nothing else. Then it starts a private proxy on
loopback, on which only this store may serve, and pulls images there with a built-in client and with
every installed one of crane, skopeo, podman, containerd and docker. The images are those of
--image, or the first of mirror.repositories.list.

To see whether strangers can write, it tries to write one small object with a made-up name, and to
delete another one. If the store lets it write, the command removes the object. --read-only leaves
this out.

The command says first how much it asks at most, and keeps to it. It measures from where it runs, so
run it near the clients that the store will serve. Each finding names its section in
` + admission.Page + `.`,
		Example: `  oci-proxyctl store admit s3-use1 --config config.yaml --dry-run
  oci-proxyctl store admit s3-use1 --config config.yaml --image pause:3.10 --record s3-use1.json
  oci-proxyctl store admit s3-use1 --config config.yaml --record s3-use1.json --sign-with ops.key
  oci-proxyctl store admit s3-use1 --config config.yaml --client builtin --bytes 200MB --output json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return a.runAdmit(cmd.Context(), args[0], f)
		},
	}
	cli.ConfigFlag(cmd, &f.file, a.env)
	flags := cmd.Flags()
	imageFlag(cmd, &f.opt.Images)
	flags.StringArrayVar(&f.opt.Clients, "client", nil, "pull with this client only: builtin, "+strings.Join(admission.Programs(), ", ")+"; may be repeated; default: all that are installed")
	flags.IntVar(&f.opt.Objects, "objects", admission.DefaultObjects, "`number` of random objects of the inventory to read")
	flags.StringVar(&f.bytes, "bytes", humanize.IBytes(admission.DefaultBytes), "read at most this much, pulls included")
	flags.DurationVar(&f.opt.Within, "within", admission.DefaultWithin, "end after this time; a store that was not examined completely is refused")
	flags.Float64Var(&f.opt.MinSpeed, "min-speed", admission.DefaultMinSpeed, "warn when the throughput is below this `share` of the best neighbour's")
	flags.Float64Var(&f.opt.MaxFirstByte, "max-first-byte", admission.DefaultMaxFirstByte, "warn when the first byte takes this many `times` as long as at the best neighbour")
	flags.BoolVar(&f.opt.ReadOnly, "read-only", false, "do not try to write and to delete as a stranger")
	flags.StringVar(&f.record, "record", "", "write the verdict, the findings and the figures to this `file`")
	flags.StringVar(&f.sign, "sign-with", "", "sign the record with the private key in this `file`, see key new")
	dryRunFlag(cmd, &f.dryRun)
	cli.OutputFlag(cmd, &a.format)
	notNegative(cmd, "objects", "min-speed", "max-first-byte", "within")
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeOK, Means: "the store is admitted, perhaps with warnings"}, cli.Invalid,
		cli.ExitCode{Code: cli.CodeDifferent, Means: "the store is refused"})
	return cmd
}

// check validates the flags and completes the options.
func (f *admitting) check() error {
	n, err := humanize.ParseBytes(f.bytes)
	if err != nil || n < 4<<20 || n > 1<<50 {
		return cli.Usage("for example --bytes 500MB", "--bytes %q is no size of at least 4 MiB", f.bytes)
	}
	f.opt.Bytes = int64(n)
	if f.sign != "" && f.record == "" {
		return cli.Usage("name the file for the record with --record", "--sign-with needs --record")
	}
	if f.opt.Objects < 1 || f.opt.Objects > maxSample {
		return cli.Usage("for example --objects 8", "--objects %d is not in 1 to %d", f.opt.Objects, maxSample)
	}
	for _, image := range f.opt.Images {
		if err := check.ValidImage(image); err != nil {
			return cli.Usage("for example --image library/alpine:3.20", "--image: %w", err)
		}
	}
	for _, client := range f.opt.Clients {
		if client != "builtin" && !admission.ValidClient(client) {
			return cli.Usage("the clients are builtin, "+strings.Join(admission.Programs(), ", "), "--client %q is not known", client)
		}
	}
	if f.opt.Clients != nil {
		f.opt.Clients = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(f.opt.Clients))), func(c string) bool { return c == "builtin" })
		f.opt.Clients = append([]string{}, f.opt.Clients...) // not nil, which means all
	}
	return nil
}

func (a *app) runAdmit(ctx context.Context, name string, f admitting) error {
	cfg, err := a.load(f.file)
	if err != nil {
		return a.invalid(err)
	}
	c, err := candidateOf(cfg, name)
	switch {
	case err != nil:
		return err
	case c.Kind != "store":
		return cli.Usage("oci-proxy check --live examines upstreams; store ls lists the names of stores", "%s is an upstream, and only stores are admitted", name)
	}
	var private ed25519.PrivateKey
	if f.sign != "" {
		if private, err = key.Read(f.sign); err != nil {
			return cli.Fail("name a file that oci-proxyctl key new has written", "--sign-with: %w", err)
		}
	}
	opt := f.opt
	opt.Getenv, opt.Version = a.env, cli.ThisBuild(version).Version
	plan := admission.PlanOf(cfg, opt)
	if f.dryRun {
		return a.writeAdmissionPlan(name, plan)
	}
	var file *atomicfile.File // begun before the examination, which takes minutes
	if f.record != "" {
		if file, err = beginRecord(f.record); err != nil {
			return err
		}
		defer func() { _ = file.Abort() }() // nothing is left of a record that was not completed
	}
	if a.format != cli.JSON {
		fmt.Fprintf(a.stderr, "%s: %s\n", name, mostOf(plan.Most))
	}
	p := a.progress()
	opt.Progress = func(step string, so admission.Cost) {
		p.line(fmt.Sprintf("%s: %s requests, %s, %.0fs", step, humanize.Comma(so.Requests), size(so.Bytes), so.Seconds))
	}
	record, err := admission.Run(ctx, cfg, name, opt)
	p.clear()
	if err != nil {
		return err
	}
	err = a.tellAdmission(record, file, f.record, private)
	if s := namedStore(cfg, name); s != nil && record.Verdict == admission.Pass {
		a.tellCachedErrors(s)
	}
	return err
}

// beginRecord begins the file of --record.
func beginRecord(name string) (*atomicfile.File, error) {
	const hint = "name a file in a directory that exists and that you may write to"
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return nil, cli.Fail(hint, "--record: %s is a directory", name)
	}
	file, err := atomicfile.Create(name, 0o644)
	if err != nil {
		return nil, cli.Fail(hint, "--record: %w", err)
	}
	return file, nil
}

// tellAdmission prints a record, and then completes the file for it; nil: there is none. The findings are printed
// whatever happens to the file.
func (a *app) tellAdmission(r *admission.Record, file *atomicfile.File, name string, private ed25519.PrivateKey) error {
	var err error
	if a.format == cli.JSON {
		err = cli.WriteJSON(a.stdout, r)
	} else {
		err = a.writeAdmission(r)
	}
	if file != nil {
		if failed := writeRecord(r, file, private); failed != nil {
			return cli.Fail("the findings are printed; admit the store again with another --record", "write record %s: %w", name, failed)
		}
	}
	if err == nil && r.Verdict != admission.Pass {
		err = cli.Exit(cli.CodeDifferent)
	}
	return err
}

func writeRecord(r *admission.Record, file *atomicfile.File, private ed25519.PrivateKey) error {
	data, err := sealed(r, private)
	if err != nil {
		return err
	}
	if _, err := file.Write(data); err != nil {
		return err
	}
	return file.Commit()
}

// sealed returns the content of the file of --record: in an envelope if there is a key. The whole record is in its
// details.
func sealed(r *admission.Record, private ed25519.PrivateKey) ([]byte, error) {
	details, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	is := envelope.Record{
		Kind: envelope.Admission, Version: envelope.RecordVersion, Made: r.Made, By: envelope.Tool(r.By),
		Subject: envelope.Subject{Store: r.Subject.Store, URL: r.Subject.URL, Stanza: r.Subject.Stanza},
		Verdict: envelope.Verdict(r.Verdict), Details: details,
	}
	for _, f := range r.Findings {
		is.Findings = append(is.Findings, envelope.Finding{Check: f.Check, Result: string(f.Result), Detail: f.Detail})
	}
	if private == nil {
		return is.Encode()
	}
	return is.Sign(private)
}

func mostOf(c admission.Cost) string {
	return fmt.Sprintf("at most %s requests, %s and %s", humanize.Comma(c.Requests), size(c.Bytes),
		(time.Duration(c.Seconds * float64(time.Second))).Round(time.Second))
}

func (a *app) writeAdmissionPlan(name string, plan admission.Plan) error {
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, plan)
	}
	t := cli.Table{Header: []string{"WHAT", "REQUESTS", "BYTES"}}
	for _, s := range plan.Steps {
		t.Row(s.What, "≤ "+humanize.Comma(s.Requests), "≤ "+size(s.Bytes))
	}
	if _, err := t.WriteTo(a.stdout); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "\n%s: %s. Nothing was asked.\n", name, mostOf(plan.Most))
	return err
}
