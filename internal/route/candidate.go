package route

import (
	"fmt"
	"slices"
	"strings"

	"ociproxy/internal/oci"
	"ociproxy/internal/place"
)

// Kind distinguishes a store from an upstream.
type Kind uint8

const (
	// Store serves blobs by digest from an object store or CDN.
	Store Kind = iota
	// Upstream is an OCI registry that holds the images.
	Upstream
)

// String returns the word used in metrics, logs and explanations.
func (k Kind) String() string {
	if k == Upstream {
		return "upstream"
	}
	return "store"
}

// Serves says which clients a candidate may serve.
type Serves struct {
	// All: every client.
	All bool
	// Internet: every client whose cloud no active store names and no upstream lives in, and the clients of
	// [Ranking.Outside].
	Internet bool
	// Clouds are the names of the clouds whose clients it serves.
	Clouds []string
}

// String writes the rule as the configuration does.
func (s Serves) String() string {
	parts := slices.Clone(s.Clouds)
	if s.Internet {
		parts = append(parts, "internet")
	}
	if s.All {
		parts = []string{"all"}
	}
	return strings.Join(parts, ", ")
}

// Candidate is a store or an upstream that could answer a request.
type Candidate struct {
	// Name is unique among all candidates. It is the metric label, and the seed for lots and rollouts.
	Name string
	Kind Kind
	// Place is where its bytes come from; zero only for a CDN.
	Place place.Place
	// CDN names the content delivery network, "" for none; its latency is [place.AnycastRTT].
	CDN string
	// Price corrects the price table for this candidate.
	Price place.Override
	// URL is the store's URL with one {digest}, or the upstream's base URL without a trailing slash.
	URL string
	// Check is where the proxy itself asks whether the store holds a digest, when URL is a CDN. The default is URL.
	Check string
	// Prefix is put before the repository name at an upstream, "" for none.
	Prefix string
	Serves Serves
	// Active candidates take traffic; the others stay in the list so that explanations can name them.
	Active bool
	// State is the configuration's word for that. It is for display only.
	State string
	// Announced says why announced dates or an override keep traffic away from it now, "" if they do not. It is for
	// display only.
	Announced string
	// Returning says how it comes back after an override, "" if it does not. It is for display only.
	Returning string
	// Rollout is the share of client networks, in percent, that may be sent here.
	Rollout int
	// IPv4 and IPv6 say over which address families clients can reach it.
	IPv4, IPv6 bool
	// RequestID says that each redirect to it carries an id of its own.
	RequestID bool
	// Canonical marks the one upstream that has everything by definition.
	Canonical bool

	// Origin identifies the server or bucket behind the name; [New] sets it. When a reload changes it, everything
	// known about the candidate is void.
	Origin string

	location, ask template
	seed          uint64
	host          string
}

// Host is the host, with its port, that clients are sent to.
func (c *Candidate) Host() string { return c.host }

// Provider returns who sends the bytes: a content delivery network or a cloud.
func (c *Candidate) Provider() string {
	if c.CDN != "" {
		return c.CDN
	}
	return c.Place.Cloud
}

// template is a URL, cut where requests differ: at the digest (store) or after the prefix (upstream).
type template struct{ head, tail string }

const digestMark = "{digest}"

func (c *Candidate) compile() error {
	c.seed = hashString(c.Name)
	_, rest, _ := strings.Cut(c.URL, "://")
	c.host, _, _ = strings.Cut(rest, "/")
	if c.Check == "" {
		c.Check = c.URL
	}
	if c.Kind == Upstream {
		c.location.head = c.URL + "/v2/"
		if c.Prefix != "" {
			c.location.head += c.Prefix + "/"
		}
		c.ask = c.location
		c.Origin = c.ask.head
		return nil
	}
	c.Origin = c.Check
	for _, t := range []struct {
		url string
		to  *template
	}{{c.URL, &c.location}, {c.Check, &c.ask}} {
		head, tail, ok := strings.Cut(t.url, digestMark)
		if !ok {
			return fmt.Errorf("store %s: url %q has no %s", c.Name, t.url, digestMark)
		}
		*t.to = template{head, tail}
	}
	return nil
}

// Location returns the URL that answers req at this candidate. All its parts are configuration or validated grammar,
// so a client cannot change host, scheme or query.
func (c *Candidate) Location(req oci.Request) string { return c.at(req, &c.location) }

// Ask returns the URL that tells the proxy whether this candidate holds what req names.
func (c *Candidate) Ask(req oci.Request) string { return c.at(req, &c.ask) }

func (c *Candidate) at(req oci.Request, t *template) string {
	if c.Kind == Store {
		return t.head + req.Digest.String() + t.tail
	}
	switch req.Kind {
	case oci.KindBlob:
		return t.head + req.Name + "/blobs/" + req.Digest.String()
	case oci.KindManifest:
		return t.head + req.Name + "/manifests/" + req.Digest.String()
	case oci.KindTag:
		return t.head + req.Name + "/manifests/" + req.Tag
	case oci.KindReferrers:
		return withQuery(t.head+req.Name+"/referrers/"+req.Digest.String(), req.Query)
	case oci.KindTags:
		return withQuery(t.head+req.Name+"/tags/list", req.Query)
	case oci.KindBase:
	}
	return t.head
}

func withQuery(u, query string) string {
	if query == "" {
		return u
	}
	return u + "?" + query
}
