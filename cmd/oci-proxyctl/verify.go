package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/inventory/inspect"
)

func (a *app) inventoryVerify() *cobra.Command {
	var s sources
	var v inspect.Verification
	var blobs string
	cmd := &cobra.Command{
		Use:   "verify URL",
		Short: "Find out whether a server would accept an inventory",
		Long: `verify checks an inventory as a server does that reads it for the first time: the head, the store
that it belongs to, its age, and the hash, order and count of each segment. With --random N it asks
the store for N random blobs of the list and compares their sizes. With --whole it also reads and
hashes them. --blobs, or the config, says where the blobs are.`,
		Example: `  oci-proxyctl inventory verify https://bucket.example/inventory/
  oci-proxyctl inventory verify https://bucket.example/inventory/ --random 20 \
      --blobs 'https://bucket.example/containers/images/{digest}'
  oci-proxyctl inventory verify --config config.yaml --store s3-use1 --random 5 --whole --output json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			src, err := s.resolve(a, 1, args)
			if err != nil {
				return err
			}
			if err := sampling(&src[0], v, blobs); err != nil {
				return err
			}
			return a.runVerify(cmd.Context(), src[0], v)
		},
	}
	s.flags(a, cmd)
	f := cmd.Flags()
	f.StringVar(&blobs, "blobs", "", "`URL` of a blob, with {digest} in it; default: as the config says")
	f.IntVar(&v.Sample, "random", 0, "`number` of random blobs of the list to ask the store for")
	cli.FormerFlag(cmd, "sample", "random")
	f.BoolVar(&v.Whole, "whole", false, "read the sampled blobs and compare their digests")
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeFailure, Means: "no fault was found, but not everything could be checked"}, cli.Invalid,
		cli.ExitCode{Code: cli.CodeDifferent, Means: "the inventory has a fault"})
	return cmd
}

// maxSample is the maximum number of blobs to ask a store for.
const maxSample = 10_000

// sampling checks the flags for sampled blobs and completes src.
func sampling(src *inspect.Source, v inspect.Verification, blobs string) error {
	if blobs != "" {
		var err error
		if src.Blobs, err = inspect.ParseTemplate(blobs); err != nil {
			return cli.Usage(addressHint(err), "--blobs %w", err)
		}
	}
	switch {
	case v.Sample < 0 || v.Sample > maxSample:
		return cli.Usage("for example --random 20", "--random %d is not in 0 to %d", v.Sample, maxSample)
	case v.Sample > 0 && src.Blobs == "":
		return cli.Usage("for example --blobs 'https://bucket.example/containers/images/{digest}', or --config FILE --store NAME",
			"--random needs to know where blobs are")
	case v.Whole && v.Sample == 0:
		return cli.Usage("for example --random 5 --whole", "--whole needs --random")
	}
	return nil
}

func (a *app) runVerify(ctx context.Context, src inspect.Source, v inspect.Verification) error {
	p := a.progress()
	r, err := inspect.Verify(ctx, src, v, inspect.Options{Progress: p.show})
	p.clear()
	if err != nil {
		return err
	}
	if a.format == cli.JSON {
		err = cli.WriteJSON(a.stdout, r)
	} else {
		err = a.writeReport(r)
	}
	switch {
	case err != nil:
		return err
	case r.Faults > 0:
		return cli.Exit(cli.CodeDifferent)
	case r.Unknown > 0:
		return cli.Exit(cli.CodeFailure)
	}
	return nil
}

func (a *app) writeReport(r *inspect.Report) error {
	t := cli.Table{
		Header: []string{"CHECK", "RESULT", "DETAIL"}, Color: cli.UseColor(a.stdout, a.env), Painted: 1,
		Paint: func(cell string) cli.Color {
			switch inspect.Result(cell) {
			case inspect.OK:
				return cli.Green
			case inspect.Fault:
				return cli.Red
			default:
				return cli.Yellow
			}
		},
	}
	for _, f := range r.Findings {
		detail := f.Detail
		if f.Object != "" {
			detail = f.Object + ": " + detail
		}
		t.Row(f.Check, string(f.Result), detail)
	}
	if _, err := t.WriteTo(a.stdout); err != nil {
		return err
	}
	verdict := "The inventory can be believed."
	switch {
	case r.Faults > 0:
		verdict = fmt.Sprintf("The inventory cannot be believed: %s.", cli.Count(int64(r.Faults), "fault"))
	case r.Unknown > 0:
		verdict = fmt.Sprintf("Not known: %s without an answer.", cli.Count(int64(r.Unknown), "question"))
	}
	_, err := fmt.Fprintf(a.stdout, "\n%s\n", verdict)
	return err
}
