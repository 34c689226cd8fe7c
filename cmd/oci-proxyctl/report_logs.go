package main

import (
	"strings"

	"github.com/spf13/cobra"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/usage"
)

// logFlags are the flags of commands that read logs of stores and of the proxy.
type logFlags struct {
	logs, own, hosts    []string
	store, seed, layout string
}

func (l *logFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&l.logs, "logs", nil, "access `logs` of stores or of the proxy: a file, a pattern, s3://…, gs://…, azblob://…, or - for stdin; may be repeated")
	f.StringVar(&l.layout, "log-layout", "", "`layout` of every line, for logs that are in no known format: 'tab: time client path status sent'; docs/store-logs.md")
	f.StringArrayVar(&l.hosts, "log-host", nil, "`HOST=STORE`: a host in the logs that the config does not have, such as d111.cloudfront.net=cdn; may be repeated")
	f.StringVar(&l.store, "log-store", "", "`name` of the store that wrote logs which name no bucket and no host")
	f.StringArrayVar(&l.own, "own", nil, "`principal` whose requests are our own, as logs write it (an ARN; * at the end for any rest); may be repeated")
	f.StringVar(&l.seed, "seed", "", "`directory` of feeds, as ranges fetch writes it, in place of ranges.cache and ranges.seed")
}

// check finds flags that cannot be used, before anything is fetched or read.
func (l *logFlags) check(cfg *config.Config) error {
	if _, err := l.classifier(cfg, nil); err != nil {
		return err
	}
	_, err := l.reader()
	return err
}

// classifier makes what classifies the lines.
func (l *logFlags) classifier(cfg *config.Config, where usage.Locator) (*usage.Classifier, error) {
	opt := usage.Options{Own: l.own, Store: l.store, Hosts: map[string]string{}}
	for _, text := range l.hosts {
		host, store, ok := strings.Cut(text, "=")
		if !ok || host == "" {
			return nil, cli.Usage("for example --log-host d111.cloudfront.net=cdn", "--log-host %q is not HOST=STORE", text)
		}
		opt.Hosts[host] = store
	}
	c, err := usage.New(cfg, where, opt)
	if err != nil {
		return nil, cli.Usage("--log-store and --log-host name stores of the config", "%w", err)
	}
	return c, nil
}

// reader returns what makes the reader of the logs; nil: one that finds out the format of each line.
func (l *logFlags) reader() (func() *accesslog.Reader, error) {
	if l.layout == "" {
		return nil, nil
	}
	layout, err := accesslog.ParseLayout(l.layout)
	if err != nil {
		return nil, cli.Usage("for example --log-layout 'tab: time client path status sent', or 'json: time=KEY client=KEY path=KEY sent=KEY'", "--log-layout: %w", err)
	}
	return func() *accesslog.Reader { return &accesslog.Reader{Layout: layout} }, nil
}
