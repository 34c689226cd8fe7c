package usage

import (
	"net/netip"

	"ociproxy/internal/accesslog"
	"ociproxy/internal/config"
	"ociproxy/internal/ranges"
	"ociproxy/internal/traffic"
)

// Locator finds the place of an address. [ranges.Ranges] is one.
type Locator interface {
	Locate(netip.Addr) ranges.Client
}

// Options are what [New] takes besides the config. All fields may be zero.
type Options struct {
	// Own are the operator's principals, as the logs write them: ARNs of roles and users, object ids of Azure. An entry
	// that ends in * is the beginning of a name. The account that owns a store is always the operator's.
	Own []string
	// Store names the store of every line, for logs that say neither host nor bucket.
	Store string
}

// Use is what one line of a log counts for.
type Use struct {
	traffic.Row
	// Digest is the digest of the blob, sha256:…; "" when the request was for no blob.
	Digest string
	// RequestID names the request; "" when the log does not say. Lines of one store with the same RequestID are the same
	// request, if they are less than an hour apart.
	RequestID string
	// RID is the opaque id by which the proxy marked the redirect; "" when there is none.
	RID string
}

// Classifier classifies records. It is immutable, and safe for concurrent use.
type Classifier struct {
	where Locator
}

// New makes a classifier for the stores of cfg. The error says which of the options do not fit the config.
func New(cfg *config.Config, where Locator, opt Options) (*Classifier, error) {
	return &Classifier{where: where}, nil
}

// Classify returns what a record counts for. A reason that is not empty says why it counts for nothing: pass it to
// [Left.Add]. The texts of the result may be parts of those of the record; clone them to keep them.
func (c *Classifier) Classify(rec *accesslog.Record) (use Use, why Why) {
	return Use{}, Why{}
}
