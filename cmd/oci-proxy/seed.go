package main

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/ranges"
)

// seeded adds to doc what the directory ranges.seed has of each feed. It warns of each feed that the directory cannot
// give.
func seeded(doc *checked, cfg *config.Config) error {
	if cfg.Ranges.Seed == "" {
		return nil
	}
	list, fault, err := ranges.Seed(cfg.Ranges, cfg.Map())
	if err != nil {
		return err
	}
	warn := func(hint, format string, args ...any) {
		doc.Warnings = append(doc.Warnings, cfg.Fault("ranges.seed", hint, format, args...))
	}
	const renew = "oci-proxyctl ranges fetch fills the directory"
	if fault != nil {
		warn(renew, "%s: the dates of its files are their modification times", fault)
	}
	for _, s := range list {
		switch {
		case s.Missing:
			warn(renew, "%s has no file for the feed %s", cfg.Ranges.Seed, s.Feed)
		case s.Error != "":
			warn(renew, "the server cannot use the file of the feed %s: %s", s.Feed, s.Error)
		}
	}
	doc.Seed = list
	return nil
}

// writeSeed writes the seed as text.
func writeSeed(w io.Writer, list []ranges.Seeded) error {
	t := cli.Table{Header: []string{"SEED OF FEED", "FETCHED", "PREFIXES", "FROM"}}
	for _, s := range list {
		if s.File != "" {
			t.Row(s.Feed, fmt.Sprintf("%s (%s)", s.Fetched.Format(time.RFC3339), humanize.Time(s.Fetched)),
				humanize.Comma(int64(s.Rows)), cmp.Or(s.Source, s.File))
		}
	}
	if t.Len() == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	_, err := t.WriteTo(w)
	return err
}
