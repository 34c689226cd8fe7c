package main

import (
	"path/filepath"
	"slices"
	"strings"

	"ociproxy/internal/cli"
	"ociproxy/internal/config"
)

// giveFeeds makes the config read feeds from files. Each of given is "provider=FILE", where provider is the provider
// of a feed, or the cloud of a geofeed. If there are any, no copies of feeds are stored: `ranges.cache` holds the
// server's last good copies, and a file given to explain is not one of them.
func giveFeeds(cfg *config.Config, given []string) error {
	if len(given) > 0 {
		cfg.Ranges.Cache = ""
	}
	for _, g := range given {
		name, file, ok := strings.Cut(g, "=")
		if !ok || name == "" || file == "" {
			return cli.Usage("for example --feed aws=ip-ranges.json", "--feed %q is not provider=FILE", g)
		}
		abs, err := filepath.Abs(file)
		if err != nil {
			return err
		}
		if err := giveFeed(cfg, name, abs); err != nil {
			return err
		}
	}
	return nil
}

func giveFeed(cfg *config.Config, name, file string) error {
	feeds := cfg.Ranges.Feeds
	matches := func(f config.Feed) bool { return f.Cloud == name || f.Cloud == "" && string(f.Provider) == name }
	if i := slices.IndexFunc(feeds, matches); i >= 0 {
		feeds[i].File, feeds[i].URL = file, ""
		return nil
	}
	switch {
	case name == string(config.Geofeed):
		return cli.Usage("name the cloud, for example --feed linode=geofeed.csv", "--feed geofeed does not say whose it is")
	case slices.Contains(config.Provider("").Values(), name):
		cfg.Ranges.Feeds = append(feeds, config.Feed{Provider: config.Provider(name), File: file})
	case cfg.Map().HasCloud(name):
		cfg.Ranges.Feeds = append(feeds, config.Feed{Provider: config.Geofeed, Cloud: name, File: file})
	default:
		return cli.Usage("providers are "+strings.Join(config.Provider("").Values(), ", ")+"; for a geofeed name the cloud",
			"--feed %q names no provider and no cloud", name)
	}
	return nil
}
