package admission

import (
	"net/url"
	"strings"

	"ociproxy/internal/config"
	"ociproxy/internal/store/address"
)

// service is the kind of a store's service, as far as its URL and bucket tell.
type service string

const (
	s3Like  service = "s3"
	google  service = "gcs"
	azure   service = "azure"
	unknown service = "" // a CDN, or a web server
)

// bucket is where a store's blobs lie, as strangers see it.
type bucket struct {
	service service
	host    url.URL // scheme and host
	root    string  // path of the bucket, "" or "/name", without a slash at the end
	before  string  // path from there to the blobs' names: "/containers/images/"
}

// url returns the URL of a path and query in the bucket. The path is escaped.
func (b *bucket) url(path, query string) string {
	at := b.host.Scheme + "://" + b.host.Host + b.root + path
	if query != "" {
		at += "?" + query
	}
	return at
}

// bucketOf finds the bucket in a store's URL: its name is a part of the host, or the beginning of the path.
func bucketOf(s *config.Store) bucket {
	before, _ := s.Parts()
	u, err := url.Parse(before)
	if err != nil {
		u = &url.URL{} // the config was validated
	}
	b := bucket{host: url.URL{Scheme: u.Scheme, Host: u.Host}}
	host, path := strings.ToLower(u.Hostname()), u.EscapedPath()
	written, _ := address.Parse(s.Bucket) // the zero value when the config names none
	switch inPath := 1; {
	case strings.Contains(host, ".blob.core.") || strings.Contains(host, ".blob.storage.azure."):
		b.service = azure
		b.cut(path, inPath)
	case host == "storage.googleapis.com":
		b.service = google
		b.cut(path, inPath)
	case strings.HasSuffix(host, ".storage.googleapis.com"):
		b.service = google
		b.cut(path, 0)
	case strings.HasSuffix(strings.TrimSuffix(host, ".cn"), ".amazonaws.com"):
		b.service = s3Like
		if !strings.HasPrefix(host, "s3.") && !strings.HasPrefix(host, "s3-") {
			inPath = 0
		}
		b.cut(path, inPath)
	default:
		b.service = map[string]service{"s3": s3Like, "gs": google, "azblob": azure}[written.Scheme]
		b.cut(path, segments(path, &written))
	}
	return b
}

// segments returns how many segments at the beginning of a path name the bucket.
func segments(path string, written *address.Bucket) int {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case written.Container != "" && len(parts) > 1 && parts[0] == written.Name && parts[1] == written.Container:
		return 2 // an emulator of Azure
	case written.Container != "" && parts[0] == written.Container, written.Container == "" && written.Name != "" && parts[0] == written.Name:
		return 1
	}
	return 0
}

// cut divides a path after n segments.
func (b *bucket) cut(path string, n int) {
	rest := path
	for range n {
		i := strings.Index(rest[min(1, len(rest)):], "/")
		if i < 0 {
			break
		}
		rest = rest[i+1:]
	}
	b.root, b.before = path[:len(path)-len(rest)], rest
}
