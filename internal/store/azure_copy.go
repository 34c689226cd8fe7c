package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"golang.org/x/sync/errgroup"
)

const (
	// azureCopySingle is the largest blob that one request copies, and the least size of the blocks of a larger one.
	// The service takes 5000 MiB in one request, but answers only when it is done.
	azureCopySingle = 256 << 20
	// azureCopyTime is how long such a request may make no progress, beyond the time-out.
	azureCopyTime = 10 * time.Minute
)

// azureCopies returns how many requests copy a blob: one, or one for each block and one that commits them.
func azureCopies(size int64) int64 {
	if size <= azureCopySingle {
		return 1
	}
	return pieces(size, azureBlockOf(azureCopySingle, size)) + 1
}

// CopiesFrom implements [Copier].
func (b *azure) CopiesFrom(src Bucket) bool {
	from, ok := src.(*azure)
	return ok && from.cloud() == b.cloud()
}

// cloud returns the endpoint without the account. The service can read only from its own cloud's public endpoint.
func (b *azure) cloud() string {
	u := b.container.URL()
	return strings.Replace(strings.TrimSuffix(u, "/"+b.name), b.account, "", 1)
}

// CopyFrom implements [Copier]. The service reads the source itself (Put Blob From URL, Put Block From URL) and answers
// when it is done, so there is nothing to poll. The copy is visible only after the last request.
func (b *azure) CopyFrom(ctx context.Context, key string, src Bucket, from Attrs, h Header) (Attrs, error) {
	attrs, err := Attrs{}, ErrCannotCopy
	if b.CopiesFrom(src) {
		attrs, err = b.copyFrom(ctx, key, src.(*azure), from, h)
	}
	if err != nil {
		return Attrs{}, fmt.Errorf("copy %s from %s to %s: %w", from.Key, src, b, err)
	}
	return attrs, nil
}

func (b *azure) copyFrom(ctx context.Context, key string, src *azure, from Attrs, h Header) (Attrs, error) {
	o, err := b.blob(key)
	if err != nil {
		return Attrs{}, err
	}
	c := &azureCopy{blob: o, from: from, parallel: b.opt.parallel(),
		headers: &blob.HTTPHeaders{BlobContentType: &h.ContentType, BlobCacheControl: &h.CacheControl}}
	if c.source, c.bearer, err = src.readable(ctx, from.Key); err != nil {
		return Attrs{}, err
	}
	tag := azcore.ETag(`"` + from.Version + `"`)
	c.unchanged = &blob.SourceModifiedAccessConditions{SourceIfMatch: &tag}
	patient := withPatience(ctx, azureCopyTime)
	run := c.blocks
	if from.Size <= azureCopySingle {
		run = c.single
	}
	if err := run(patient); err != nil {
		return Attrs{}, azureCopyFailure(err)
	}
	// The answers do not contain the size.
	attrs, err := b.Head(ctx, key)
	if err == nil && attrs.Size != from.Size {
		err = fmt.Errorf("the copy has %d bytes, the source %d", attrs.Size, from.Size)
	}
	return attrs, err
}

// azureCopyFailure separates what this store refuses to copy ([ErrCannotCopy]) from other failures.
func azureCopyFailure(err error) error {
	var resp *azcore.ResponseError
	if !errors.As(err, &resp) {
		return err
	}
	brief := azureFailure(err, "")
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotImplemented:
		return fmt.Errorf("%w: %w", ErrCannotCopy, brief)
	}
	return brief
}

// readable returns an address at which the service can read a blob, and the authorization to send with it, if any.
func (b *azure) readable(ctx context.Context, key string) (address string, bearer *string, err error) {
	o, err := b.blob(key)
	if err != nil {
		return "", nil, err
	}
	if b.key != nil {
		address, err = o.GetSASURL(sas.BlobPermissions{Read: true}, time.Now().Add(azureSAS), nil)
		return address, nil, err
	}
	token, err := b.token.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://storage.azure.com/.default"}})
	if err != nil {
		return "", nil, fmt.Errorf("token to read the source: %w", err)
	}
	text := "Bearer " + token.Token
	return o.URL(), &text, nil
}

// azureSAS is how long the permission to read the source lasts. A large copy may take that long.
const azureSAS = 12 * time.Hour

// azureCopy is a CopyFrom in progress.
type azureCopy struct {
	blob      *blockblob.Client
	from      Attrs
	source    string
	bearer    *string
	unchanged *blob.SourceModifiedAccessConditions
	headers   *blob.HTTPHeaders
	parallel  int
}

func (c *azureCopy) single(ctx context.Context) error {
	properties := false // of the source: they would include a content encoding
	_, err := c.blob.UploadBlobFromURL(ctx, c.source, &blockblob.UploadBlobFromURLOptions{
		HTTPHeaders: c.headers, CopySourceBlobProperties: &properties, AccessConditions: azureConditions(""),
		SourceModifiedAccessConditions: c.unchanged, CopySourceAuthorization: c.bearer,
	})
	return err
}

func (c *azureCopy) blocks(ctx context.Context) error {
	names := newBlockNames()
	length := azureBlockOf(azureCopySingle, c.from.Size)
	var ids []string
	group, staging := errgroup.WithContext(ctx)
	group.SetLimit(c.parallel)
	for off := int64(0); off < c.from.Size; off += length {
		n := min(length, c.from.Size-off)
		id := names.next()
		ids = append(ids, id)
		group.Go(func() error {
			_, err := c.blob.StageBlockFromURL(staging, id, c.source, &blockblob.StageBlockFromURLOptions{
				Range: blob.HTTPRange{Offset: off, Count: n}, SourceModifiedAccessConditions: c.unchanged, CopySourceAuthorization: c.bearer,
			})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	_, err := c.blob.CommitBlockList(ctx, ids, &blockblob.CommitBlockListOptions{HTTPHeaders: c.headers,
		AccessConditions: azureConditions("")})
	return err
}
