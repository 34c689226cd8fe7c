package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/key"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/publish"
)

func (a *app) configKeys() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "keys",
		Short: "Show and change which keys may sign configs and overrides",
		Long: `keys shows and changes the set of keys, which the root key signs. Config keys may publish configs.
Override keys may publish overrides, and nothing else. Instances follow a change within 30 seconds,
without a restart. They know the root keys from their own --config-key.`,
		Example: `  oci-proxyctl config keys show
  oci-proxyctl config keys add --config-key ci='mRrzl8…=' --override-key oncall='x9yT0q…=' --key root.key --why "first keys"
  oci-proxyctl config keys revoke ci-2025 --key root.key --why "rotation"`,
	}, a.configKeysShow(), a.configKeysAdd(), a.configKeysRevoke())
}

// keyLine is a key in lists. Only add fields; never remove one.
type keyLine struct {
	Role string `json:"role"` // config or override
	Name string `json:"name"`
	ID   string `json:"id"`
	Key  string `json:"key"`
}

// keySet is the JSON document of config keys. Only add fields; never remove one.
type keySet struct {
	Generation   uint64    `json:"generation,omitempty"` // absent: there is no set
	Keys         []keyLine `json:"keys"`
	RevokedRoots []string  `json:"revokedRoots"`
	DryRun       bool      `json:"dryRun,omitempty"`
}

func keySetOf(k *publication.Keys) keySet {
	doc := keySet{Keys: []keyLine{}, RevokedRoots: []string{}}
	if k == nil {
		return doc
	}
	doc.Generation, doc.RevokedRoots = k.Generation, append(doc.RevokedRoots, k.RevokedRoots...)
	for role, list := range map[string][]publication.NamedKey{"config": k.Config, "override": k.Override} {
		for _, one := range list {
			line := keyLine{Role: role, Name: one.Name, Key: one.Key}
			if public, err := key.Parse(one.Key); err == nil {
				line.ID = key.ID(public)
			}
			doc.Keys = append(doc.Keys, line)
		}
	}
	slices.SortFunc(doc.Keys, func(a, b keyLine) int { return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Name, b.Name)) })
	return doc
}

func (a *app) configKeysShow() *cobra.Command {
	var at published
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Show which keys may sign",
		Long:    `show prints the keys of the set with their roles and ids. Public keys are no secret.`,
		Example: `  oci-proxyctl config keys show`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			site, state, err := a.openKeys(cmd.Context(), &at)
			if err != nil {
				return err
			}
			if state.Keys == nil && a.format != cli.JSON {
				_, err := fmt.Fprintf(a.stdout, "no set of keys at %s: the root key signs configs, and nobody can sign overrides\n", site.Bucket)
				return err
			}
			return a.writeKeys(keySetOf(state.Keys))
		},
	}
	at.flags(cmd)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd)
	return cmd
}

func (a *app) writeKeys(doc keySet) error {
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, doc)
	}
	t := cli.Table{Header: []string{"ROLE", "NAME", "ID", "KEY"}}
	for _, k := range doc.Keys {
		t.List(k.Role, k.Name, k.ID, k.Key)
	}
	if _, err := t.WriteTo(a.stdout); err != nil {
		return err
	}
	for _, id := range doc.RevokedRoots {
		fmt.Fprintf(a.stdout, "the root key %s is revoked\n", id)
	}
	end := fmt.Sprintf("generation %d; instances follow within %s", doc.Generation, inEffect)
	if doc.DryRun {
		end = "Nothing is written: --dry-run."
	}
	_, err := fmt.Fprintln(a.stdout, end)
	return err
}

func (a *app) openKeys(ctx context.Context, at *published) (*publish.Site, *publish.State, error) {
	site, err := at.open(ctx, a)
	if err != nil {
		return nil, nil, err
	}
	state, err := readSite(ctx, site)
	if err != nil {
		return nil, nil, err
	}
	if fault := state.Faults[publication.KeysName]; fault != nil {
		return nil, nil, cli.Fail("a root key of --trust must have signed it, for this deployment", "what is there cannot be believed: %w", fault)
	}
	return site, state, nil
}

// keyChange holds the flags of the commands that change the set.
type keyChange struct {
	at       published
	key      documentKey
	reason   reason
	config   []string
	override []string
	roots    []string
	dry      bool
}

func (f *keyChange) flags(a *app, cmd *cobra.Command) {
	f.at.flags(cmd)
	f.key.flags(cmd)
	f.reason.flags(cmd)
	dryRunFlag(cmd, &f.dry)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeFailure, Means: "nothing is changed: the root key is wrong, somebody else changed the keys, or the bucket cannot be used"})
}

