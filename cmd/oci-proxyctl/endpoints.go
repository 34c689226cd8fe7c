package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/endpoints"
	"ociproxy/internal/endpoints/hostlist"
	"ociproxy/internal/outbound"
	"ociproxy/internal/probe"
)

func (a *app) endpoints() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "endpoints",
		Short: "Show which hosts clients are sent to, and what changes",
		Long: `endpoints reads the list of all hosts that clients of a registry may be sent to. A server of oci-proxy
publishes it at ` + endpoints.Path + `. Use the list to open firewalls.

A list comes from one of three: the NAME of a registry, from which it is fetched over HTTPS (http on
loopback); a FILE with a list; a FILE with a config, from which the list is made.`,
		Example: `  oci-proxyctl endpoints ls registry.example.org
  oci-proxyctl endpoints diff registry.example.org config.yaml    # before you deploy it
  oci-proxyctl endpoints policy registry.example.org --tool aws`,
	}, a.endpointsLs(), a.endpointsDiff(), a.endpointsPolicy())
}

func (a *app) endpointsLs() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "ls [NAME|FILE]",
		Short: "Show the hosts that clients may be sent to",
		Long: `ls shows each host with its port, what it is for, its IP families, who runs it, and the announced
dates from when and until when clients are sent to it. Without an argument it shows what the config
publishes. With --output json it prints the list as it is published.`,
		Example: `  oci-proxyctl endpoints ls registry.example.org
  oci-proxyctl endpoints ls --config config.yaml --output json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := a.listOf(cmd.Context(), args, file)
			if err != nil {
				return err
			}
			if a.format == cli.JSON {
				_, err = a.stdout.Write(l.Text())
				return err
			}
			return writeEndpoints(a.stdout, l)
		},
	}
	cli.ConfigFlag(cmd, &file, a.env)
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.Invalid)
	return cmd
}

func writeEndpoints(w io.Writer, l *endpoints.List) error {
	t := cli.Table{Header: []string{"HOST", "PORT", "KIND", "FAMILIES", "PROVIDER", "FROM", "UNTIL"}}
	for i := range l.Endpoints {
		e := &l.Endpoints[i]
		t.List(e.Host, fmt.Sprint(e.Port), string(e.Kind), dash(strings.Join(e.Families, " ")), dash(strings.TrimSuffix(e.Provider+"/"+e.Region, "/")),
			announcedDate(e.Since), announcedDate(e.Until))
	}
	if _, err := t.WriteTo(w); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nversion %s\n", l.Version)
	if l.NoticeSeconds > 0 && err == nil {
		_, err = fmt.Fprintf(w, "new hosts are announced %s ahead\n", endpoints.Days(l.Notice()))
	}
	return err
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// announcedDate leaves out a time of 00:00 UTC.
func announcedDate(t time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case t.Equal(t.Truncate(24 * time.Hour)):
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339)
}

// endpointChanges is the JSON document of endpoints diff. Only add fields; never remove one.
type endpointChanges struct {
	Old     string             `json:"old"` // versions
	New     string             `json:"new"`
	Changes []endpoints.Change `json:"changes"`
}

func (a *app) endpointsDiff() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show which hosts come, go or change between two lists",
		Long: `diff shows the hosts that only NEW has (+), those that only OLD has (-), and those that differ (!).
If the lists promise a notice (endpoints.notice of the config), it warns of each host that comes or
goes with less. OLD and NEW are each the NAME of a registry or a FILE with a list or a config.`,
		Example: `  oci-proxyctl endpoints diff registry.example.org config.yaml
  oci-proxyctl endpoints diff yesterday.json registry.example.org --output json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return cli.Usage("for example oci-proxyctl endpoints diff registry.example.org config.yaml", "want two lists, got %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var lists [2]*endpoints.List
			for i, arg := range args {
				var err error
				if lists[i], _, err = a.published(cmd.Context(), arg); err != nil {
					return err
				}
			}
			doc := endpointChanges{Old: lists[0].Version, New: lists[1].Version, Changes: endpoints.Diff(lists[0], lists[1], time.Now())}
			if doc.Changes == nil {
				doc.Changes = []endpoints.Change{}
			}
			if err := a.writeChanges(&doc); err != nil {
				return err
			}
			if len(doc.Changes) > 0 {
				return cli.Exit(cli.CodeDifferent)
			}
			return nil
		},
	}
	cli.OutputFlag(cmd, &a.format)
	cli.Exits(cmd, cli.Invalid, cli.ExitCode{Code: cli.CodeDifferent, Means: "the lists differ"})
	return cmd
}

