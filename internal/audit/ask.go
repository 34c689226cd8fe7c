package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"

	"ociproxy/internal/oci"
	"ociproxy/internal/store"
)

// ask checks the object of a row itself, and adds what it found to the row.
func (a *Audit) ask(ctx context.Context, s Store, r *row, opt Options, f *tally) (Class, string) {
	attrs, corrupt, proven, read, err := look(ctx, s.Bucket, r.digest, opt)
	f.looked(read)
	switch {
	case errors.Is(err, store.ErrNotFound):
		r.object = absent
		return a.judge(r, false)
	case err != nil:
		return Unknown, err.Error()
	}
	r.object, r.version = attrs.Size, attrs.Version
	class, detail := a.judge(r, proven)
	if corrupt && class != Short {
		return Corrupt, "the bytes do not have the digest"
	}
	if class != "" && class != Unlisted && (class != Unexpected || r.record == absent) {
		return class, detail
	}
	if why := attrs.Altered(); why != "" {
		return Unreadable, why
	}
	switch err := s.public(opt.Client).Look(ctx, r.digest, attrs.Size); {
	case errors.Is(err, store.ErrHidden):
		return Unreadable, err.Error()
	case err != nil && class == "":
		return Unknown, err.Error()
	}
	return class, detail
}

// public returns the store as anonymous clients read it.
func (s *Store) public(client *http.Client) *store.Public {
	return &store.Public{URL: s.URL, Client: client}
}

// look asks a bucket for the attributes of an object, and reads the object if the audit is deep. corrupt means that its
// bytes do not have the digest, proven that they do. read is negative if nothing was read.
func look(ctx context.Context, b store.Bucket, d oci.Digest, opt Options) (_ store.Attrs, corrupt, proven bool, read int64, err error) {
	key := store.BlobKey(d)
	if opt.Deep {
		attrs, sum, err := readObject(ctx, b, key, d, opt.Progress)
		if err == nil {
			return attrs, sum != d.Hex(), sum == d.Hex(), attrs.Size, nil
		}
		// Even its owner cannot read an object in an archive. Its attributes say so.
		if there, asked := b.Head(ctx, key); asked == nil && there.Hidden != "" {
			return there, false, false, -1, nil
		}
		return attrs, false, false, -1, err
	}
	attrs, err := b.Head(ctx, key)
	known := err == nil && attrs.SHA256 != "" && d.Algorithm() == "sha256"
	return attrs, known && attrs.SHA256 != d.Hex(), known && attrs.SHA256 == d.Hex(), -1, err
}

// readAttempts is how many requests one read may take. Each continues where the last one broke off.
const readAttempts = 4

// errChanged means that an object was overwritten while it was read.
var errChanged = errors.New("it was overwritten while it was read")

// readObject reads one version of an object to its end and hashes it with d's algorithm. If the read breaks off, it
// continues there.
func readObject(ctx context.Context, b store.Bucket, key string, d oci.Digest, p *Progress) (attrs store.Attrs, sum string, err error) {
	h := d.Hash()
	var done int64
	for attempt := range readAttempts {
		if attempt > 0 && ctx.Err() != nil {
			break
		}
		var body io.ReadCloser
		var now store.Attrs
		body, now, err = b.Get(ctx, key, done, -1)
		if errors.Is(err, store.ErrNotFound) {
			return attrs, "", err
		}
		if err != nil {
			continue
		}
		if attempt == 0 || attrs.Version == "" {
			attrs = now
		}
		if now.Version != attrs.Version {
			return attrs, "", errors.Join(errChanged, body.Close())
		}
		var n int64
		n, err = io.Copy(io.MultiWriter(h, counter{p}), io.LimitReader(body, attrs.Size-done+1))
		done += n
		err = errors.Join(err, body.Close())
		if done >= attrs.Size {
			err = nil // perhaps a checksum error of the store's library: our own hash shows what is wrong
			break
		}
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
	}
	if err != nil {
		return attrs, "", fmt.Errorf("read %s: %w", key, err)
	}
	return attrs, hex.EncodeToString(h.Sum(nil)), nil
}

// counter counts the bytes that are written to it.
type counter struct{ p *Progress }

func (c counter) Write(b []byte) (int, error) {
	c.p.ReadBytes.Add(int64(len(b)))
	return len(b), nil
}
