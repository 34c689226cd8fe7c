package usage

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/store/address"
)

// site is a store or upstream of the config.
type site struct {
	name  string
	place place.Place
	owner string
	// edge: this is a CDN, and the bucket by which the site was found serves nobody else.
	edge bool
}

// room is where a site is in a bucket, or on a host.
type room struct {
	*site
	prefix string // of keys in a bucket, or of paths on a host, which begin with "/"; "": everything
}

// sites finds the store of a line.
type sites struct {
	names   map[string]*site  // stores and upstreams
	buckets map[string][]room // by scheme and name: s3://name, azblob://account/container
	hosts   map[string][]room
	rest    *site // of lines that say nothing
}

// schemes of the buckets of which a log can be.
var schemes = map[accesslog.Format]string{accesslog.S3: "s3", accesslog.GCS: "gs", accesslog.Azure: "azblob"}

func newSites(cfg *config.Config, opt *Options) (sites, error) {
	s := sites{names: map[string]*site{}, buckets: map[string][]room{}, hosts: map[string][]room{}}
	for i := range cfg.Upstreams {
		u := &cfg.Upstreams[i]
		s.names[u.Name] = &site{name: u.Name, place: u.Place}
	}
	// The stores that clients read directly come first: a bucket that a CDN reads too is theirs.
	for _, edge := range []bool{false, true} {
		for i := range cfg.Stores {
			if st := &cfg.Stores[i]; (st.CDN != "") == edge {
				s.add(st)
			}
		}
	}
	var errs []error
	for host, name := range opt.Hosts {
		if s.names[name] == nil {
			errs = append(errs, fmt.Errorf("host %s: no store has the name %q", host, name))
			continue
		}
		s.hosts[strings.ToLower(host)] = []room{{s.names[name], ""}}
	}
	if s.rest = s.names[opt.Store]; s.rest == nil && opt.Store != "" {
		errs = append(errs, fmt.Errorf("no store has the name %q", opt.Store))
	}
	return s, errors.Join(errs...)
}

func (s *sites) add(st *config.Store) {
	at := &site{name: st.Name, place: st.Place, owner: st.Owner}
	s.names[st.Name] = at
	if u, err := url.Parse(withoutDigest(st.URL)); err == nil {
		host := strings.ToLower(u.Hostname())
		s.hosts[host] = append(s.hosts[host], room{at, u.EscapedPath()})
	}
	behind := at
	if st.CDN != "" {
		behind = &site{name: st.Name, place: st.Place, owner: st.Owner, edge: true}
	}
	var found []string // one bucket counts once, however often the store names it
	for _, text := range []string{st.Bucket, st.URL, st.Check, st.Inventory.URL} {
		key, prefix, ok := bucketOf(text)
		if !ok || slices.Contains(found, key) {
			continue
		}
		found = append(found, key)
		if rooms := s.buckets[key]; st.CDN != "" && slices.ContainsFunc(rooms, func(r room) bool { return r.prefix == prefix }) {
			continue
		}
		s.buckets[key] = append(s.buckets[key], room{behind, prefix})
	}
}

func withoutDigest(text string) string {
	text, _, _ = strings.Cut(text, "{digest}")
	return text
}

// bucketOf returns the bucket that a URL names, and the prefix of the store's keys in it: an address for writers, or
// one for clients at Amazon, Google or Azure.
func bucketOf(text string) (key, prefix string, ok bool) {
	if b, err := address.Parse(text); err == nil && b.Scheme != "file" {
		return bucketKey(&b), b.Prefix, true
	}
	text = withoutDigest(text)
	if b, ok := address.OfURL(text); ok {
		return bucketKey(&b), storePrefix(b.Prefix), true
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", "", false
	}
	host, path := strings.ToLower(u.Hostname()), strings.TrimPrefix(u.Path, "/")
	if name, ok := strings.CutSuffix(host, ".storage.googleapis.com"); ok {
		return "gs://" + name, storePrefix(path), true
	}
	first, rest, _ := strings.Cut(path, "/")
	if host == "storage.googleapis.com" && first != "" {
		return "gs://" + first, storePrefix(rest), true
	}
	if account, _, ok := strings.Cut(host, ".blob.core."); ok && first != "" {
		return "azblob://" + account + "/" + first, storePrefix(rest), true
	}
	return "", "", false
}

func bucketKey(b *address.Bucket) string {
	key := b.Scheme + "://" + b.Name
	if b.Container != "" {
		key += "/" + b.Container
	}
	return key
}

// storePrefix returns the part of a path that stands before all keys of a store.
func storePrefix(path string) string {
	for _, kind := range []string{address.BlobPrefix, address.InventoryPrefix} {
		if strings.HasSuffix(path, kind) {
			return strings.TrimSuffix(path, kind)
		}
	}
	return path
}

// of returns the store that a line is about, or why there is none.
func (s *sites) of(rec *accesslog.Record) (*site, Why) {
	var rooms []room
	path, why := rec.Path, Why{ForeignHost, rec.Host}
	switch {
	case rec.Bucket != "":
		path, why = rec.Key, Why{ForeignBucket, rec.Bucket}
		if scheme, ok := schemes[rec.Format]; ok {
			rooms = s.bucket(scheme, rec.Bucket)
			break
		}
		for _, scheme := range schemes { // a declared log
			rooms = append(rooms, s.bucket(scheme, rec.Bucket)...)
		}
	case rec.Host != "":
		rooms = s.hosts[rec.Host]
	case s.rest != nil:
		return s.rest, Why{}
	default:
		return nil, Why{Reason: NoStore}
	}
	var best *room
	for i := range rooms {
		r := &rooms[i]
		if (path == "" || strings.HasPrefix(path, r.prefix)) && (best == nil || len(r.prefix) > len(best.prefix)) {
			best = r
		}
	}
	switch {
	case best != nil:
		return best.site, Why{}
	case len(rooms) > 0 && rec.Bucket != "":
		why.Name += "/" // other keys than those of the store
	case len(rooms) > 0:
		return rooms[0].site, Why{} // the inventory, or what nobody was sent to: on the host of a store
	}
	return nil, why
}

// bucket finds a bucket without making a text where it can.
func (s *sites) bucket(scheme, name string) []room {
	var key [300]byte
	return s.buckets[string(append(append(append(key[:0], scheme...), "://"...), name...))]
}
