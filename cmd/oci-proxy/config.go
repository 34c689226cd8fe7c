package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/dustin/go-humanize/english"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/publication"
)

// read is load for commands to which --config may give the URL of a publication. A publication may have overrides.
func (a *app) read(ctx context.Context, file string, p *published) (*config.Config, *publication.Overrides, error) {
	if isURL(file) {
		return a.readPublished(ctx, p, file)
	}
	cfg, err := a.load(file)
	return cfg, nil, err
}

// load reads the config file ("-" is stdin). If the config has faults, the error is a *config.Errors with all of
// them.
func (a *app) load(file string) (*config.Config, error) {
	var cfg *config.Config
	var err error
	if file == "-" {
		data, readErr := io.ReadAll(a.stdin)
		if readErr != nil {
			return nil, fmt.Errorf("read stdin: %w", readErr)
		}
		cfg, err = config.Parse("stdin", data)
	} else {
		cfg, err = config.Load(file)
	}
	if err == nil {
		cfg.DefaultSeed(a.env(config.SeedVariable))
		return cfg, nil
	}
	faults, isFaults := errors.AsType[*config.Errors](err)
	switch {
	case isFaults:
		return nil, faults
	case errors.Is(err, fs.ErrNotExist):
		return nil, cli.Fail("name a file that exists with --config or OCI_PROXY_CONFIG; examples/minimal.yaml is a start", "%w", err)
	}
	return nil, err
}

// invalid shows the user the faults of the config (as a document on stderr when the format is JSON) and returns the
// exit code. It returns other errors unchanged.
func (a *app) invalid(err error) error {
	faults, isFaults := errors.AsType[*config.Errors](err)
	if !isFaults {
		return err
	}
	if a.format == cli.JSON {
		if err := cli.WriteJSON(a.stderr, map[string]any{"valid": false, "errors": faults.List}); err != nil {
			return err
		}
		return cli.Exit(cli.CodeInvalid)
	}
	a.tell("", faults.List)
	fmt.Fprintf(a.stderr, "oci-proxy: %s is invalid: %s\n", faults.List[0].File, english.Plural(len(faults.List), "error", ""))
	return cli.Exit(cli.CodeInvalid)
}

// tell writes faults or warnings to stderr, each with its excerpt and hint.
func (a *app) tell(word string, list []*config.Error) {
	for _, e := range list {
		fmt.Fprint(a.stderr, word, e.Text())
	}
}