func (a *app) writeChanges(doc *endpointChanges) error {
	if a.format == cli.JSON {
		return cli.WriteJSON(a.stdout, doc)
	}
	var out bytes.Buffer
	mark := map[string]string{endpoints.Added: "+", endpoints.Removed: "-", endpoints.Changed: "!"}
	for i := range doc.Changes {
		c := &doc.Changes[i]
		e := &c.Endpoint
		fmt.Fprintf(&out, "%s %s  %s%s\n", mark[c.What], e.Address(), e.Kind, changeDetail(c))
		if c.Warning != "" {
			fmt.Fprintf(a.stderr, "warning: %s: %s\n", e.Address(), c.Warning)
		}
	}
	if len(doc.Changes) == 0 {
		out.WriteString("the lists have the same hosts\n")
	}
	_, err := a.stdout.Write(out.Bytes())
	return err
}

// changeDetail says what matters about a change: the bucket, the dates, and the fields that differ.
func changeDetail(c *endpoints.Change) string {
	e, text := &c.Endpoint, ""
	if e.Bucket != "" {
		text += "  " + e.Bucket + "/" + e.Objects
	}
	if !e.Since.IsZero() {
		text += "  from " + announcedDate(e.Since)
	}
	if !e.Until.IsZero() {
		text += "  until " + announcedDate(e.Until)
	}
	if len(c.Keys) > 0 {
		text += "  (" + strings.Join(c.Keys, ", ") + ")"
	}
	return text
}

// policies are the values of --for.
var policies = []string{"hosts", "squid", "aws"}

