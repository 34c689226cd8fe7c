package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
	htransport "google.golang.org/api/transport/http"

	"ociproxy/internal/credential"
	"ociproxy/internal/outbound"
	"ociproxy/internal/store/address"
)

// gcs is a bucket of Google Cloud Storage, over its JSON API.
//
// It is no [Cleaner]: an unfinished resumable upload costs nothing and expires by itself after a week.
// https://docs.cloud.google.com/storage/docs/resumable-uploads
type gcs struct {
	name, prefix string // the prefix is empty or ends in "/"
	endpoint     string // "" means Google's own
	opt          Options
	dial         context.Context // for the credentials: their tokens are refreshed as long as the bucket is in use

	mu     sync.Mutex
	client *storage.Client // made at the first request, because finding credentials may ask the machine's metadata server
}

func openGCS(ctx context.Context, at address.Bucket, opt Options) (Bucket, error) {
	getenv := opt.Getenv
	if getenv == nil {
		getenv = os.Getenv
	}
	endpoint := cmp.Or(at.Endpoint, getenv("STORAGE_EMULATOR_HOST"))
	if endpoint != "" && !strings.Contains(endpoint, "://") {
		endpoint = "http://" + endpoint
	}
	return &gcs{name: at.Name, prefix: at.Prefix, endpoint: strings.TrimSuffix(endpoint, "/"), opt: opt,
		dial: context.WithoutCancel(ctx)}, nil
}

func (b *gcs) String() string { return "gs://" + strings.TrimSuffix(b.name+"/"+b.prefix, "/") }

// bucket returns the bucket's handle. It makes the client if there is none yet.
func (b *gcs) bucket() (*storage.BucketHandle, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.client == nil {
		client, err := b.connect()
		if err != nil {
			return nil, fmt.Errorf("%s: %w: credentials: %w", b, ErrDenied, err)
		}
		b.client = client
	}
	return b.client.Bucket(b.name), nil
}

func (b *gcs) connect() (*storage.Client, error) {
	base := &pageLimit{&gcsResumes{&gcsPages{&unclear{b.opt.client().Transport}}}}
	var opts []option.ClientOption
	if b.endpoint != "" {
		opts = append(opts, option.WithEndpoint(b.endpoint+"/storage/v1/"))
	}
	// A plain-text endpoint belongs to a test, and must not receive a token.
	if strings.HasPrefix(b.endpoint, "http://") {
		opts = append(opts, option.WithHTTPClient(&http.Client{Transport: base}))
	} else {
		scope := storage.ScopeReadWrite
		if b.opt.Settings {
			scope = storage.ScopeFullControl
		}
		found, err := credential.Google(b.dial, b.opt.timeout(), scope)
		if err != nil {
			return nil, err
		}
		auth, err := htransport.NewTransport(b.dial, base, option.WithCredentials(found))
		if err != nil {
			return nil, err
		}
		opts = append(opts, option.WithHTTPClient(&http.Client{Transport: auth}))
	}
	client, err := storage.NewClient(b.dial, opts...)
	if err != nil {
		return nil, err
	}
	client.SetRetry(storage.WithMaxAttempts(gcsAttempts), storage.WithErrorFunc(gcsAgain))
	return client, nil
}

// gcsAgain reports whether a request is worth another try.
func gcsAgain(err error) bool {
	if _, ok := errors.AsType[*outbound.ProxyError](err); ok && !isFinal(err) {
		return true
	}
	return !isFinal(err) && !errors.Is(err, credential.ErrLate) && storage.ShouldRetry(err)
}

// gcsUploadAgain is gcsAgain for uploads. It does not retry a connection that ended: the library would repeat that for
// as long as a chunk may take.
func gcsUploadAgain(err error) bool { return gcsAgain(err) && !errors.Is(err, io.EOF) }

// gcsAttempts is how often one request is tried. With the library's pauses (1 s, doubling, jittered) the tries last
// some eight seconds.
const gcsAttempts = 5

// object returns the handle of a key.
func (b *gcs) object(key string) (*storage.ObjectHandle, error) {
	if err := address.CheckKey(key); err != nil {
		return nil, err
	}
	bucket, err := b.bucket()
	if err != nil {
		return nil, err
	}
	return bucket.Object(b.prefix + key), nil
}

// Check implements [Bucket].
func (b *gcs) Check(ctx context.Context, probe string) error {
	bucket, err := b.bucket()
	if err != nil {
		return err
	}
	attrs, err := bucket.Attrs(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", b, b.failure(err, ""))
	}
	if number := strconv.FormatUint(attrs.ProjectNumber, 10); b.opt.Owner != "" && number != b.opt.Owner {
		return fmt.Errorf("%s: belongs to project number %s, not %s: %w", b, number, b.opt.Owner, ErrUnfit)
	}
	if err := gcsRegion(attrs, b.opt.Region); err != nil {
		return fmt.Errorf("%s: %w", b, err)
	}
	return checkConditions(ctx, b, probe)
}

