package oci_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ociproxy/internal/oci"
)

var (
	hex64  = strings.Repeat("0123456789abcdef", 4)
	sha256 = "sha256:" + hex64
	sha512 = "sha512:" + hex64 + hex64
	blake3 = "blake3:" + hex64
	name   = strings.Repeat("a", oci.MaxName)
	tag    = strings.Repeat("T", oci.MaxTag)
)

func digest(s string) oci.Digest {
	d, err := oci.ParseDigest(s)
	if err != nil {
		panic(err)
	}
	return d
}

var comparable = cmpopts.EquateComparable(oci.Digest{})

func TestParse(t *testing.T) {
	for _, test := range []struct {
		path, query string
		want        oci.Request
	}{
		{"/v2", "", oci.Request{Kind: oci.KindBase}},
		{"/v2/", "", oci.Request{Kind: oci.KindBase}},
		{"/v2/", "ns=docker.io", oci.Request{Kind: oci.KindBase}},

		{"/v2/pause/blobs/" + sha256, "", oci.Request{Kind: oci.KindBlob, Name: "pause", Digest: digest(sha256)}},
		{"/v2/pause/blobs/" + sha512, "", oci.Request{Kind: oci.KindBlob, Name: "pause", Digest: digest(sha512)}},
		{"/v2/pause/blobs/" + blake3, "", oci.Request{Kind: oci.KindBlob, Name: "pause", Digest: digest(blake3)}},
		{"/v2/pause/blobs/sha384:ab", "", oci.Request{Kind: oci.KindBlob, Name: "pause", Digest: digest("sha384:ab")}},
		{"/v2/pause/blobs/multihash+base58:QmRZ=_-", "", oci.Request{Kind: oci.KindBlob, Name: "pause", Digest: digest("multihash+base58:QmRZ=_-")}},
		{"/v2/pause/manifests/" + sha256, "", oci.Request{Kind: oci.KindManifest, Name: "pause", Digest: digest(sha256)}},
		{"/v2/pause/manifests/3.10", "", oci.Request{Kind: oci.KindTag, Name: "pause", Tag: "3.10"}},
		{"/v2/pause/manifests/" + tag, "", oci.Request{Kind: oci.KindTag, Name: "pause", Tag: tag}},
		{"/v2/pause/manifests/_", "", oci.Request{Kind: oci.KindTag, Name: "pause", Tag: "_"}},
		{"/v2/pause/referrers/" + sha256, "", oci.Request{Kind: oci.KindReferrers, Name: "pause", Digest: digest(sha256)}},
		{"/v2/pause/tags/list", "", oci.Request{Kind: oci.KindTags, Name: "pause", N: -1}},
		{"/v2/" + name + "/tags/list", "", oci.Request{Kind: oci.KindTags, Name: name, N: -1}},
		{"/v2/a.b/c_d/e__f/g---h/0/manifests/x", "", oci.Request{Kind: oci.KindTag, Name: "a.b/c_d/e__f/g---h/0", Tag: "x"}},

		// These names contain words of the grammar.
		{"/v2/a/blobs/blobs/" + sha256, "", oci.Request{Kind: oci.KindBlob, Name: "a/blobs", Digest: digest(sha256)}},
		{"/v2/blobs/blobs/" + sha256, "", oci.Request{Kind: oci.KindBlob, Name: "blobs", Digest: digest(sha256)}},
		{"/v2/v2/manifests/v2", "", oci.Request{Kind: oci.KindTag, Name: "v2", Tag: "v2"}},
		{"/v2/manifests/manifests/manifests", "", oci.Request{Kind: oci.KindTag, Name: "manifests", Tag: "manifests"}},
		{"/v2/tags/tags/list", "", oci.Request{Kind: oci.KindTags, Name: "tags", N: -1}},
		{"/v2/tags/list/tags/list", "", oci.Request{Kind: oci.KindTags, Name: "tags/list", N: -1}},
		{"/v2/a/tags/manifests/list", "", oci.Request{Kind: oci.KindTag, Name: "a/tags", Tag: "list"}},
		{"/v2/a/manifests/tags/list", "", oci.Request{Kind: oci.KindTags, Name: "a/manifests", N: -1}},

		// Some clients send an escaped colon.
		{"/v2/pause/blobs/sha256%3A" + hex64, "", oci.Request{Kind: oci.KindBlob, Name: "pause", Digest: digest(sha256)}},
		{"/v2/pause/manifests/sha256%3a" + hex64, "", oci.Request{Kind: oci.KindManifest, Name: "pause", Digest: digest(sha256)}},

		// Parameters of the query that a kind does not use are dropped.
		{"/v2/pause/blobs/" + sha256, "ns=registry.example.org&n=x&last=../", oci.Request{Kind: oci.KindBlob, Name: "pause", Digest: digest(sha256)}},
		{"/v2/pause/manifests/1", "ns=registry.example.org&artifactType=a/b", oci.Request{Kind: oci.KindTag, Name: "pause", Tag: "1"}},
		{"/v2/pause/tags/list", "n=10&last=3.9&ns=x", oci.Request{Kind: oci.KindTags, Name: "pause", Query: "n=10&last=3.9", N: 10, Last: "3.9"}},
		{"/v2/pause/tags/list", "last=3.9&n=0010", oci.Request{Kind: oci.KindTags, Name: "pause", Query: "n=10&last=3.9", N: 10, Last: "3.9"}},
		{"/v2/pause/tags/list", "n=0", oci.Request{Kind: oci.KindTags, Name: "pause", Query: "n=0"}},
		{"/v2/pause/tags/list", "n=2147483647", oci.Request{Kind: oci.KindTags, Name: "pause", Query: "n=2147483647", N: 2147483647}},
		{"/v2/pause/tags/list", "n=&last=", oci.Request{Kind: oci.KindTags, Name: "pause", N: -1}},
		{"/v2/pause/tags/list", "last=..%2Fx%26n%3D1%23", oci.Request{Kind: oci.KindTags, Name: "pause", Query: "last=..%2Fx%26n%3D1%23", N: -1, Last: "../x&n=1#"}},
		{"/v2/pause/tags/list", "last=%33%2E9", oci.Request{Kind: oci.KindTags, Name: "pause", Query: "last=3.9", N: -1, Last: "3.9"}},
		{"/v2/pause/tags/list", "last=a%20b%C3%A4", oci.Request{Kind: oci.KindTags, Name: "pause", Query: "last=a%20b%C3%A4", N: -1, Last: "a bä"}},
		{"/v2/pause/tags/list", "last=a+/=", oci.Request{Kind: oci.KindTags, Name: "pause", Query: "last=a%2B%2F%3D", N: -1, Last: "a+/="}},
		{"/v2/pause/tags/list", "last=" + strings.Repeat("=", 2048), oci.Request{Kind: oci.KindTags, Name: "pause", Query: "last=" + strings.Repeat("%3D", 2048), N: -1, Last: strings.Repeat("=", 2048)}},
		{"/v2/pause/tags/list", "l%61st=a&%6e=1", oci.Request{Kind: oci.KindTags, Name: "pause", Query: "n=1&last=a", N: 1, Last: "a"}},
		{"/v2/pause/tags/list", "n=1&n=2", oci.Request{Kind: oci.KindTags, Name: "pause", Query: "n=1", N: 1}},
		{"/v2/pause/referrers/" + sha256, "artifactType=application/vnd.example.sbom.v1+json", oci.Request{Kind: oci.KindReferrers, Name: "pause", Digest: digest(sha256), Query: "artifactType=application%2Fvnd.example.sbom.v1%2Bjson"}},
		{"/v2/pause/referrers/" + sha256, "artifactType=application%2Fx%2Bjson&n=1", oci.Request{Kind: oci.KindReferrers, Name: "pause", Digest: digest(sha256), Query: "artifactType=application%2Fx%2Bjson"}},
		{"/v2/pause/referrers/" + sha256, "artifactType=no-media-type", oci.Request{Kind: oci.KindReferrers, Name: "pause", Digest: digest(sha256)}},
		{"/v2/pause/referrers/" + sha256, "artifactType=a/b%0d%0aLocation:x", oci.Request{Kind: oci.KindReferrers, Name: "pause", Digest: digest(sha256)}},
		{"/v2/pause/referrers/" + sha256, "artifactType=a/b;q=1", oci.Request{Kind: oci.KindReferrers, Name: "pause", Digest: digest(sha256)}},
		{"/v2/pause/referrers/" + sha256, "artifactType=a/" + strings.Repeat("b", 128), oci.Request{Kind: oci.KindReferrers, Name: "pause", Digest: digest(sha256)}},
	} {
		t.Run(test.path+"?"+test.query, func(t *testing.T) {
			got, err := oci.Parse(test.path, test.query)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, comparable); diff != "" {
				t.Errorf("request (-want +got)\n%s", diff)
			}
		})
	}
}

