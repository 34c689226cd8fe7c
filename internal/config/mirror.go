package config

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Mirror says what `oci-proxyctl mirror` copies into the buckets of the stores, and how fast.
type Mirror struct {
	// Source is the name of the upstream to copy from.
	Source string `yaml:"source"`
	// Repositories are the repositories to copy.
	Repositories MirrorRepositories `yaml:"repositories"`
	// Listing is how to list the source. `google` uses the listing of Google's registries, which has untagged manifests
	// too. `catalog` lists the repositories by `_catalog` and the tags of one repository at a time. `auto` uses the
	// first of them that the source offers.
	Listing Listing `yaml:"listing"`
	// Referrers says whether to ask the referrers API, for each image, for signatures and attestations that refer to
	// it. Those that have a tag are copied anyway.
	Referrers bool `yaml:"referrers"`
	// RequestsPerSecond is the highest number of requests per second to the source, listing and login included. After
	// `429` or `503` the mirror sends fewer for a while.
	RequestsPerSecond float64 `yaml:"requestsPerSecond"`
	// Parallel is how many manifests to read, and how many blobs to copy, at once.
	Parallel int `yaml:"parallel"`
	// BandwidthMBps is the highest speed of reading from the source, in megabytes (10⁶) a second. 0: no limit.
	BandwidthMBps float64 `yaml:"bandwidthMBps"`
	// Spool is the directory for blobs that are on their way to the stores.
	Spool Spool `yaml:"spool"`
	// Copy is how a blob gets into several stores of one cloud. `auto` uploads it to one of them and lets the cloud
	// copy it to the others. `upload` sends it to each.
	Copy CopyMode `yaml:"copy"`
	// Interval is the time from the start of one pass to the start of the next, if `--every` does not set it. The
	// mirror asks once a day, spread over the passes, what refers to each complete image. If another program starts the
	// passes, set its interval here.
	Interval time.Duration `yaml:"interval"`
}

// Enabled reports whether the file has the stanza.
func (m Mirror) Enabled() bool { return m.Source != "" }

// MirrorRepositories selects repositories by their names below the upstream's prefix. A pattern is a name in which `*`
// matches within one path segment (`team/*`), or a regular expression of the complete name between slashes
// (`/team/.+/`).
type MirrorRepositories struct {
	// List is a list of single repositories.
	List []string `yaml:"list"`
	// Include are patterns of repositories to copy. They need a source that can list its repositories.
	Include []string `yaml:"include"`
	// Exclude are patterns of repositories to leave out, even if another key selects them.
	Exclude []string `yaml:"exclude"`
	// Promoter is a directory of promoter manifests. The mirror copies the digests that they promote.
	Promoter string `yaml:"promoter"`
}

// Spool is a directory for blobs on their way. If a run was killed, the next one uses what is there.
type Spool struct {
	// Dir is the directory. Default: one below the system's directory for temporary files. If several runs use one
	// machine at the same time, each needs its own.
	Dir string `yaml:"dir"`
	// Bytes is the most that it may hold. The largest blob must fit.
	Bytes int `yaml:"bytes"`
}

// Listing is how a source is asked for what it has.
type Listing string

// The ways to list a source.
const (
	ListAuto    Listing = "auto"
	ListGoogle  Listing = "google"
	ListCatalog Listing = "catalog"
)

// Values lists what may be written in the file.
func (Listing) Values() []string { return []string{"auto", "google", "catalog"} }

// CopyMode is how a blob gets into several stores of one cloud.
type CopyMode string

// The ways to fill stores of one cloud.
const (
	CopyAuto   CopyMode = "auto"
	CopyUpload CopyMode = "upload"
)

// Values lists what may be written in the file.
func (CopyMode) Values() []string { return []string{"auto", "upload"} }

func (v *validator) mirror() {
	m := v.c.Mirror
	if _, set := v.nodes["mirror"]; !set {
		return
	}
	var names []string
	for _, u := range v.c.Upstreams {
		names = append(names, u.Name)
	}
	switch {
	case m.Source == "":
		v.fail("mirror", "source: the name of the upstream to copy from", `missing key "source"`)
	case !slices.Contains(names, m.Source):
		v.fail("mirror.source", suggestion(m.Source, names, "upstreams"), "unknown upstream %q", shorten(m.Source))
	}
	v.mirrorRepositories(m.Repositories)
	if m.RequestsPerSecond <= 0 {
		v.fail("mirror.requestsPerSecond", "", "requestsPerSecond must be more than 0")
	}
	if m.Parallel < 1 || m.Parallel > 256 {
		v.fail("mirror.parallel", "", "parallel must be between 1 and 256")
	}
	if m.BandwidthMBps < 0 {
		v.fail("mirror.bandwidthMBps", "", "bandwidthMBps is negative")
	}
	if m.Spool.Bytes < 64<<20 {
		v.fail("mirror.spool.bytes", "the largest blob must fit", "the spool must have at least %d bytes", 64<<20)
	}
	if m.Interval < time.Second {
		v.fail("mirror.interval", "15m is usual", "interval must be at least 1s")
	}
}

func (v *validator) mirrorRepositories(r MirrorRepositories) {
	for i, name := range r.List {
		v.repository(fmt.Sprintf("mirror.repositories.list[%d]", i), name)
	}
	for key, patterns := range map[string][]string{"include": r.Include, "exclude": r.Exclude} {
		for i, p := range patterns {
			if _, err := RepositoryPattern(p); err != nil {
				v.fail(fmt.Sprintf("mirror.repositories.%s[%d]", key, i), "`*` matches within one segment: team/*; write a regular expression between slashes: /team/.+/",
					"not a pattern: %q", shorten(p))
			}
		}
	}
	if len(r.List) == 0 && len(r.Include) == 0 && r.Promoter == "" {
		v.fail("mirror.repositories", "name them under `list`, as patterns under `include`, or by their manifests under `promoter`", "no repository is selected")
	}
}

// RepositoryPattern compiles a pattern of [MirrorRepositories]. The function reports whether a repository's name matches.
func RepositoryPattern(p string) (func(name string) bool, error) {
	if len(p) > 2 && strings.HasPrefix(p, "/") && strings.HasSuffix(p, "/") {
		re, err := regexp.Compile(`^(?:` + p[1:len(p)-1] + `)$`)
		if err != nil {
			return nil, err
		}
		return re.MatchString, nil
	}
	// path.Match takes ** for *, and would leave out what lies deeper without a word.
	if _, err := path.Match(p, ""); err != nil || p == "" || strings.Contains(p, "**") {
		return nil, fmt.Errorf("pattern %q: %w", p, path.ErrBadPattern)
	}
	return func(name string) bool {
		ok, _ := path.Match(p, name) // the pattern was tried above
		return ok
	}, nil
}