// gcsRegion compares a bucket's location with the region where it should be. A location of several regions does not
// match any one region: its prices and distances are not those of the place in the config.
func gcsRegion(attrs *storage.BucketAttrs, region string) error {
	if region == "" || strings.EqualFold(attrs.Location, region) {
		return nil
	}
	kind := ""
	if attrs.LocationType != "" && attrs.LocationType != "region" {
		kind = ", a " + attrs.LocationType
	}
	return fmt.Errorf("lies in %s%s, not in region %s: %w", strings.ToLower(attrs.Location), kind, region, ErrUnfit)
}

// failure adds the sentinel error that matches an error of the library. version is the version that the request
// required of the object.
func (b *gcs) failure(err error, version string) error {
	if err != nil && uploadID.MatchString(err.Error()) {
		err = discreet{err}
	}
	if none := googleToken(err); none != nil {
		return fmt.Errorf("%w: %w", ErrDenied, none)
	}
	said := err
	var api *googleapi.Error
	if errors.As(err, &api) {
		said = &gcsError{api}
	}
	is := func(codes ...int) bool {
		if !errors.As(err, &api) {
			return false
		}
		for _, code := range codes {
			if api.Code == code {
				return true
			}
		}
		return false
	}
	switch {
	case errors.Is(err, storage.ErrBucketNotExist):
		return fmt.Errorf("%w: there is no such bucket (%s)", ErrUnfit, adviceBucket)
	case api != nil && (&gcsError{api}).missing():
		return fmt.Errorf("%w: %w", ErrUnfit, said)
	case errors.Is(err, storage.ErrObjectNotExist), is(http.StatusNotFound):
		return fmt.Errorf("%w: %w", ErrNotFound, said)
	case is(http.StatusUnauthorized, http.StatusForbidden):
		return fmt.Errorf("%w: %w", ErrDenied, said)
	case is(http.StatusPreconditionFailed) && version == "":
		return fmt.Errorf("%w: %w", ErrExists, said)
	case is(http.StatusPreconditionFailed):
		return fmt.Errorf("%w: %w", ErrConflict, said)
	}
	return said
}

// gcsError gives the error of an answer in one line. The library's text has the number of its tries, and may have the
// complete body.
type gcsError struct{ api *googleapi.Error }

func (e *gcsError) Error() string {
	reason, message := wordsOf([]byte(e.api.Body)) // the body is all there is if the answer was not JSON
	if e.api.Message != "" {
		message = outbound.Redact(strings.Join(strings.Fields(e.api.Message), " "))
	}
	if len(e.api.Errors) > 0 {
		reason = cmp.Or(e.api.Errors[0].Reason, reason)
	}
	text := fmt.Sprintf("status %d %s%s", e.api.Code, http.StatusText(e.api.Code), comeAgain(e.api.Header))
	for _, more := range []string{reason, message} {
		if more != "" {
			text += ": " + more
		}
	}
	switch {
	case e.missing():
		return text + " (" + adviceBucket + ")"
	case advices[reason] != "":
		return withAdvice(text, reason)
	case e.api.Code == http.StatusUnauthorized:
		return text + " (" + adviceGoogle + ")"
	case e.api.Code == http.StatusForbidden:
		return text + " (" + adviceRights + ")"
	}
	return text
}

// missing reports whether the bucket itself does not exist.
func (e *gcsError) missing() bool {
	return e.api.Code == http.StatusNotFound && strings.Contains(e.api.Message, "bucket does not exist")
}

func (e *gcsError) Unwrap() error { return e.api }

// uploadID matches the secret in the address of an upload: with it, anyone may write the object for a week.
var uploadID = regexp.MustCompile(`upload_id=[^&"\s]+`)

// discreet is an error whose text leaves out the upload ids that its cause contains.
type discreet struct{ error }

func (d discreet) Error() string { return uploadID.ReplaceAllString(d.error.Error(), "upload_id=…") }
func (d discreet) Unwrap() error { return d.error }

// gcsConditions makes the precondition of a write: the object has this version, or, if version is "", does not exist.
func gcsConditions(version string) (storage.Conditions, error) {
	if version == "" {
		return storage.Conditions{DoesNotExist: true}, nil
	}
	generation, err := generationOf(version)
	return storage.Conditions{GenerationMatch: generation}, err
}

// generationOf parses a version. A version that is no generation cannot match any object, so the error is ErrConflict.
func generationOf(version string) (int64, error) {
	generation, err := strconv.ParseInt(version, 10, 64)
	if err != nil || generation <= 0 {
		return 0, fmt.Errorf("%w: version %q is no generation", ErrConflict, version)
	}
	return generation, nil
}

// attrs translates the library's attributes of an object.
func (b *gcs) attrs(o *storage.ObjectAttrs) Attrs {
	crc, hidden := &o.CRC32C, ""
	if o.CustomerKeySHA256 != "" { // the service then gives no checksum
		crc, hidden = nil, hiddenKey
	}
	return Attrs{
		Key: strings.TrimPrefix(o.Name, b.prefix), Size: o.Size, Version: strconv.FormatInt(o.Generation, 10),
		Modified: o.Updated.In(time.UTC), CRC32C: crc,
		Header:          Header{ContentType: o.ContentType, CacheControl: o.CacheControl},
		ContentEncoding: o.ContentEncoding, Hidden: hidden,
	}
}
