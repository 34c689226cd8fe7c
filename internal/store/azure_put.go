package store

import (
	"context"
	"crypto/md5" //nolint:gosec // the service checks a transfer with MD5; the digest identifies the content
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"golang.org/x/sync/errgroup"
)

const (
	azureSingle = 8 << 20  // up to this size, one request sends a blob
	azureBlock  = 16 << 20 // the least size of the blocks of a larger blob
	azureBlocks = 9000     // the most blocks; the service takes 50000
	azureTries  = 3        // of a complete upload, when another writer's commit has discarded our blocks
)

// azureBlockOf returns the size of a blob's blocks (the last may be smaller). It is least, unless that makes too many
// blocks.
func azureBlockOf(least, size int64) int64 { return max(least, pieces(size, azureBlocks)) }

// azurePuts returns how many requests write a blob: one, or one for each block and one that commits them.
func azurePuts(size int64) int64 {
	if size <= azureSingle {
		return 1
	}
	return pieces(size, azureBlockOf(azureBlock, size)) + 1
}

// Put implements [Bucket].
//
// One request sends a small blob, after the content was verified. A larger blob is staged block by block as the bytes
// arrive, and committed after the content was verified. Every request carries the MD5 of its bytes, which the service
// compares.
func (b *azure) Put(ctx context.Context, key string, c Content, h Header, version string) (Attrs, error) {
	o, err := b.blob(key)
	if err != nil {
		return Attrs{}, err
	}
	u := &azureUpload{blob: o, content: c, version: version, parallel: b.opt.parallel(),
		headers: &blob.HTTPHeaders{BlobContentType: &h.ContentType, BlobCacheControl: &h.CacheControl}}
	for try := 1; ; try++ {
		tag, modified, err := u.run(ctx)
		if err == nil {
			return Attrs{Key: key, Size: c.Size(), Version: azureVersion(tag), Modified: value(modified).In(time.UTC), Header: h}, nil
		}
		err = azureFailure(err, version)
		if bloberror.HasCode(err, bloberror.InvalidBlockList) {
			// A commit to this name, by any writer, discards all other blocks that were staged for it.
			if changed := b.changed(ctx, key, version); changed != nil {
				err = changed
			} else if try < azureTries {
				continue
			}
		}
		return Attrs{}, fmt.Errorf("put %s into %s: %w", key, b, err)
	}
}

// changed returns ErrConflict if an object no longer has the version, and ErrExists if version is "" and the object
// exists.
func (b *azure) changed(ctx context.Context, key, version string) error {
	there, err := b.Head(ctx, key)
	switch {
	case errors.Is(err, ErrNotFound) && version == "":
		return nil
	case errors.Is(err, ErrNotFound):
		return ErrConflict
	case err != nil:
		return err
	case version == "":
		return ErrExists
	case there.Version != version:
		return ErrConflict
	}
	return nil
}

// azureUpload is a Put in progress.
type azureUpload struct {
	blob     *blockblob.Client
	content  Content
	headers  *blob.HTTPHeaders
	version  string
	parallel int
}

// run makes one try. If an answer was lost and the store then refuses a repeated request, that may be because of what
// this try has already written. Such a refusal counts as success.
func (u *azureUpload) run(ctx context.Context) (*azcore.ETag, *time.Time, error) {
	var lost atomic.Int32
	counted := countUnclear(ctx, &lost)
	var tag *azcore.ETag
	var modified *time.Time
	var ours func(context.Context) (bool, error)
	var err error
	if u.content.Size() <= azureSingle {
		tag, modified, ours, err = u.single(counted)
	} else {
		tag, modified, ours, err = u.blocks(counted)
	}
	if err == nil || ours == nil || lost.Load() == 0 || !isRefusal(azureFailure(err, u.version)) {
		return tag, modified, err
	}
	if ok, asked := ours(ctx); asked != nil || !ok {
		return nil, nil, err
	}
	p, asked := u.blob.GetProperties(ctx, nil)
	if asked != nil {
		return nil, nil, err
	}
	return p.ETag, p.LastModified, nil
}

