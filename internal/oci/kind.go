package oci

// Kind says which endpoint of the distribution specification a request is for. There are few kinds, and their names are
// metric labels.
type Kind uint8

const (
	// KindBase is the version check, GET /v2/.
	KindBase Kind = iota
	// KindBlob is a blob by digest.
	KindBlob
	// KindManifest is a manifest by digest.
	KindManifest
	// KindTag is a manifest by tag.
	KindTag
	// KindReferrers is the list of referrers of a digest.
	KindReferrers
	// KindTags is the list of a repository's tags.
	KindTags
)

const kinds = int(KindTags) + 1

var kindNames = [kinds]string{"base", "blob", "manifest", "tag", "referrers", "tags"}

// String returns the kind's metric label.
func (k Kind) String() string {
	if int(k) >= kinds {
		return "unknown"
	}
	return kindNames[k]
}

// Kinds returns all kinds in a fixed order, so that metrics can be prepared before the first request.
func Kinds() []Kind {
	return []Kind{KindBase, KindBlob, KindManifest, KindTag, KindReferrers, KindTags}
}
