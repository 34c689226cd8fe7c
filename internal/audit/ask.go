package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"ociproxy/internal/oci"
	"ociproxy/internal/outbound"
	"ociproxy/internal/store"
)

// ask looks at the object of a row itself, and completes the row by what it saw.
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
	if class == "" || class == Unlisted {
		if attrs.ContentEncoding != "" {
			return Unreadable, fmt.Sprintf("Content-Encoding: %s", attrs.ContentEncoding)
		}
		if c, why := public(ctx, opt.Client, s.URL, r.digest, attrs.Size); c != "" && (class == "" || c == Unreadable) {
			return c, why
		}
	}
	return class, detail
}

// look asks a bucket for the attributes of an object, and reads it when the audit is deep. corrupt says that its bytes
// do not have the digest, proven that they do. read is negative when nothing was read.
func look(ctx context.Context, b store.Bucket, d oci.Digest, opt Options) (_ store.Attrs, corrupt, proven bool, read int64, err error) {
	key := store.BlobKey(d)
	if opt.Deep {
		attrs, sum, err := readObject(ctx, b, key, d, opt.Progress)
		if err != nil {
			return attrs, false, false, -1, err
		}
		return attrs, sum != d.Hex(), sum == d.Hex(), attrs.Size, nil
	}
	attrs, err := b.Head(ctx, key)
	known := err == nil && attrs.SHA256 != "" && d.Algorithm() == "sha256"
	return attrs, known && attrs.SHA256 != d.Hex(), known && attrs.SHA256 == d.Hex(), -1, err
}

// readAttempts is how often a reading that broke off is continued.
const readAttempts = 4

// errChanged says that an object was overwritten while it was read.
var errChanged = errors.New("it was overwritten while it was read")

// readObject reads one version of an object to its end, continuing where it broke off, and hashes it by d's algorithm.
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
			err = nil // a client that complains of a checksum has read to the end: our own hash says what is wrong
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

// counter counts bytes that pass.
type counter struct{ p *Progress }

func (c counter) Write(b []byte) (int, error) {
	c.p.ReadBytes.Add(int64(len(b)))
	return len(b), nil
}

// publicTime bounds one question of the public.
const publicTime = 20 * time.Second

// publicClient asks as anybody: without credentials, and following no redirect, as a probe of the server does.
func publicClient(parallel int) *http.Client {
	return &http.Client{
		Timeout:       publicTime,
		CheckRedirect: outbound.NoRedirect,
		Transport: outbound.New(outbound.Options{
			Dial: 5 * time.Second, Handshake: 5 * time.Second, Header: publicTime, Idle: 30 * time.Second,
			Kept: parallel, HeaderBytes: 64 << 10,
		}),
	}
}

// public asks a store's public URL for a blob that its owner can read.
func public(ctx context.Context, client *http.Client, template string, d oci.Digest, size int64) (Class, string) {
	if template == "" {
		return "", ""
	}
	address := strings.Replace(template, "{digest}", d.String(), 1)
	var class Class
	var why string
	for range readAttempts {
		class, why = publicOnce(ctx, client, address, size)
		if class != Unknown || ctx.Err() != nil {
			break
		}
	}
	return class, why
}

func publicOnce(ctx context.Context, client *http.Client, address string, size int64) (Class, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, address, nil)
	if err != nil {
		return Unknown, err.Error()
	}
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := client.Do(req)
	if err != nil {
		return Unknown, err.Error()
	}
	if err := resp.Body.Close(); err != nil {
		return Unknown, err.Error()
	}
	switch code := resp.StatusCode; {
	case code == http.StatusOK && resp.ContentLength == size:
		return "", ""
	case code == http.StatusOK:
		return Unreadable, fmt.Sprintf("HEAD %s: %d bytes, the bucket has %d", address, resp.ContentLength, size)
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= 500:
		return Unknown, fmt.Sprintf("HEAD %s: %s", address, resp.Status)
	default:
		return Unreadable, fmt.Sprintf("HEAD %s: %s", address, resp.Status)
	}
}