// single sends the blob in one request. The function that it returns reports whether the blob in the store is the one
// it sent.
func (u *azureUpload) single(ctx context.Context) (*azcore.ETag, *time.Time, func(context.Context) (bool, error), error) {
	size := u.content.Size()
	if err := u.content.Verified(ctx); err != nil {
		return nil, nil, nil, err
	}
	sum, crc, err := u.sum(ctx, 0, size, 0)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := verified(ctx, u.content, crc); err != nil {
		return nil, nil, nil, err
	}
	ours := func(ctx context.Context) (bool, error) {
		p, err := u.blob.GetProperties(ctx, nil)
		return err == nil && value(p.ContentLength) == size && slices.Equal(p.ContentMD5, sum), err
	}
	resp, err := u.blob.Upload(ctx, u.body(0, size), &blockblob.UploadOptions{HTTPHeaders: u.headers,
		AccessConditions: azureConditions(u.version), TransactionalValidation: blob.TransferValidationTypeMD5(sum)})
	return resp.ETag, resp.LastModified, ours, err
}

// blocks stages the content as it arrives, and commits it after it was verified.
func (u *azureUpload) blocks(ctx context.Context) (*azcore.ETag, *time.Time, func(context.Context) (bool, error), error) {
	size := u.content.Size()
	length := azureBlockOf(azureBlock, size)
	names := newBlockNames()
	var ids []string
	var crc uint32
	group, staging := errgroup.WithContext(ctx)
	group.SetLimit(u.parallel)
	var arriving error
	for off := int64(0); off < size; off += length {
		n := min(length, size-off)
		var sum []byte
		if sum, crc, arriving = u.sum(staging, off, n, crc); arriving != nil {
			break
		}
		id := names.next()
		ids = append(ids, id)
		group.Go(func() error {
			_, err := u.blob.StageBlock(staging, id, u.body(off, n),
				&blockblob.StageBlockOptions{TransactionalValidation: blob.TransferValidationTypeMD5(sum)})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, nil, err
	}
	if arriving != nil {
		return nil, nil, nil, arriving
	}
	if err := verified(ctx, u.content, crc); err != nil {
		return nil, nil, nil, err
	}
	ours := func(ctx context.Context) (bool, error) {
		list, err := u.blob.GetBlockList(ctx, blockblob.BlockListTypeCommitted, nil)
		if err != nil || len(list.CommittedBlocks) != len(ids) {
			return false, err
		}
		return value(list.CommittedBlocks[0].Name) == ids[0], nil
	}
	resp, err := u.blob.CommitBlockList(ctx, ids, &blockblob.CommitBlockListOptions{HTTPHeaders: u.headers,
		AccessConditions: azureConditions(u.version)})
	return resp.ETag, resp.LastModified, ours, err
}

// body returns a part of the content that has arrived. The library may send it several times.
func (u *azureUpload) body(off, n int64) io.ReadSeekCloser {
	return streaming.NopCloser(io.NewSectionReader(u.content, off, n))
}

// sum waits for a stretch of the content. It returns the MD5 of that stretch, and the CRC32C of everything up to its
// end.
func (u *azureUpload) sum(ctx context.Context, off, n int64, crc uint32) ([]byte, uint32, error) {
	h := md5.New() //nolint:gosec // see the import
	part, err := pass(ctx, u.content, off, n, h)
	return h.Sum(nil), joinCRC(crc, part, n), err
}

// blockNames makes the names of one upload's blocks. All writers of a blob share one space of names; random bytes keep
// them apart.
type blockNames struct {
	bytes [16]byte
	count uint32
}

func newBlockNames() *blockNames {
	var b blockNames
	_, _ = rand.Read(b.bytes[:12]) // never fails
	return &b
}

func (b *blockNames) next() string {
	binary.BigEndian.PutUint32(b.bytes[12:], b.count)
	b.count++
	return base64.StdEncoding.EncodeToString(b.bytes[:])
}
