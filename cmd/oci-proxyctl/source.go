package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/inventory/inspect"
)

// sources holds the arguments and flags that name inventories.
type sources struct {
	file   string
	stores []string
}

// flags adds --config and --store.
func (s *sources) flags(a *app, cmd *cobra.Command) {
	cli.ConfigFlag(cmd, &s.file, a.env)
	storeFlag(cmd, &s.stores)
	a.completeStores(cmd, &s.file, func(st *config.Store) bool { return st.Inventory.Enabled() })
}

// completeStores completes --store with the names of the config's stores for which fits returns true.
func (a *app) completeStores(cmd *cobra.Command, file *string, fits func(*config.Store) bool) {
	// The flag was just defined, so no error is possible.
	_ = cmd.RegisterFlagCompletionFunc("store", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		cfg, err := a.load(*file)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []string
		for i := range cfg.Stores {
			if fits(&cfg.Stores[i]) {
				names = append(names, cfg.Stores[i].Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
}

// resolve returns n sources: first those of the URLs, then those of the stores.
func (s *sources) resolve(a *app, n int, urls []string) ([]inspect.Source, error) {
	if len(urls)+len(s.stores) != n {
		return nil, cli.Usage("give URLs of inventories, or --config FILE --store NAME",
			"want %s, got %s and %s", english.Plural(n, "inventory", "inventories"), english.Plural(len(urls), "URL", "URLs"), english.Plural(len(s.stores), "store", "stores"))
	}
	var out []inspect.Source
	for _, text := range urls {
		address, err := inspect.ParseURL(text)
		if err != nil {
			return nil, cli.Usage(addressHint(err), "inventory %w", err)
		}
		out = append(out, inspect.Source{URL: address})
	}
	if len(s.stores) == 0 {
		return out, nil
	}
	if s.file == "" {
		return nil, cli.Usage("name the config with --config or OCI_PROXY_CONFIG", "--store needs a config")
	}
	cfg, err := a.load(s.file)
	if err != nil {
		return nil, a.invalid(err)
	}
	for _, name := range s.stores {
		src, err := sourceOf(cfg, name)
		if err != nil {
			return nil, err
		}
		out = append(out, src)
	}
	return out, nil
}

func addressHint(err error) string {
	switch {
	case errors.Is(err, inspect.ErrPlainHTTP):
		return "use https; of a store that is insecure: true in the config, http is read too: --config FILE --store NAME"
	case errors.Is(err, inspect.ErrTemplate):
		return "for example https://bucket.example/containers/images/{digest}"
	}
	return "for example https://bucket.example/inventory/"
}

// sourceOf returns where a store of the config publishes its inventory.
func sourceOf(cfg *config.Config, name string) (inspect.Source, error) {
	i := slices.IndexFunc(cfg.Stores, func(st config.Store) bool { return st.Name == name })
	if i < 0 {
		return inspect.Source{}, cli.Usage("the names are those below stores: in the config", "no store %q in the config", name)
	}
	st := &cfg.Stores[i]
	if !st.Inventory.Enabled() {
		return inspect.Source{}, cli.Usage("give it an inventory: {url: …} in the config, or give the URL here", "store %q has no inventory in the config", name)
	}
	return inspect.Source{URL: st.Inventory.URL, Store: name, StaleAfter: st.Inventory.StaleAfter, Blobs: st.Check}, nil
}

// load reads a config file; "-" is stdin.
func (a *app) load(file string) (*config.Config, error) {
	if file == "-" {
		data, err := io.ReadAll(a.stdin)
		if err != nil {
			return nil, fmt.Errorf("read stdin: %w", err)
		}
		return config.Parse("stdin", data)
	}
	cfg, err := config.Load(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cli.Fail("name a file that exists: as FILE, or with --config or OCI_PROXY_CONFIG", "%w", err)
	}
	return cfg, err
}

// invalid shows the user the faults of the config and returns the exit code. It returns other errors unchanged.
func (a *app) invalid(err error) error {
	faults, ok := errors.AsType[*config.Errors](err)
	if !ok {
		return err
	}
	if a.format == cli.JSON {
		if err := cli.WriteJSON(a.stderr, map[string]any{"valid": false, "errors": faults.List}); err != nil {
			return err
		}
		return cli.Exit(cli.CodeInvalid)
	}
	for _, e := range faults.List {
		fmt.Fprint(a.stderr, e.Text())
	}
	fmt.Fprintf(a.stderr, "%s: %s is invalid: %s\n", program, faults.List[0].File, english.Plural(len(faults.List), "error", "errors"))
	return cli.Exit(cli.CodeInvalid)
}
