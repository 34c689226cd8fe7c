package store

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"ociproxy/internal/outbound"
	"ociproxy/internal/store/address"
)

// Options of [Open].
type Options struct {
	// Owner is who must own the bucket: the account id of S3, the project number of GCS, the account name of Azure. ""
	// accepts any owner.
	Owner string
	// Region is where the bucket must lie, in the cloud's own name; "" accepts any.
	Region string
	// Getenv reads the environment, which has credentials and addresses of emulators; nil means os.Getenv.
	Getenv func(string) string
	// Settings says that the settings of the bucket itself will be changed, see [AsGCS]. Google then gives tokens for
	// this, too. Nothing else needs it.
	Settings bool
	// Transport sends the requests; nil means a transport of this package, with limited connections and time-outs. Use
	// it to count requests. Requests for credentials do not pass through it. If it has a method Trust(*x509.CertPool)
	// and a profile names authorities of its own, Open calls that method first.
	Transport http.RoundTripper
	// Timeout limits one small request, and the time in which a large one must move 1 MiB; default 60 s.
	Timeout time.Duration
	// Parallel limits how many parts of one object are sent at once; default 4.
	Parallel int
	// CopyWhole is the size up to which S3 copies an object in one request; the store then knows the SHA-256 of the
	// complete object. Larger objects are copied in parts. Default, and maximum, 5 GiB.
	CopyWhole int64
	// Logger receives the messages of the clouds' libraries, and the features that the server turned out not to have;
	// nil discards them.
	Logger *slog.Logger
	// Learned is what an earlier use of this bucket found out; nil starts without knowledge. Pass what [Bucket.Check]
	// found out when you open the bucket again without a check.
	Learned *Learned
	// TempDir is the directory for copies in progress, for the stores that need one.
	TempDir string
}

// Learned is what was found out about a bucket's server: whether it has answered well yet, and which features a server
// of S3's kind turned out not to have. The zero value is ready for use, and several buckets with one URL may share it.
type Learned struct {
	contact outbound.Verdicts

	noExpect atomic.Bool // it refuses Expect: 100-continue
	noSums   atomic.Bool // it refuses headers about checksums
	blind    atomic.Bool // it accepts bytes that do not match the hash that they were signed with
}

// Open makes a bucket from its URL in the configuration (see [address.Bucket]). It makes no request. Credentials come
// from the environment or from the cloud's identity, never from the URL.
func Open(ctx context.Context, text string, opt Options) (Bucket, error) {
	at, err := address.Parse(text)
	if err != nil {
		return nil, err
	}
	if opt.Learned == nil {
		opt.Learned = new(Learned)
	}
	return kinds[at.Scheme].open(ctx, at, opt)
}

// kind is a kind of store.
type kind struct {
	open func(context.Context, address.Bucket, Options) (Bucket, error)
	// puts and copies return how many write requests it takes to put or copy an object of this size.
	puts, copies func(size int64) int64
}

// kinds maps the schemes of URLs to kinds of stores.
var kinds = map[string]kind{
	"s3":     {openS3, s3Puts, s3Copies},
	"gs":     {openGCS, gcsPuts, gcsCopies},
	"azblob": {openAzure, azurePuts, azureCopies},
	"file":   {openFile, none, none},
}
