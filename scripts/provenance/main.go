// Command provenance writes an in-toto statement with a SLSA provenance predicate. It says what a release was built
// from: the digests of all its files, the commit, the toolchain and who built it. `make release` signs it
// (scripts/sign.sh).
//
//	provenance -checksums dist/checksums.txt -version v1.2.3 -out dist/provenance.json
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Getenv, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "provenance: %v\n", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
	flags := flag.NewFlagSet("provenance", flag.ContinueOnError)
	flags.SetOutput(stderr)
	checksums := flags.String("checksums", "", "`file` with the SHA-256 and the name of each file of the release")
	version := flags.String("version", "", "`version` of the release")
	out := flags.String("out", "", "`file` to write")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *checksums == "" || *version == "" || *out == "" || flags.NArg() > 0 {
		return errors.New("it needs -checksums, -version and -out, and nothing else")
	}
	text, err := os.ReadFile(*checksums)
	if err != nil {
		return err
	}
	subjects, err := parse(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", *checksums, err)
	}
	source, err := sourceOf(ctx)
	if err != nil {
		return err
	}
	statement := newStatement(subjects, *version, source, getenv, time.Now().UTC())
	data, err := json.MarshalIndent(statement, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(*out, append(data, '\n'), 0o644)
}

// source is the input of the release.
type source struct {
	commit, remote string
	modules        string // SHA-256 of go.sum, which pins every module
}

func sourceOf(ctx context.Context) (source, error) {
	commit, err := output(ctx, "git", "rev-parse", "HEAD")
	if err != nil {
		return source{}, err
	}
	remote, _ := output(ctx, "git", "remote", "get-url", "origin") // a clone may have none
	modules, err := digestOf("go.sum")
	return source{commit: commit, remote: remote, modules: modules}, err
}

func output(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// builder returns who built the release: a workflow of GitHub by its name and ref, or otherwise some machine.
func builder(getenv func(string) string) (id, invocation string) {
	server, workflow := getenv("GITHUB_SERVER_URL"), getenv("GITHUB_WORKFLOW_REF")
	if server == "" || workflow == "" {
		return "urn:oci-proxy:builder:local", ""
	}
	return server + "/" + workflow, fmt.Sprintf("%s/%s/actions/runs/%s/attempts/%s",
		server, getenv("GITHUB_REPOSITORY"), getenv("GITHUB_RUN_ID"), getenv("GITHUB_RUN_ATTEMPT"))
}

func newStatement(
	subjects []subject, version string, src source, getenv func(string) string, finished time.Time,
) statement {
	id, invocation := builder(getenv)
	uri := "git+" + src.remote
	if src.remote == "" {
		uri = "urn:oci-proxy:source"
	}
	return statement{
		Type: "https://in-toto.io/Statement/v1", Subject: subjects, PredicateType: "https://slsa.dev/provenance/v1",
		Predicate: predicate{
			BuildDefinition: buildDefinition{
				BuildType:          "urn:oci-proxy:build:make-release:v1",
				ExternalParameters: map[string]string{"version": version},
				InternalParameters: map[string]string{"go": runtime.Version()},
				ResolvedDependencies: []resource{
					{URI: uri, Digest: map[string]string{"gitCommit": src.commit}},
					{Name: "go.sum", Digest: map[string]string{"sha256": src.modules}},
				},
			},
			RunDetails: runDetails{
				Builder:  resourceID{ID: id},
				Metadata: metadata{InvocationID: invocation, FinishedOn: finished.Truncate(time.Second)},
			},
		},
	}
}
