package ledger

import (
	"context"
	"iter"
	"strings"

	"ociproxy/internal/oci"
	"ociproxy/internal/store"
)

// span is a part of a listing of blobs that is read by itself. Together, [spans] cover every key below the blobs'
// prefix exactly once.
type span struct {
	prefix string // of digests: all keys that begin so. "": a gap between two of those
	after  string // a gap begins behind the keys of this prefix; "": at the start
	until  string // and ends before this prefix; "": at the end
}

// spans divides the blobs by the first digit of their SHA-256, so that they are listed at the same time; sha512 is
// rare and one span. Objects between the spans are not blobs.
func spans() (list []span) {
	const digits = "0123456789abcdef"
	last := ""
	add := func(prefix string, gap bool) {
		if gap {
			list = append(list, span{after: last, until: prefix})
		}
		list = append(list, span{prefix: prefix})
		last = prefix
	}
	for i, c := range digits {
		add("sha256:"+string(c), i == 0 || c == 'a') // other keys can only be before '0', and between '9' and 'a'
	}
	add("sha512:", true)
	return append(list, span{after: last})
}

// listed is one object of a span.
type listed struct {
	store.Attrs
	digest oci.Digest // zero: the key is none of a blob
}

// list reads a span, in the order of keys.
func (s span) list(ctx context.Context, b store.Bucket) iter.Seq2[listed, error] {
	after := ""
	if s.after != "" {
		after = store.BlobPrefix + s.after + "~" // behind all digests of that prefix
	}
	return func(yield func(listed, error) bool) {
		for o, err := range b.List(ctx, store.BlobPrefix+s.prefix, after) {
			if err != nil {
				yield(listed{}, err)
				return
			}
			name := strings.TrimPrefix(o.Key, store.BlobPrefix)
			if s.prefix == "" {
				if s.after != "" && strings.HasPrefix(name, s.after) {
					continue // the span before has it
				}
				if s.until != "" && name >= s.until {
					return
				}
			}
			l := listed{Attrs: o}
			if d, err := oci.ParseDigest(name); err == nil && d.InStores() {
				l.digest = d
			}
			if !yield(l, nil) {
				return
			}
		}
	}
}
