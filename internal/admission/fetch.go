package admission

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/oci"
)

// transport makes connections in the given IP families only, tried in that order, and without a proxy of the
// environment: clients have none.
func transport(timeout time.Duration, families ...judge.Family) *http.Transport {
	return judge.Transport(net.DefaultResolver.LookupNetIP, nil, timeout, families...)
}

// kept is how many bytes of a body are kept, to recognise a web page.
const kept = 512

// got is an answer whose body was read, and not kept.
type got struct {
	judge.Answer
	n     int64         // bytes of the body
	first time.Duration // from the request to the first byte of the body
	rest  time.Duration // from there to the end
}

// read sends a GET and writes the body into into. It stops after most bytes and then breaks the connection; a negative
// most reads everything. size is what to expect; it extends the time limit.
func (r *run) read(ctx context.Context, client *http.Client, at string, header map[string]string, into io.Writer, size, most int64) (g got) {
	g.Length = -1
	ctx, cancel := context.WithTimeout(ctx, r.patience(size))
	defer cancel() // breaks the connection when the body was not read to its end
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		g.Err = errors.New("bad URL")
		return g
	}
	req.Header.Set("User-Agent", r.opt.UserAgent)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	began := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		g.Err = bare(err)
		return g
	}
	defer resp.Body.Close()
	g.Status, g.Header, g.Length = resp.StatusCode, resp.Header, resp.ContentLength
	if to, err := resp.Location(); err == nil && resp.StatusCode/100 == 3 {
		g.Location = to
	}
	body := io.Reader(resp.Body)
	if most >= 0 {
		body = io.LimitReader(body, most)
	}
	g.Body = make([]byte, kept)
	n, err := io.ReadFull(body, g.Body)
	g.Body, g.first = g.Body[:n], time.Since(began)
	_, _ = into.Write(g.Body) // a hash or a buffer
	g.n = int64(n)
	if err == nil {
		var more int64
		more, err = io.Copy(into, body)
		g.n += more
	}
	g.rest = time.Since(began) - g.first
	if err != nil && !errors.Is(err, io.EOF) && (!errors.Is(err, io.ErrUnexpectedEOF) || g.n < g.Length && most < 0) {
		g.Err = fmt.Errorf("body breaks off after %d bytes: %w", g.n, err)
	}
	return g
}

// patience returns how long a request for size bytes may take. A store that sends less than 64 KiB a second is of no
// use to a client.
func (r *run) patience(size int64) time.Duration {
	return r.opt.Timeout + time.Duration(size/(64<<10))*time.Second
}

// bare removes the URL, which may contain a signature, from an error of net/http.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// sum returns the digest of what was written to h, in the algorithm of like.
func sum(like oci.Digest, h hash.Hash) oci.Digest {
	d, _ := oci.ParseDigest(like.Algorithm() + ":" + hex.EncodeToString(h.Sum(nil))) // zero for an unknown algorithm
	return d
}