func (a *app) configKeysAdd() *cobra.Command {
	var f keyChange
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Let keys sign configs or overrides",
		Long: `add adds keys to the set, or makes the set if there is none. A key has one role. To rotate a key,
add the new one, use it in CI, then revoke the old one.

As soon as there is a set, the root key signs only the set. So the first set needs a config key. Add
a second one that lies elsewhere, so that a lost key does not lock you out.`,
		Example: `  oci-proxyctl config keys add --config-key ci='mRrzl8…=' --config-key break-glass='pQ0c1…=' \
      --override-key oncall='x9yT0q…=' --key root.key --why "first keys"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runKeysAdd(cmd.Context(), &f) },
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.config, "config-key", nil, "`NAME=KEY` of a public key that may sign configs; may be repeated")
	fl.StringArrayVar(&f.override, "override-key", nil, "`NAME=KEY` of a public key that may sign overrides; may be repeated")
	f.flags(a, cmd)
	return cmd
}

func (a *app) configKeysRevoke() *cobra.Command {
	var f keyChange
	cmd := &cobra.Command{
		Use:   "revoke NAME…",
		Short: "Take keys out of the set",
		Long: `revoke takes keys out of the set, by the names that config keys show prints. Instances then refuse
documents that only these keys have signed, and keep what they use. So after you revoke a key, sign
the documents again with another one: config refresh.

With --root it revokes a root key by its id. Instances remember that as long as they have their
files. Sign with another root key, and take the revoked one out of the flags of the instances.`,
		Example: `  oci-proxyctl config keys revoke ci-2025 --key root.key --why "rotation"
  oci-proxyctl config keys revoke --root 39f713d0a644253f --key root2.key --why "the laptop was stolen"`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.runKeysRevoke(cmd.Context(), args, &f) },
	}
	cmd.Flags().StringArrayVar(&f.roots, "root", nil, "`id` of a root key to revoke, as key show prints it; may be repeated")
	f.flags(a, cmd)
	return cmd
}

func (a *app) runKeysAdd(ctx context.Context, f *keyChange) error {
	if len(f.config)+len(f.override) == 0 {
		return cli.Usage("--config-key NAME=KEY or --override-key NAME=KEY", "no key to add")
	}
	return a.changeKeys(ctx, f, "keys add", func(k *publication.Keys) error {
		for _, role := range []struct {
			flag  string
			texts []string
			list  *[]publication.NamedKey
		}{{"config-key", f.config, &k.Config}, {"override-key", f.override, &k.Override}} {
			for _, text := range role.texts {
				name, public, ok := strings.Cut(text, "=")
				if !ok || publication.CheckName(name) != nil {
					return cli.Usage("for example ci=mRrzl8…=, with the key that key show prints", "--%s %.100q is not NAME=KEY", role.flag, text)
				}
				if _, err := key.Parse(public); err != nil {
					return cli.Usage("key show prints the public key", "--%s %s: %w", role.flag, name, err)
				}
				for _, old := range slices.Concat(k.Config, k.Override) {
					switch {
					case old.Name == name:
						return cli.Usage("give the new key a name of its own, such as "+name+"-2", "there is a key %q already", name)
					case old.Key == public:
						return cli.Usage("a key has one role: make another with key new", "%s is the key %q already", name, old.Name)
					}
				}
				*role.list = append(*role.list, publication.NamedKey{Name: name, Key: public})
			}
		}
		return nil
	})
}

func (a *app) runKeysRevoke(ctx context.Context, names []string, f *keyChange) error {
	if len(names)+len(f.roots) == 0 {
		return cli.Usage("config keys show lists the names", "no key to revoke")
	}
	return a.changeKeys(ctx, f, "keys revoke", func(k *publication.Keys) error {
		for _, name := range names {
			n := len(k.Config) + len(k.Override)
			is := func(one publication.NamedKey) bool { return one.Name == name }
			k.Config, k.Override = slices.DeleteFunc(k.Config, is), slices.DeleteFunc(k.Override, is)
			if len(k.Config)+len(k.Override) == n {
				return cli.Usage("config keys show lists the names", "no key %q in the set", name)
			}
		}
		for _, id := range f.roots {
			if !slices.Contains(k.RevokedRoots, id) {
				k.RevokedRoots = append(k.RevokedRoots, id)
			}
		}
		return nil
	})
}

// changeKeys changes the set of keys.
func (a *app) changeKeys(ctx context.Context, f *keyChange, action string, edit func(*publication.Keys) error) error {
	if err := f.reason.check(a); err != nil {
		return err
	}
	site, state, err := a.openKeys(ctx, &f.at)
	if err != nil {
		return err
	}
	var k publication.Keys
	if state.Keys != nil {
		k = *state.Keys
		k.Config, k.Override, k.RevokedRoots = slices.Clone(k.Config), slices.Clone(k.Override), slices.Clone(k.RevokedRoots)
	}
	if err := edit(&k); err != nil {
		return err
	}
	if len(k.Config) == 0 {
		return cli.Fail("add another config key first: config keys add --config-key NAME=KEY", "no config key would be left, so that nobody could publish")
	}
	for _, root := range site.Trust.Roots {
		if text := key.Format(root); nameOfKey(slices.Concat(k.Config, k.Override), root) != "" {
			a.warn("the root key %s is also in the set: whoever has it may do everything", short(text))
		}
	}
	if len(k.Config) == 1 {
		a.warn("%s is the only config key: if it is lost, only the root key can let another one publish", k.Config[0].Name)
	}
	if len(k.Override) == 0 {
		a.warn("there is no override key: store off, drain, pin and deny are not possible")
	}
	doc := keySetOf(&k)
	if doc.DryRun = f.dry; !f.dry {
		signer, err := f.key.signer(a, rootRole)
		if err != nil {
			return err
		}
		now, err := site.SetKeys(ctx, state, signer, k)
		if err != nil {
			return writeFault(err, rootRole)
		}
		doc.Generation = now.Generation
		a.logged(ctx, site, publish.Entry{By: f.reason.by, Action: action, Generation: now.Generation, Why: f.reason.why, Detail: keyNames(now)})
	}
	if !f.dry && action == "keys revoke" && len(state.Heads) > 0 {
		a.warn("sign the documents of a revoked key again, with another one: config refresh")
	}
	return a.writeKeys(doc)
}

func keyNames(k *publication.Keys) string {
	var names []string
	for _, one := range keySetOf(k).Keys {
		names = append(names, one.Role+" "+one.Name)
	}
	text := strings.Join(names, ", ")
	if len(k.RevokedRoots) > 0 {
		text += "; revoked roots: " + strings.Join(k.RevokedRoots, ", ")
	}
	return text
}
