package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config/edit"
	"ociproxy/internal/fronts"
)

// fronting holds the flags of the commands about fronts.
type fronting struct {
	file    string
	roots   []string
	servers []string
	wait    time.Duration
	dry     bool
}

// askEvery is the pause between two rounds of questions to the name servers.
const askEvery = 5 * time.Second

func (a *app) front() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "front",
		Short: "Switch a front of the registry's name off and on",
		Long: `The registry's name can have several fronts, each in another cloud, and two DNS providers that serve
the name. front works on the file that says which fronts are on. Terraform tells both providers what
the file says. docs/two-fronts.md explains it.`,
		Example: `  oci-proxyctl front ls --fronts dns/fronts.auto.tfvars.json
  oci-proxyctl front off gcp --fronts dns/fronts.auto.tfvars.json --wait 10m
  oci-proxyctl front on gcp --fronts dns/fronts.auto.tfvars.json --wait 10m`,
	}, a.frontLs(), a.frontSwitch(false), a.frontSwitch(true))
}

func frontsFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "fronts", "fronts.auto.tfvars.json", "`file` of fronts, which Terraform reads")
	_ = cmd.MarkFlagFilename("fronts", "json") // just defined
}

func (a *app) frontLs() *cobra.Command {
	var f fronting
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the fronts of the registry's name",
		Long: `ls shows the fronts of the file: whether each is on, and its share of the answers while all are
healthy.`,
		Example: `  oci-proxyctl front ls --fronts dns/fronts.auto.tfvars.json`,
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return a.listFronts(f) },
	}
	frontsFlag(cmd, &f.file)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd)
	return cmd
}

// frontState is one front in the JSON document of front ls. Only add fields; never remove one.
type frontState struct {
	Name      string   `json:"name"`
	On        bool     `json:"on"`
	Weight    int      `json:"weight"`
	Share     float64  `json:"share"` // of the answers, 0 to 1
	Addresses []string `json:"addresses"`
}

func (a *app) listFronts(f fronting) error {
	_, is, err := readFronts(f.file)
	if err != nil {
		return err
	}
	list := []frontState{}
	t := cli.Table{Header: []string{"FRONT", "ON", "WEIGHT", "SHARE", "ADDRESSES"}}
	for _, name := range is.Names() {
		front := is.Fronts[name]
		s := frontState{Name: name, On: *front.On, Weight: front.Weight, Share: is.Share(name), Addresses: []string{}}
		for _, addr := range append(front.IPv4, front.IPv6...) {
			s.Addresses = append(s.Addresses, addr.String())
		}
		list = append(list, s)
		t.Row(name, map[bool]string{true: "on", false: "off"}[s.On], fmt.Sprint(s.Weight), fmt.Sprintf("%.0f%%", 100*s.Share),
			strings.Join(s.Addresses, " "))
	}
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, list)
	}
	_, err = t.WriteTo(a.stdout)
	return err
}

func (a *app) frontSwitch(on bool) *cobra.Command {
	var f fronting
	word, short, what := "off", "Take a front out of DNS", `off takes the addresses of a front out of DNS. It changes the one word "on" of the front in the file,
and no other byte. Then it prints the command that tells each DNS provider. The providers do not
depend on each other: when the control plane of one cloud is down, run the command of the other.
off refuses to take out the last front.`
	if on {
		word, short, what = "on", "Put a front back into DNS", `on puts the addresses of a front back into DNS, with the weight that it had. It changes the one word
"on" of the front in the file, and no other byte. Then it prints the command that tells each DNS
provider.`
	}
	cmd := &cobra.Command{
		Use:   word + " NAME",
		Short: short,
		Long: what + `

With --wait the command then asks all name servers of the zone until they follow. Meanwhile run the
printed commands in another terminal. Clients follow after at most the TTL of the addresses.`,
		Example: "  oci-proxyctl front " + word + " gcp --dry-run\n" +
			"  oci-proxyctl front " + word + " gcp --fronts dns/fronts.auto.tfvars.json --wait 10m",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.switchFront(cmd.Context(), args[0], on, f) },
	}
	frontsFlag(cmd, &f.file)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.roots, "apply-in", []string{"dns-route53", "dns-google"}, "`directory` of a root module that tells one provider, beside the file; may be repeated")
	flags.StringArrayVar(&f.servers, "name-server", nil, "`address:port` of a name server to ask, in place of those of the zone; may be repeated")
	waitFlag(cmd, &f.wait)
	dryRunFlag(cmd, &f.dry)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.ExitCode{Code: cli.CodeOK, Means: "the file says so now, or did before; with --wait all name servers follow"},
		cli.ExitCode{Code: cli.CodeFailure, Means: "the file cannot be changed, and is as it was"}, cli.Invalid,
		cli.ExitCode{Code: cli.CodePartial, Means: "the file is changed, and not all name servers follow within --wait"})
	return cmd
}

