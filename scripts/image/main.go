package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ociproxy/bench/process"
)

// options has the flags.
type options struct {
	programs, platforms string
	binaries            string
	seed                string
	image, version      string
	revision, created   string
	at                  time.Time // created, parsed
	source              string
	license             string
	out                 string
	dry                 bool
}

func main() {
	os.Exit(process.Run("image", func(ctx context.Context, _ string) error { //nolint:forbidigo // this is a main
		err := run(ctx, os.Args[1:])
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}))
}

func run(ctx context.Context, args []string) error {
	var opt options
	f := flag.NewFlagSet("image", flag.ContinueOnError)
	f.StringVar(&opt.programs, "programs", "oci-proxy oci-proxyctl oci-proxy-demo oci-doctor",
		"the `programs`, separated by spaces")
	f.StringVar(&opt.platforms, "platforms", "linux/amd64 linux/arm64", "the `platforms`, separated by spaces")
	f.StringVar(&opt.binaries, "binaries", "dist/binaries", "`directory` with OS/ARCHITECTURE/PROGRAM")
	f.StringVar(&opt.seed, "seed", "",
		"`directory` of feeds for the server's image, as oci-proxyctl ranges fetch makes it; none: without feeds")
	f.StringVar(&opt.image, "image", "",
		"`name` to push to: registry/oci-proxy:tag, the other programs beside it; empty: write OCI layouts")
	f.StringVar(&opt.version, "version", "", "`version` of the programs")
	f.StringVar(&opt.revision, "revision", "", "`commit` that the programs are built from")
	f.StringVar(&opt.created, "created", "",
		"`time` of the commit, as 2026-01-02T03:04:05Z: that of all files, so that the images can be made again")
	f.StringVar(&opt.source, "source", "", "`URL` of the source, for a label")
	f.StringVar(&opt.license, "license", "LICENSE", "`file` with the licence")
	f.StringVar(&opt.out, "out", "dist/image", "`directory` for OCI layouts, one for each program")
	f.BoolVar(&opt.dry, "dry-run", false, "make the images and print their digests; write and push nothing")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	var err error
	if opt.at, err = time.Parse(time.RFC3339, opt.created); err != nil {
		return fmt.Errorf("-created: %w", err)
	}
	programs := strings.Fields(opt.programs)
	targets, err := targets(opt.image, programs)
	if err != nil {
		return err
	}
	all, err := opt.build(programs)
	if err != nil {
		return err
	}
	for i, b := range all {
		var where string
		switch {
		case opt.dry:
			where = "not written: dry run"
		case opt.image != "":
			if err := push(ctx, b, targets[i]); err != nil {
				return err
			}
			where = targets[i].String() + "@" + b.index.Digest.String()
		default:
			where = filepath.Join(opt.out, b.program)
			if err := writeLayout(b, where, opt.version); err != nil {
				return err
			}
		}
		fmt.Printf("%s  %s\n    %s\n", b.program, where, b.summary())
	}
	return nil
}