// Misspelt names, digests and tags are refused as the specification says. Tricks are refused as paths that do not
// exist.
func TestParseRefuses(t *testing.T) {
	for _, test := range []struct {
		path, query string
		want        *oci.Error
	}{
		{"", "", oci.ErrUnsupported},
		{"/", "", oci.ErrUnsupported},
		{"*", "", oci.ErrUnsupported},
		{"/v1/", "", oci.ErrUnsupported},
		{"/v22/", "", oci.ErrUnsupported},
		{"/v2x/pause/tags/list", "", oci.ErrUnsupported},
		{"/V2/", "", oci.ErrUnsupported},
		{"/v2/pause", "", oci.ErrUnsupported},
		{"/v2/pause/", "", oci.ErrUnsupported},
		{"/v2/blobs/" + sha256, "", oci.ErrUnsupported},
		{"/v2/tags/list", "", oci.ErrUnsupported},
		{"/v2/pause/tags", "", oci.ErrUnsupported},
		{"/v2/pause/tags/", "", oci.ErrUnsupported},
		{"/v2/pause/tags/lists", "", oci.ErrUnsupported},
		{"/v2/pause/other/x", "", oci.ErrUnsupported},
		{"/v2/pause/blobs/uploads/", "", oci.ErrUnsupported},
		{"/v2/pause/blobs/uploads/1234", "", oci.ErrUnsupported},
		{"/v2/pause/blobs/uploads", "", oci.ErrDigestInvalid},
		{"/v2/_catalog", "n=10", oci.ErrCatalog},
		{"/v2/_catalog/", "", oci.ErrUnsupported},

		{"/v2/Pause/tags/list", "", oci.ErrNameInvalid},
		{"/v2/-a/tags/list", "", oci.ErrNameInvalid},
		{"/v2/a-/tags/list", "", oci.ErrNameInvalid},
		{"/v2/a___b/tags/list", "", oci.ErrNameInvalid},
		{"/v2/a..b/tags/list", "", oci.ErrNameInvalid},
		{"/v2/a._b/tags/list", "", oci.ErrNameInvalid},
		{"/v2/" + name + "a/tags/list", "", oci.ErrNameInvalid},
		{"/v2/" + strings.Repeat("a/", 4096) + "manifests/x", "", oci.ErrNameInvalid},
		{"/v2/a b/tags/list", "", oci.ErrNameInvalid},
		{"/v2/ä/tags/list", "", oci.ErrNameInvalid},
		{"/v2/a;b=c/tags/list", "", oci.ErrNameInvalid},
		{"/v2/a\x00/tags/list", "", oci.ErrNameInvalid},
		{"/v2/a\r\nLocation: x/tags/list", "", oci.ErrNameInvalid},
		{"/v2/user:password@host/tags/list", "", oci.ErrNameInvalid},
		{"/v2/a\\b/tags/list", "", oci.ErrNameInvalid},

		{"/v2/pause/blobs/latest", "", oci.ErrDigestInvalid},
		{"/v2/pause/blobs/sha256:" + hex64[1:], "", oci.ErrDigestInvalid},
		{"/v2/pause/blobs/" + sha256 + "0", "", oci.ErrDigestInvalid},
		{"/v2/pause/blobs/sha256:" + strings.ToUpper(hex64), "", oci.ErrDigestInvalid},
		{"/v2/pause/blobs/sha256:" + strings.Repeat("g", 64), "", oci.ErrDigestInvalid},
		{"/v2/pause/blobs/SHA256:" + hex64, "", oci.ErrDigestInvalid},
		{"/v2/pause/blobs/sha512:" + hex64, "", oci.ErrDigestInvalid},
		{"/v2/pause/blobs/sha256:", "", oci.ErrDigestInvalid},
		{"/v2/pause/blobs/:" + hex64, "", oci.ErrDigestInvalid},
		{"/v2/pause/blobs/" + sha256 + ":0", "", oci.ErrDigestInvalid},
		{"/v2/pause/blobs/" + sha256 + ";x", "", oci.ErrDigestInvalid},
		{"/v2/pause/blobs/" + sha256 + "\r\n", "", oci.ErrDigestInvalid},
		{"/v2/pause/blobs/x:" + strings.Repeat("a", 8192), "", oci.ErrDigestInvalid},
		{"/v2/pause/manifests/" + sha256[:70], "", oci.ErrDigestInvalid},
		{"/v2/pause/referrers/latest", "", oci.ErrDigestInvalid},

		{"/v2/pause/manifests/.x", "", oci.ErrManifestUnknown},
		{"/v2/pause/manifests/-x", "", oci.ErrManifestUnknown},
		{"/v2/pause/manifests/" + tag + "T", "", oci.ErrManifestUnknown},
		{"/v2/pause/manifests/a+b", "", oci.ErrManifestUnknown},
		{"/v2/pause/manifests/a@b", "", oci.ErrManifestUnknown},
		{"/v2/pause/manifests/a;b", "", oci.ErrManifestUnknown},
		{"/v2/pause/manifests/a\x00", "", oci.ErrManifestUnknown},

		// These are path tricks.
		{"/v2/../../x", "", oci.ErrUnsupported},
		{"/v2/../etc/passwd/tags/list", "", oci.ErrUnsupported},
		{"/v2/a/../b/tags/list", "", oci.ErrUnsupported},
		{"/v2/a/./b/tags/list", "", oci.ErrUnsupported},
		{"/v2/./tags/list", "", oci.ErrUnsupported},
		{"/v2/pause/blobs/..", "", oci.ErrUnsupported},
		{"/v2/pause/manifests/..", "", oci.ErrUnsupported},
		{"/v2/pause/manifests/.", "", oci.ErrUnsupported},
		{"/v2/%2e%2e/%2e%2e/x/tags/list", "", oci.ErrUnsupported},
		{"/v2/pause/manifests/%2e%2e", "", oci.ErrUnsupported},
		{"/v2/a%2Fb/tags/list", "", oci.ErrUnsupported},
		{"/v2/a%2fb/tags/list", "", oci.ErrUnsupported},
		{"/v2/a%3Ab/tags/list", "", oci.ErrUnsupported},
		{"/v2/pause/manifests/a%2Fb", "", oci.ErrUnsupported},
		{"/v2/pause/manifests/a%00", "", oci.ErrUnsupported},
		{"/v2/pause/manifests/a%0d%0aLocation:%20x", "", oci.ErrUnsupported},
		{"/v2/pause/manifests/sha256%253A" + hex64, "", oci.ErrUnsupported},
		{"/v2/pause/manifests/sha256%3A%3A" + hex64, "", oci.ErrUnsupported},
		{"/v2/pause/manifests/a%", "", oci.ErrUnsupported},
		{"/v2/pause/manifests/a%3", "", oci.ErrUnsupported},
		{"/v2/pause/%62lobs/" + sha256, "", oci.ErrUnsupported},
		{"/v2/pause/tags/l%69st", "", oci.ErrUnsupported},
		{"/v2%2Fpause/tags/list", "", oci.ErrUnsupported},
		{"//v2/pause/tags/list", "", oci.ErrUnsupported},
		{"/v2//pause/tags/list", "", oci.ErrUnsupported},
		{"/v2//", "", oci.ErrUnsupported},
		{"/v2///tags/list", "", oci.ErrUnsupported},
		{"/v2/pause//tags/list", "", oci.ErrUnsupported},
		{"/v2/pause/tags//list", "", oci.ErrUnsupported},
		{"/v2//evil.example.org/blobs/" + sha256, "", oci.ErrUnsupported},
		{"/v2/pause/blobs/" + sha256 + "/", "", oci.ErrUnsupported},
		{"/v2/pause/manifests/latest/", "", oci.ErrUnsupported},
		{"/v2/pause/manifests/", "", oci.ErrUnsupported},
		{"/v2/pause/tags/list/", "", oci.ErrUnsupported},
		{"http://evil.example.org/v2/pause/tags/list", "", oci.ErrUnsupported},
		{"/v2;a=b/pause/tags/list", "", oci.ErrUnsupported},
		{"/v2/pause/tags;a/list", "", oci.ErrUnsupported},
		{"/v2/pause/tags/list;a", "", oci.ErrUnsupported},
		{"\\v2\\pause\\tags\\list", "", oci.ErrUnsupported},

		{"/v2/pause/tags/list", "n=x", oci.ErrNumberInvalid},
		{"/v2/pause/tags/list", "n=-1", oci.ErrNumberInvalid},
		{"/v2/pause/tags/list", "n=%2B1", oci.ErrNumberInvalid},
		{"/v2/pause/tags/list", "n=1_0", oci.ErrNumberInvalid},
		{"/v2/pause/tags/list", "n=1.5", oci.ErrNumberInvalid},
		{"/v2/pause/tags/list", "n=2147483648", oci.ErrNumberInvalid},
		{"/v2/pause/tags/list", "n=" + strings.Repeat("9", 8192), oci.ErrNumberInvalid},
		{"/v2/pause/tags/list", "n=%00", oci.ErrNumberInvalid},
		{"/v2/pause/tags/list", "last=a%0d%0ab", oci.ErrLastInvalid},
		{"/v2/pause/tags/list", "last=" + strings.Repeat("t", 2049), oci.ErrLastInvalid},
		{"/v2/pause/tags/list", "n=%zz", oci.ErrNumberInvalid},
		{"/v2/pause/tags/list", "last=a%", oci.ErrLastInvalid},
		{"/v2/pause/tags/list", "last=a%2", oci.ErrLastInvalid},
		{"/v2/pause/tags/list", "n=2&last=%zz", oci.ErrLastInvalid},
		{"/v2/pause/tags/list", "n=2&x=%zz", oci.ErrQueryInvalid},
		{"/v2/pause/tags/list", "%l=2", oci.ErrQueryInvalid},
		{"/v2/pause/referrers/" + sha256, "artifactType=a/b%g0", oci.ErrQueryInvalid},
	} {
		t.Run(test.path+"?"+test.query, func(t *testing.T) {
			got, err := oci.Parse(test.path, test.query)
			if !errors.Is(err, test.want) {
				t.Errorf("Parse = %+v, %v; want %v", got, err, test.want)
			}
			if diff := cmp.Diff(oci.Request{}, got, comparable); diff != "" {
				t.Errorf("a refused request must be empty (-want +got)\n%s", diff)
			}
		})
	}
}

