package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/ranges"
)

// seedDir is where the server's image has its feeds. The environment of the image makes it the default of ranges.seed.
const seedDir = "var/lib/oci-proxy/seed"

// feeds is what the server's image knows without a network.
type feeds struct {
	files  []file
	labels map[string]string
}

// readSeed reads the feeds of a seed directory, and nothing else in it, because an image may be public. It refuses a
// feed that the server would refuse, and a directory without feeds.
func readSeed(dir string, at time.Time) (feeds, error) {
	cfg := config.Default().Ranges
	cfg.Seed = dir
	// Each feed needs a source here, but the source is never asked.
	cfg.Feeds = append(config.UsualFeeds(), config.Feed{Provider: config.Azure, URL: "https://azure.invalid/"},
		config.Feed{Provider: config.CSV, URL: "https://csv.invalid/"})
	list, fault, err := ranges.Seed(cfg, config.Default().Map())
	if err = errors.Join(err, fault); err != nil {
		return feeds{}, err
	}
	out := feeds{labels: map[string]string{}}
	var oldest time.Time
	for _, s := range list {
		if s.Error != "" {
			return feeds{}, fmt.Errorf("feed %s: %s", s.Feed, s.Error)
		}
		if s.File == "" {
			continue
		}
		f, err := seedFile(dir, s.File, s.Fetched)
		if err != nil {
			return feeds{}, err
		}
		out.files = append(out.files, f)
		out.labels["oci-proxy.feed."+s.Feed] = s.Fetched.Format(time.RFC3339)
		if oldest.IsZero() || s.Fetched.Before(oldest) {
			oldest = s.Fetched
		}
	}
	if len(out.files) == 0 {
		return feeds{}, fmt.Errorf(
			"%s has no feed: fill it with oci-proxyctl ranges fetch, or say SEED=none for an image without feeds", dir)
	}
	out.labels["oci-proxy.feeds.fetched"] = oldest.Format(time.RFC3339)
	record, err := seedFile(dir, ranges.RecordFile, at)
	switch {
	case errors.Is(err, fs.ErrNotExist): // the archive has the dates of the files
	case err != nil:
		return feeds{}, err
	case bytes.Contains(record.data, []byte(`"file"`)):
		out.files = append(out.files, record)
	}
	return out, nil
}

func seedFile(dir, name string, at time.Time) (file, error) {
	data, err := os.ReadFile(filepath.Join(dir, name))
	return file{name: seedDir + "/" + name, mode: 0o644, at: at, data: data}, err
}
