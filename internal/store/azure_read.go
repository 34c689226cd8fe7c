package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

// Head implements [Bucket]. Azure has no checksum of a complete blob that it computed itself.
func (b *azure) Head(ctx context.Context, key string) (Attrs, error) {
	o, err := b.blob(key)
	if err != nil {
		return Attrs{}, err
	}
	p, err := o.GetProperties(ctx, nil)
	if bloberror.HasCode(err, azureOtherKey) {
		if a, ok := found(ctx, b, key); ok {
			a.Hidden = hiddenKey
			return a, nil
		}
	}
	if err != nil {
		return Attrs{}, fmt.Errorf("head %s of %s: %w", key, b, azureFailure(err, ""))
	}
	return Attrs{
		Key: key, Size: value(p.ContentLength), Version: azureVersion(p.ETag), Modified: value(p.LastModified).In(time.UTC),
		Header:          Header{ContentType: value(p.ContentType), CacheControl: value(p.CacheControl)},
		ContentEncoding: value(p.ContentEncoding),
		Hidden:          azureArchive(value(p.AccessTier), value(p.ArchiveStatus)),
	}, nil
}

// azureOtherKey is the code with which Azure refuses to describe a blob that is encrypted with a customer's key.
const azureOtherKey bloberror.Code = "BlobUsesCustomerSpecifiedEncryption"

// azureArchive returns why a blob of an access tier cannot be read, or "". A blob in the archive cannot be read, nor
// while it is being moved out.
func azureArchive(tier, status string) string {
	switch {
	case status != "":
		return "archived (" + status + "), where nothing is read"
	case tier == string(blob.AccessTierArchive):
		return "access tier Archive, out of which nothing is read"
	}
	return ""
}

// Get implements [Bucket]. If an answer is cut off, the library continues where it ended, under the same ETag.
func (b *azure) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, Attrs, error) {
	o, err := b.blob(key)
	if err != nil {
		return nil, Attrs{}, err
	}
	if off < 0 {
		return nil, Attrs{}, fmt.Errorf("get %s of %s: negative offset %d", key, b, off)
	}
	if n == 0 { // to Azure, a count of 0 means everything
		attrs, err := b.Head(ctx, key)
		return io.NopCloser(strings.NewReader("")), attrs, err
	}
	resp, err := o.DownloadStream(ctx, &blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: off, Count: max(n, 0)}})
	if err != nil {
		return nil, Attrs{}, fmt.Errorf("get %s of %s: %w", key, b, azureFailure(err, ""))
	}
	size := value(resp.ContentLength)
	if _, total, ok := strings.Cut(value(resp.ContentRange), "/"); ok {
		if size, err = strconv.ParseInt(total, 10, 64); err != nil {
			return nil, Attrs{}, errors.Join(fmt.Errorf("get %s of %s: content range %q", key, b, *resp.ContentRange), resp.Body.Close())
		}
	}
	attrs := Attrs{
		Key: key, Size: size, Version: azureVersion(resp.ETag), Modified: value(resp.LastModified).In(time.UTC),
		Header:          Header{ContentType: value(resp.ContentType), CacheControl: value(resp.CacheControl)},
		ContentEncoding: value(resp.ContentEncoding),
	}
	if n < 0 {
		n = size - off
	}
	return &exact{ReadCloser: resp.NewRetryReader(ctx, nil), left: n}, attrs, nil
}

// List implements [Bucket].
func (b *azure) List(ctx context.Context, prefix, after string) iter.Seq2[Attrs, error] {
	return func(yield func(Attrs, error) bool) {
		full := b.prefix + prefix
		options := &container.ListBlobsFlatOptions{Prefix: &full}
		if after != "" {
			from := b.prefix + after
			options.StartFrom = &from // inclusive
		}
		l := newListing(b, b.prefix, prefix, after)
		pages := b.container.NewListBlobsFlatPager(options)
		for pages.More() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				if unreadable := azureUnreadable(err); unreadable != nil {
					err = fmt.Errorf("list %s: %w", l.what, unreadable)
				} else {
					err = fmt.Errorf("list %s of %s: %w", prefix, b, azureFailure(err, ""))
				}
				yield(Attrs{}, err)
				return
			}
			if err := azurePage(l, &page, b.name); err != nil {
				yield(Attrs{}, err)
				return
			}
			for _, item := range page.Segment.BlobItems {
				wanted, err := azureListed(l, item)
				if err != nil {
					yield(Attrs{}, err)
					return
				}
				if wanted && !yield(b.listed(item), nil) {
					return
				}
			}
			token := value(page.NextMarker)
			if err := l.page(len(page.Segment.BlobItems), token != "", token); err != nil {
				yield(Attrs{}, err)
				return
			}
		}
	}
}

// azurePage checks a page before its blobs are read. A page that is no list of this container proves nothing about it.
func azurePage(l *listing, page *container.ListBlobsFlatResponse, name string) error {
	switch of := value(page.ContainerName); {
	case page.Segment == nil && of == "":
		return l.refuse("what the server sent is no list of objects")
	case of != "" && path.Base(of) != name: // some services put the address before the name
		return l.refuse("it is of the container %.100q, not of %q", of, name)
	}
	if page.Segment == nil {
		page.Segment = &container.BlobFlatListSegment{}
	}
	return nil
}

// azureUnreadable returns an error if a document with a good status could not be read, and nil for any other error. The
// library has no type for it.
func azureUnreadable(err error) error {
	_, why, ok := strings.Cut(err.Error(), "unmarshalling type ")
	switch {
	case !ok:
		return nil
	case strings.Contains(why, "expected element type"):
		return fmt.Errorf("%w: what the server sent is no list of objects", ErrListing)
	}
	_, why, _ = strings.Cut(why, ": ")
	return cutOff(errors.New(why))
}

// azureListed checks one blob of a list.
func azureListed(l *listing, item *container.BlobItem) (wanted bool, err error) {
	if item.Name == nil || item.Properties == nil || item.Properties.ContentLength == nil {
		return false, l.refuse("it has a blob without a name or without a size, after %.300q", l.last)
	}
	return l.object(*item.Name, *item.Properties.ContentLength)
}

func (b *azure) listed(item *container.BlobItem) Attrs {
	attrs := Attrs{Key: strings.TrimPrefix(value(item.Name), b.prefix)}
	if p := item.Properties; p != nil {
		attrs.Size, attrs.Version, attrs.Modified = value(p.ContentLength), azureVersion(p.ETag), value(p.LastModified).In(time.UTC)
		attrs.Header = Header{ContentType: value(p.ContentType), CacheControl: value(p.CacheControl)}
		attrs.ContentEncoding = value(p.ContentEncoding)
		attrs.Hidden = azureArchive(string(value(p.AccessTier)), string(value(p.ArchiveStatus)))
		if p.CustomerProvidedKeySHA256 != nil {
			attrs.Hidden = hiddenKey
		}
	}
	return attrs
}

// Delete implements [Bucket]. It also removes snapshots of the blob.
func (b *azure) Delete(ctx context.Context, key, version string) error {
	o, err := b.blob(key)
	if err != nil {
		return err
	}
	snapshots := blob.DeleteSnapshotsOptionTypeInclude
	options := &blob.DeleteOptions{DeleteSnapshots: &snapshots}
	if version != "" {
		options.AccessConditions = azureConditions(version)
	}
	_, err = o.Delete(ctx, options)
	return deleted(ctx, b, key, azureFailure(err, "any"))
}

// value returns what a pointer of the library points at, or the zero value for nil.
func value[T any](p *T) T {
	if p == nil {
		var none T
		return none
	}
	return *p
}