func TestCanonicalOnly(t *testing.T) {
	for path, want := range map[string]bool{
		"/v2/a/referrers/" + sha256:                                                true,
		"/v2/a/manifests/sha256-" + hex64:                                          true,
		"/v2/a/manifests/sha256-" + hex64 + ".sig":                                 true,
		"/v2/a/manifests/sha512-" + hex64:                                          true,
		"/v2/a/manifests/blake3-" + hex64:                                          true,
		"/v2/a/manifests/sha384-" + hex64 + ".att":                                 true,
		"/v2/a/manifests/sha256-b64u-LCa0a2j_xo_5m0U8HT":                           true,
		"/v2/a/manifests/sha1-" + hex64[:40]:                                       true,
		"/v2/a/manifests/some-new-hash-" + hex64:                                   true,
		"/v2/a/manifests/some-new-hash-" + hex64 + ".sbom":                         true,
		"/v2/a/manifests/main-" + hex64[:40]:                                       false,
		"/v2/a/manifests/ripemd160-" + hex64[:40]:                                  true,
		"/v2/a/manifests/sha512_224-" + hex64[:56]:                                 true,
		"/v2/a/manifests/blake2b.160-" + hex64[:40]:                                true,
		"/v2/a/manifests/keccak.224-" + hex64[:56]:                                 true,
		"/v2/a/manifests/sha256.x-" + hex64[:40]:                                   true,
		"/v2/a/manifests/crc32c-0a1b2c3d":                                          true,
		"/v2/a/manifests/new-b64u-LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564":     true,
		"/v2/a/manifests/new-b64u-LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564.sig": true,
		"/v2/a/manifests/release-2026-11-29-for-all-of-our-many-customers-build-7": false,
		"/v2/a/manifests/sha256sum-1":                                              false,
		"/v2/a/manifests/v1.2-" + hex64[:40]:                                       false,
		"/v2/a/manifests/v1-alpine":                                                false,
		"/v2/a/manifests/" + hex64:                                                 false,
		"/v2/a/manifests/" + sha256:                                                false,
		"/v2/a/manifests/latest":                                                   false,
		"/v2/a/manifests/sha256":                                                   false,
		"/v2/a/blobs/" + sha256:                                                    false,
		"/v2/a/tags/list":                                                          false,
		"/v2/sha256-" + hex64[:32] + "/manifests/latest":                           false,
	} {
		r, err := oci.Parse(path, "")
		if err != nil {
			t.Fatal(path, err)
		}
		if r.CanonicalOnly() != want {
			t.Errorf("%s: CanonicalOnly = %v, want %v", path, !want, want)
		}
	}
}

func TestAppendPath(t *testing.T) {
	for _, path := range []string{
		"/v2/", "/v2/a/b/blobs/" + sha256, "/v2/a/manifests/" + sha512, "/v2/a/manifests/latest",
		"/v2/a/referrers/" + sha256, "/v2/a/tags/list",
	} {
		r, err := oci.Parse(path, "")
		if err != nil {
			t.Fatal(path, err)
		}
		if r.Path() != path {
			t.Errorf("Path() = %q, want %q", r.Path(), path)
		}
		want := path
		if r.Kind != oci.KindBase {
			want = strings.Replace(path, "/v2/", "/v2/project/images/", 1)
		}
		if got := string(r.AppendPath(nil, "project/images")); got != want {
			t.Errorf("AppendPath = %q, want %q", got, want)
		}
	}
}

func TestKind(t *testing.T) {
	var got []string
	for _, kind := range oci.Kinds() {
		got = append(got, kind.String())
	}
	want := []string{"base", "blob", "manifest", "tag", "referrers", "tags"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kinds (-want +got)\n%s", diff)
	}
	if got := oci.Kind(200).String(); got != "unknown" {
		t.Errorf("unknown kind is %q", got)
	}
}