func (a *app) endpointsPolicy() *cobra.Command {
	var file string
	tool := policies[0]
	cmd := &cobra.Command{
		Use:   "policy [NAME|FILE]",
		Short: "Print the list for a firewall, a proxy or a VPC endpoint",
		Long: `policy prints the hosts in the form that a tool reads:

  --tool hosts   one host on each line, with its port unless that is 443
  --tool squid   a file for Squid: acl registry dstdomain "/etc/squid/registry.txt". It has no
                ports: a warning names those besides 443
  --tool aws     a policy for a VPC endpoint of Amazon S3, with the registry's buckets

Without an argument it prints what the config publishes.`,
		Example: `  oci-proxyctl endpoints policy registry.example.org
  oci-proxyctl endpoints policy registry.example.org --tool aws > policy.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			write := map[string]func(*endpoints.List) ([]byte, error){
				"hosts": func(l *endpoints.List) ([]byte, error) { return textLines(l.Addresses()), nil },
				"squid": func(l *endpoints.List) ([]byte, error) { return textLines(l.Squid()), nil },
				"aws":   (*endpoints.List).Policy,
			}[tool]
			if write == nil {
				return cli.Usage("want "+strings.Join(policies, ", "), "--tool %q is no tool", tool)
			}
			l, err := a.listOf(cmd.Context(), args, file)
			if err != nil {
				return err
			}
			text, err := write(l)
			if errors.Is(err, endpoints.ErrNoBuckets) {
				return cli.Fail("no VPC endpoint is needed; --tool hosts lists the hosts", "%w", err)
			}
			if err != nil {
				return err
			}
			if tool == "squid" {
				for _, port := range l.OtherPorts() {
					a.warn("Squid's list of hosts has no ports: this one also needs acl Safe_ports port %[1]d, and for HTTPS acl SSL_ports port %[1]d", port)
				}
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
	cli.ConfigFlag(cmd, &file, a.env)
	cmd.Flags().StringVar(&tool, "tool", tool, "`tool` that reads the output: hosts, squid or aws")
	_ = cmd.RegisterFlagCompletionFunc("tool", cobra.FixedCompletions(policies, cobra.ShellCompDirectiveNoFileComp))
	cli.FormerFlag(cmd, "for", "tool")
	cli.Exits(cmd, cli.Invalid)
	return cmd
}

func textLines(list []string) []byte {
	return []byte(strings.Join(list, "\n") + "\n")
}

// listOf returns the list of the argument, or without one of the config.
func (a *app) listOf(ctx context.Context, args []string, config string) (*endpoints.List, error) {
	if len(args) == 0 {
		l, err := a.publishedBy(ctx, config)
		return a.named(l, "", err)
	}
	return a.named(a.published(ctx, args[0]))
}

// named warns of a list without the registry's own name: rules that are made from it block the registry. Its parameters
// are the results of published.
func (a *app) named(l *endpoints.List, host string, err error) (*endpoints.List, error) {
	if err != nil {
		return nil, err
	}
	if lacksRegistry(l, host) {
		a.warn("the list does not have the registry's own name: allow it too. Operators list it under `names` in the config")
	}
	return l, nil
}

// lacksRegistry reports whether a list does not have the registry that has published it, on host; "" stands for any name.
// Loopback needs no firewall.
func lacksRegistry(l *endpoints.List, host string) bool {
	return !outbound.Loopback(host) && !slices.ContainsFunc(l.Endpoints, func(e endpoints.Endpoint) bool {
		return host == "" && e.Kind == endpoints.Registry || endpoints.Covers(e.Host, strings.ToLower(host))
	})
}

// published returns the list that an argument stands for: a file with a list or a config, or a registry's name. An
// argument that is no file and has a slash is a file that is missing, unless it begins like a URL. host is that of the
// registry; "" when the list comes from a file.
func (a *app) published(ctx context.Context, arg string) (l *endpoints.List, host string, err error) {
	f, err := os.Open(arg)
	switch {
	case err == nil:
		defer f.Close()
	case arg == "-" || !errors.Is(err, fs.ErrNotExist) || strings.Contains(arg, "/") && !strings.Contains(arg, "://"):
		l, err = a.publishedBy(ctx, arg) // its error is that of any config
		return l, "", err
	default:
		base, err := probe.Base(arg, nil)
		if err != nil {
			hint := "for example registry.example.org"
			if strings.HasPrefix(arg, "http://") {
				hint = "leave out http://: lists come over HTTPS, and over http from loopback"
			}
			return nil, "", cli.Usage(hint, "%q is neither a file nor the name of a registry: want HOST or HOST:PORT", arg)
		}
		l, err = a.fetchList(ctx, base)
		return l, base.Hostname(), err
	}
	head := make([]byte, 1)
	if n, _ := f.Read(head); n == 0 || head[0] != '{' {
		l, err = a.publishedBy(ctx, arg)
		return l, "", err
	}
	text, err := io.ReadAll(io.LimitReader(f, endpoints.MaxBytes))
	if err != nil {
		return nil, "", err
	}
	if l, err = endpoints.Parse(append(head, text...)); err != nil {
		return nil, "", cli.Fail("name a list as it is published, a config, or a registry", "read %s: %w", arg, err)
	}
	return l, "", nil
}

// publishedBy returns the list that a config publishes.
func (a *app) publishedBy(ctx context.Context, file string) (*endpoints.List, error) {
	cfg, err := a.load(file)
	if err != nil {
		return nil, a.invalid(err)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return hostlist.Main(cfg)
}

// listTimeout is how long a registry may take to send its list.
const listTimeout = 30 * time.Second

// fetchList fetches the list of the registry at base. It follows no redirect: the list must come from the name itself.
func (a *app) fetchList(ctx context.Context, base *url.URL) (*endpoints.List, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	at := base.Scheme + "://" + base.Host + endpoints.Path
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", program+"/"+cli.ThisBuild(version).Version)
	transport := outbound.New(outbound.Options{Dial: 10 * time.Second, Handshake: 10 * time.Second, Header: 10 * time.Second, HeaderBytes: 64 << 10, Decompress: true})
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: outbound.Explaining(transport), CheckRedirect: outbound.NoRedirect}
	resp, err := client.Do(r)
	if err != nil {
		return nil, cli.Fail("check the name; if it was meant to be a file, there is none", "%w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, cli.Fail("only servers of oci-proxy publish a list", "get %s: %s", at, resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, endpoints.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", at, err)
	}
	l, err := endpoints.Parse(text)
	if err != nil {
		return nil, cli.Fail("only servers of oci-proxy publish a list", "get %s: %w", at, err)
	}
	return l, nil
}
