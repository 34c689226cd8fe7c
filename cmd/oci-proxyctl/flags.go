package main

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ociproxy/internal/cli"
	"ociproxy/internal/shard"
)

// Flags that several commands have. A name has the same meaning, text and default in all of them.

func storeFlag(cmd *cobra.Command, stores *[]string) {
	cmd.Flags().StringArrayVarP(stores, "store", "s", nil, "only the store of this `name` in the config; may be repeated")
}

func repositoryFlag(cmd *cobra.Command, repositories *[]string) {
	cmd.Flags().StringArrayVarP(repositories, "repository", "r", nil, "only the repository of this `name`; may be repeated")
}

func waitFlag(cmd *cobra.Command, wait *time.Duration) {
	cmd.Flags().DurationVar(wait, "wait", 0, "wait at most this `time` until the change has arrived everywhere")
	notNegative(cmd, "wait")
}

func imageFlag(cmd *cobra.Command, images *[]string) {
	cmd.Flags().StringArrayVar(images, "image", nil, "`image` NAME[:TAG] or NAME@DIGEST to request, without a host; may be repeated")
}

func dryRunFlag(cmd *cobra.Command, dry *bool) {
	cmd.Flags().BoolVarP(dry, "dry-run", "n", false, "show what the command would do; write nothing")
}

func confirmFlag(cmd *cobra.Command, confirm *bool) {
	cmd.Flags().BoolVar(confirm, "confirm", false, "do it; without this flag nothing is written")
}

// outFlag adds --out to a command that makes a file.
func outFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "out", "", "write the result to this `file`")
}

// fileIsOut explains the error of --output FILE: here --output is a format, as in every command.
func fileIsOut(_ *cobra.Command, err error) error {
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok && bad.GetFlag().Name == "output" {
		return cli.Usage("--out FILE writes the result to a file", "%w", err)
	}
	return err
}

// checkFlag adds --check to a command that writes files.
func checkFlag(cmd *cobra.Command, check *bool) {
	cmd.Flags().BoolVar(check, "check", false, "write nothing; list the files that differ and exit with 4")
}

func limitFlag(cmd *cobra.Command, limit *int) {
	f := cmd.Flags()
	f.IntVar(limit, "limit", 100, "`number` of blobs, differences or findings of a class to show; 0: all")
	notNegative(cmd, "limit")
	// The letter of --limit was n, which now means a dry run. Commands without --dry-run still accept it, but help
	// hides it.
	if f.Lookup("dry-run") == nil {
		f.IntVarP(limit, "former-limit", "n", 100, "")
		_ = f.MarkHidden("former-limit") // just defined
	}
}

// strictFlag adds the --strict flag of the commands that read manifests.
func strictFlag(cmd *cobra.Command, strict *bool) {
	cmd.Flags().BoolVar(strict, "strict", false, "treat every warning about the manifests as an error")
}

// hostFlags adds the flags for requests to registries.
func hostFlags(cmd *cobra.Command, plainHTTP *[]string, rate *float64, parallel *int) {
	f := cmd.Flags()
	plainHTTPFlag(cmd, plainHTTP)
	f.Float64Var(rate, "rate", 0, "at most this many `requests` a second to each host; 0: as the config says, or 50")
	parallelFlag(cmd, parallel)
	notNegative(cmd, "rate")
}

func plainHTTPFlag(cmd *cobra.Command, hosts *[]string) {
	cmd.Flags().StringArrayVar(hosts, "plain-http", nil, "`host` to reach over plain HTTP, as loopback always is; may be repeated")
}

func everyFlag(cmd *cobra.Command, every *time.Duration) {
	cmd.Flags().DurationVar(every, "every", 0, "make a pass every `interval` until stopped")
}

// auditParallel is how many blobs of one store an audit checks at once by default.
const auditParallel = 8

// parallelFlag adds --parallel. 0 means the command's own default.
func parallelFlag(cmd *cobra.Command, parallel *int) {
	cmd.Flags().IntVar(parallel, "parallel", 0,
		"`number` of requests at once to each registry or store; 0: as the config says, or 16 (8 for audit)")
	notNegative(cmd, "parallel")
}

// shard returns the part of the work that --shard names, or else the platform.
func (a *app) shard(flag string) (shard.Shard, error) {
	if flag != "" {
		s, err := shard.Parse(flag)
		if err != nil {
			return s, cli.Usage("--shard 0/4 is the first of four parts", "%w", err)
		}
		return s, nil
	}
	s, err := shard.FromEnv(a.env)
	if err != nil {
		return s, cli.Usage("set both in the job's manifest (deploy/ has one), or give --shard", "%w", err)
	}
	return s, nil
}

// notNegative refuses negative numbers for flags of cmd. They have no meaning, and would be taken for the default.
func notNegative(cmd *cobra.Command, flags ...string) {
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		for _, name := range flags {
			if text := cmd.Flag(name).Value.String(); strings.HasPrefix(text, "-") || text == "NaN" {
				return cli.Usage("leave it out for the default", "--%s %s: it cannot be negative", name, text)
			}
		}
		if before != nil {
			return before(cmd, args)
		}
		if cmd.PreRun != nil { // cobra runs only one of the two
			cmd.PreRun(cmd, args)
		}
		return nil
	}
}
