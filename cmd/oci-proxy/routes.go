package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/edge"
)

// routing holds the flags of routes.
type routing struct {
	file, rules, of, prefix, check string
	health                         bool
}

// These are the values of --format: for people, for programs, and for each kind of front.
const (
	rulesText       = "text"
	rulesJSON       = "json"
	rulesCloudArmor = "cloud-armor"
	rulesNginx      = "nginx"
	rulesCloudFront = "cloudfront"
	rulesVCL        = "vcl"
)

var ruleFormats = []string{rulesText, rulesJSON, rulesCloudArmor, rulesNginx, rulesCloudFront, rulesVCL}

// These are the values of --for.
const (
	ofServer = "server"
	ofStore  = "store"
)

func (a *app) routes() *cobra.Command {
	var f routing
	cmd := &cobra.Command{
		Use:   "routes",
		Short: "Print the paths that the server answers, and rules for fronts",
		Long: `routes prints the paths that this version of the server answers, from the table that the server
itself uses. With --format it prints rules for the front: they let these paths through, for GET and
HEAD, and answer 404 to all others.

The rules let through what clients need. They do not let through /-/live and /-/ready, which only
the platform asks, from inside. --health adds them, for a front whose health checks come from the
internet. The admin port is another port, which must not be behind the front at all. With a config,
pages that it does not open are left out.

--for store prints the paths of a store, for a CDN in front of it: blobs by digest, and the
inventory.

A rule that exceeds a limit of its provider is an error, which names the limit. --check reads rules
from a file instead, for example those that a policy has in the end, and checks only the limits.`,
		Example: `  oci-proxy routes --config config.yaml
  oci-proxy routes --config config.yaml --format cloud-armor > edge_rules.json
  oci-proxy routes --format nginx > /etc/nginx/conf.d/oci-proxy-routes.conf
  oci-proxy routes --for store --prefix /images --format cloudfront > routes.js
  oci-proxy routes --format cloud-armor --check edge_rules.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runRoutes(cmd.Context(), f) },
	}
	cli.OptionalConfigFlag(cmd, &f.file, a.env)
	flags := cmd.Flags()
	flags.StringVar(&f.rules, "format", rulesText, "`form` of the rules: "+english.OxfordWordSeries(ruleFormats, "or"))
	flags.StringVar(&f.of, "for", ofServer, "whose paths: those of the `server`, or of a store")
	flags.StringVar(&f.prefix, "prefix", "", "`path` of the store's URL, with --for store")
	flags.BoolVar(&f.health, "health", false, "let /-/live and /-/ready through too")
	flags.StringVar(&f.check, "check", "", "check the limits of the rules in this `file`; - is stdin")
	cmd.MarkFlagsMutuallyExclusive("check", "for")
	cmd.MarkFlagsMutuallyExclusive("check", "prefix")
	cli.Exits(cmd, cli.Invalid)
	return cmd
}

func (a *app) runRoutes(ctx context.Context, f routing) error {
	switch {
	case !slices.Contains(ruleFormats, f.rules):
		return cli.Usage("the forms are "+english.OxfordWordSeries(ruleFormats, "and"), "--format %q is not known", f.rules)
	case f.of != ofServer && f.of != ofStore:
		return cli.Usage("give server or store", "--for %q is not known", f.of)
	case f.of == ofServer && f.prefix != "":
		return cli.Usage("give --for store with it", "--prefix is the path of a store's URL")
	case f.of == ofStore && f.health:
		return cli.Usage("leave --health out", "a store has no health pages")
	case f.check != "":
		return a.checkRules(f)
	}
	routes, err := a.routesOf(f)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil { // reading a config takes a while
		return err
	}
	if f.rules == rulesText {
		return a.listRoutes(routes)
	}
	if f.rules == rulesJSON {
		return cli.WriteJSON(a.stdout, routes)
	}
	open := edge.Only(routes, edge.Clients)
	if f.health {
		open = routes
	}
	if err := a.writeRules(f, open); err != nil {
		return cli.Fail("the rules exceed a limit of the front: report this with your version; until then write them by hand from --format json", "%s: %w", f.rules, err)
	}
	return nil
}

// routesOf returns the routes that the flags ask for.
func (a *app) routesOf(f routing) ([]edge.Route, error) {
	if f.of == ofStore {
		routes, err := edge.Store(f.prefix)
		if err != nil {
			return nil, cli.Usage("give the path of the store's URL, without a slash at its end", "--prefix: %w", err)
		}
		return routes, nil
	}
	var cfg *config.Config
	if f.file != "" {
		var err error
		if cfg, err = a.load(f.file); err != nil {
			return nil, a.invalid(err)
		}
	}
	return edge.Server(cfg), nil
}

func (a *app) listRoutes(routes []edge.Route) error {
	t := cli.Table{Header: []string{"ROUTE", "PATH", "FOR", "OPENED BY"}}
	for _, r := range routes {
		t.Row(r.Name, r.Path, string(r.For), r.Setting)
	}
	_, err := t.WriteTo(a.stdout)
	return err
}

func (a *app) writeRules(f routing, routes []edge.Route) error {
	var text string
	var err error
	switch f.rules {
	case rulesCloudArmor:
		policy, err := edge.CloudArmor(routes)
		if err != nil {
			return err
		}
		return cli.WriteJSON(a.stdout, policy)
	case rulesNginx:
		text, err = edge.Nginx(routes)
	case rulesCloudFront:
		text, err = edge.CloudFront(routes, f.of == ofStore)
	default:
		text, err = edge.VCL(routes, f.of == ofStore)
	}
	if err == nil {
		_, err = io.WriteString(a.stdout, text)
	}
	return err
}

// checkRules checks the limits of rules that stand in a file.
func (a *app) checkRules(f routing) error {
	var text []byte
	var err error
	if f.check == "-" {
		text, err = io.ReadAll(a.stdin)
	} else {
		text, err = os.ReadFile(f.check)
	}
	if err != nil {
		return cli.Fail("name a file that exists", "--check: %w", err)
	}
	switch f.rules {
	case rulesCloudArmor:
		var policy edge.Policy
		if policy, err = edge.ParsePolicy(text); err == nil {
			err = policy.Check()
		}
	case rulesCloudFront:
		err = edge.CheckFunction(text)
	default:
		return cli.Usage("give --format cloud-armor or --format cloudfront", "--check knows no limits of --format %s", f.rules)
	}
	if err != nil {
		return cli.Fail("shorten the rules, or spread them over more", "%s: %w", f.check, err)
	}
	_, err = fmt.Fprintf(a.stdout, "%s: within the limits of %s\n", f.check, f.rules)
	return err
}
