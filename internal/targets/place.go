package targets

import (
	"net/url"
	"strings"

	"ociproxy/internal/config"
)

// RegionOf returns where a bucket must lie, in the cloud's own word, where that can be checked: for a bucket of
// Amazon or Google at its own cloud's endpoint. Azure does not report it, and the region names of a service at
// another endpoint are not known.
func RegionOf(s *config.Store) string {
	u, err := url.Parse(s.Bucket)
	if err != nil || u.Query().Get("endpoint") != "" {
		return ""
	}
	if u.Scheme == "s3" && s.Place.Cloud == "aws" || u.Scheme == "gs" && s.Place.Cloud == "gcp" {
		return s.Place.Region
	}
	return ""
}

// groupOf names the stores that may copy from each other without the bytes passing here: of one provider, at one endpoint, in one
// partition (Amazon's in China and GovCloud copy from no other).
func groupOf(cfg *config.Config, s *config.Store) string {
	u, err := url.Parse(s.Bucket)
	if err != nil {
		return ""
	}
	partition := s.Place.Cloud
	if site, ok := cfg.Map().Find(s.Place); ok {
		partition = site.Partition
	}
	return strings.Join([]string{u.Scheme, u.Query().Get("endpoint"), partition}, " ")
}
