package accesslogtest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Act is what a request does.
type Act uint8

// These are the acts. Those that are not of clients have lines of their own shape.
const (
	// Read is a GET or HEAD of an object, by the request's method.
	Read Act = iota
	// Write is the upload of an object.
	Write
	// List lists the bucket.
	List
	// CopyFrom is the read half of a copy inside the provider.
	CopyFrom
	// Expire is a lifecycle rule that deletes an object. No client asked for it.
	Expire
)

// Request is one request as the server that answered it saw it.
type Request struct {
	// Time is when it came.
	Time time.Time
	// ID makes the request's id in every format, so it must be unique. Two lines with the same ID are one request that was
	// delivered twice.
	ID string
	Act
	// Client is who asked, with the port; invalid: the log has no address.
	Client netip.AddrPort
	// Requester is the identity that asked; "" for anonymous clients.
	Requester string
	Method    string
	// Host is the name that was asked, Bucket the bucket (S3, GCS), container (Azure) or distribution (CloudFront).
	Host, Bucket string
	// Key is the object, without a slash before it. Query is the raw query; "" for none.
	Key, Query string
	// Range is the value of the header; "" for none.
	Range  string
	Status int
	// Sent is how many bytes of the answer's body were written, Heading how many of its head. Only CloudFront counts heads.
	Sent, Heading int64
	// Size is the object's size in bytes; -1 when there is no such object.
	Size int64
	Took time.Duration
	// Agent is the User-Agent; "" for none.
	Agent string
	// Aborted says that the client went away before it had the whole answer.
	Aborted bool
	// Hit says that a CDN had the object in its cache.
	Hit bool
	// Region is where the store is.
	Region string
}

// id returns n hexadecimal digits that follow from ID and a salt.
func (r *Request) id(salt string, n int) string {
	sum := sha256.Sum256([]byte(salt + "\x00" + r.ID))
	return hex.EncodeToString(sum[:])[:n]
}

// uuid returns the ID as a UUID.
func (r *Request) uuid(salt string) string {
	id := r.id(salt, 32)
	return fmt.Sprintf("%s-%s-%s-%s-%s", id[:8], id[8:12], id[12:16], id[16:20], id[20:])
}

// target returns the path and query, below prefix.
func (r *Request) target(prefix string) string {
	if r.Query == "" {
		return prefix + r.Key
	}
	return prefix + r.Key + "?" + r.Query
}

// dash returns "-" for an empty text.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// escape does what S3 does to keys: it escapes all but letters, digits and a few signs, and keeps slashes.
func escape(s string) string {
	var out strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.*/", c) >= 0 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}