// frontSwitched is the JSON document of front off and front on. Only add fields; never remove one.
type frontSwitched struct {
	Front     string   `json:"front"`
	On        bool     `json:"on"`
	File      string   `json:"file"`
	Diff      string   `json:"diff"` // "": the file said so already
	Written   bool     `json:"written"`
	DryRun    bool     `json:"dryRun"`
	Apply     []string `json:"apply"` // one command for each provider
	TTL       int      `json:"ttl"`   // seconds
	Following bool     `json:"following"`
}

func readFronts(name string) (*edit.File, *fronts.File, error) {
	file, err := edit.Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, cli.Fail("name the file of fronts with --fronts; docs/two-fronts.md shows one", "%w", err)
	}
	if err != nil {
		return nil, nil, err
	}
	is, err := fronts.Parse(file.Text)
	if err != nil {
		return nil, nil, &cli.Error{Err: fmt.Errorf("%s: %w", name, err), Hint: "docs/two-fronts.md says what the file has", Code: cli.CodeInvalid}
	}
	return file, is, nil
}

func (a *app) switchFront(ctx context.Context, name string, on bool, f fronting) error {
	file, is, err := readFronts(f.file)
	if err != nil {
		return err
	}
	for _, s := range f.servers {
		if _, _, err := net.SplitHostPort(s); err != nil {
			return cli.Usage("for example 192.0.2.53:53", "--name-server: %w", err)
		}
	}
	share := is.Share(name)
	var wanted []netip.Addr
	if on {
		wanted = append(is.Fronts[name].IPv4, is.Fronts[name].IPv6...)
	}
	text, err := is.Switched(name, on)
	if errors.Is(err, fronts.ErrLast) {
		return cli.Fail("put another front back first, with oci-proxyctl front on", "%s: switch %s off: %w", f.file, name, err)
	}
	if err != nil {
		return cli.Usage("oci-proxyctl front ls lists the fronts", "%s: %w", f.file, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	doc := frontSwitched{Front: name, On: on, File: f.file, DryRun: f.dry, TTL: is.TTL, Apply: applyCommands(f),
		Diff: string(diff.Diff(f.file, file.Text, f.file+" (new)", text))}
	if doc.Diff != "" && !f.dry {
		if err := file.Write(text); err != nil {
			return cli.Fail(writeHint(err), "%w", err)
		}
		doc.Written = true
	}
	if a.format != cli.JSON {
		a.tellFront(&doc)
	}
	if f.wait > 0 && !f.dry {
		if is, err = fronts.Parse(text); err == nil {
			if on {
				share = is.Share(name)
			}
			err = a.followFronts(ctx, is, wanted, share, f)
		}
		doc.Following = err == nil
	}
	if a.format == cli.JSON {
		if err := cli.WriteJSON(a.stdout, doc); err != nil {
			return err
		}
	}
	return err
}

// applyCommands returns the commands that tell each provider.
func applyCommands(f fronting) (list []string) {
	dir := filepath.Dir(f.file)
	for _, root := range f.roots {
		if !filepath.IsAbs(root) {
			root = filepath.Join(dir, root)
		}
		file := f.file
		if rel, err := filepath.Rel(root, f.file); err == nil {
			file = rel
		}
		list = append(list, "tofu -chdir="+root+" apply -var-file="+file)
	}
	return list
}

func (a *app) tellFront(doc *frontSwitched) {
	word := map[bool]string{true: "on", false: "off"}[doc.On]
	switch {
	case doc.Diff == "":
		fmt.Fprintf(a.stdout, "%s is %s already in %s.\n", doc.Front, word, doc.File)
	default:
		fmt.Fprint(a.stdout, doc.Diff)
	}
	if doc.DryRun {
		fmt.Fprintln(a.stdout, "Nothing was written.")
	}
	fmt.Fprintf(a.stdout, "Tell each DNS provider. If one cannot be reached, tell the other one now:\n")
	for _, command := range doc.Apply {
		fmt.Fprintf(a.stdout, "  %s\n", command)
	}
	fmt.Fprintf(a.stdout, "Clients follow within %d s after that.\n", doc.TTL)
}

// followFronts waits until all name servers give what the file says.
func (a *app) followFronts(ctx context.Context, is *fronts.File, wanted []netip.Addr, share float64, f fronting) error {
	within, cancel := context.WithTimeout(ctx, f.wait)
	defer cancel()
	var servers []fronts.Server
	for _, s := range f.servers {
		servers = append(servers, fronts.Server{Name: "--name-server", Addr: s})
	}
	if servers == nil {
		var err error
		if servers, err = fronts.Servers(within, is.Zone); err != nil {
			return &cli.Error{Err: fmt.Errorf("look up the name servers of %s: %w", is.Zone, err),
				Hint: "name them with --name-server", Code: cli.CodePartial}
		}
	}
	p := a.progress()
	err := fronts.Follow(within, is, servers, wanted, share, askEvery, func(missing []fronts.Seen) { p.line(fronts.Told(missing)) })
	p.clear()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return &cli.Error{Err: err, Code: cli.CodePartial,
			Hint: "run the command of the provider that does not follow; if it cannot be reached, see docs/two-fronts.md"}
	}
	if a.format != cli.JSON {
		fmt.Fprintf(a.stdout, "All %d name servers follow. The last client follows within %d s.\n", len(servers), is.TTL)
	}
	return nil
}
