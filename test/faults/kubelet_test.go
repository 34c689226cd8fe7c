package faults

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// A kubelet tries a pull this often, with this pause between tries.
const (
	tries   = 3
	between = 5 * time.Second
)

// How long a client waits for the next byte. containerd gives up after five minutes (its image_pull_progress_timeout).
// That number only matters for how long it takes until a single pull notices a hung server. Where servers hang, clients
// here are impatient. Elsewhere they are patient, because a busy machine can make a server slow.
const (
	patience = 2 * time.Minute
	stall    = 10 * time.Second
)

// node pulls through a proxy, as one machine of a cluster does.
type node struct {
	base  string // of the registry: http://host:port
	stall time.Duration
	http  *http.Client
}

// newNode makes a node that resolves names with dial and trusts certificates with trust. Both may be nil.
func newNode(addr string, dial func(context.Context, string, string) (net.Conn, error), trust *tls.Config) *node {
	return &node{base: "http://" + addr, stall: patience, http: &http.Client{Transport: &http.Transport{
		DialContext: dial, TLSClientConfig: trust, MaxIdleConnsPerHost: 4, IdleConnTimeout: 10 * time.Second, DisableCompression: true,
	}}}
}

// pull is the record of one pull.
type pull struct {
	what   string
	client string
	began  time.Time
	failed []failure // tries
	done   bool      // the last try succeeded
	ended  time.Time
}

type failure struct {
	at  time.Time // when the failure was known
	err error
}

func (p *pull) String() string {
	var text []string
	for _, f := range p.failed {
		text = append(text, fmt.Sprintf("+%.1fs %v", f.at.Sub(p.began).Seconds(), f.err))
	}
	return fmt.Sprintf("%s by %s: %s", p.what, p.client, strings.Join(text, "; "))
}

// content is what a node has of an image so far.
type content struct {
	whole map[string][]byte
	part  map[string][]byte // of broken downloads
}

// pull pulls an image, with all tries that a kubelet makes. The caller has taken a place in room; pull gives it back
// while it waits and at its end.
func (n *node) pull(client netip.Addr, repository, tag string, room chan struct{}) *pull {
	p := &pull{what: repository + ":" + tag, client: client.String(), began: time.Now()}
	have := &content{whole: map[string][]byte{}, part: map[string][]byte{}}
	p.try(room, func() error { return n.once(client, repository, tag, have) })
	return p
}

// try calls once, and after each failure again 5 s later, three times at most.
func (p *pull) try(room chan struct{}, once func() error) {
	for i := range tries {
		if i > 0 {
			pause := time.NewTimer(between)
			<-pause.C
			room <- struct{}{}
		}
		err := once()
		<-room
		p.ended = time.Now()
		if err == nil {
			p.done = true
			return
		}
		p.failed = append(p.failed, failure{p.ended, err})
	}
}

const accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"

// once makes one try: HEAD of the tag for its digest, then index, manifest and blobs by digest.
func (n *node) once(client netip.Addr, repository, tag string, have *content) error {
	digest, err := n.resolve(client, repository, tag)
	if err != nil {
		return fmt.Errorf("resolve: %w", err)
	}
	index, err := n.get(client, repository, "manifests", digest, have)
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	var list struct {
		Manifests []struct {
			Digest   string
			Platform struct{ Architecture string }
		}
	}
	if err := json.Unmarshal(index, &list); err != nil {
		return err
	}
	for _, m := range list.Manifests {
		if m.Platform.Architecture != "amd64" {
			continue
		}
		raw, err := n.get(client, repository, "manifests", m.Digest, have)
		if err != nil {
			return fmt.Errorf("manifest: %w", err)
		}
		var manifest struct {
			Config struct{ Digest string }
			Layers []struct{ Digest string }
		}
		if err := json.Unmarshal(raw, &manifest); err != nil {
			return err
		}
		for i, blob := range append(manifest.Layers, manifest.Config) {
			if _, err := n.get(client, repository, "blobs", blob.Digest, have); err != nil {
				return fmt.Errorf("blob %d: %w", i, err)
			}
		}
		return nil
	}
	return errors.New("no image for amd64")
}

func (n *node) resolve(client netip.Addr, repository, tag string) (string, error) {
	resp, stop, err := n.do(client, http.MethodHead, "/v2/"+repository+"/manifests/"+tag, "")
	if err != nil {
		return "", err
	}
	defer stop()
	digest := resp.Header.Get("Docker-Content-Digest")
	if resp.StatusCode != http.StatusOK || digest == "" {
		return "", fmt.Errorf("%s by %s", resp.Status, resp.Request.URL.Host)
	}
	return digest, nil
}

// get returns the content of a digest. It resumes a broken download once, as containerd does, and keeps what it has for
// the next try.
func (n *node) get(client netip.Addr, repository, kind, digest string, have *content) ([]byte, error) {
	if data, ok := have.whole[digest]; ok {
		return data, nil
	}
	path := "/v2/" + repository + "/" + kind + "/" + digest
	data, err := n.rest(client, path, have.part[digest])
	if err != nil && len(data) > len(have.part[digest]) {
		data, err = n.rest(client, path, data)
	}
	if err != nil {
		if kind == "blobs" {
			have.part[digest] = data
		}
		return nil, err
	}
	delete(have.part, digest)
	if sum := fmt.Sprintf("sha256:%x", sha256.Sum256(data)); sum != digest {
		return nil, fmt.Errorf("wrong bytes: want %s, got %d bytes of %s", digest, len(data), sum)
	}
	have.whole[digest] = data
	return data, nil
}

// rest downloads what comes after the bytes in have. It returns all bytes, even with an error.
func (n *node) rest(client netip.Addr, path string, have []byte) ([]byte, error) {
	header := ""
	if len(have) > 0 {
		header = fmt.Sprintf("bytes=%d-", len(have))
	}
	resp, stop, err := n.do(client, http.MethodGet, path, header)
	if err != nil {
		return have, err
	}
	defer stop()
	skip := int64(0)
	switch {
	case len(have) == 0 && resp.StatusCode == http.StatusOK:
	case len(have) > 0 && resp.StatusCode == http.StatusPartialContent:
		if got := resp.Header.Get("Content-Range"); !strings.HasPrefix(got, fmt.Sprintf("bytes %d-", len(have))) {
			return have, fmt.Errorf("asked for %s, got Content-Range %q from %s", header, got, resp.Request.URL.Host)
		}
	case len(have) > 0 && resp.StatusCode == http.StatusOK:
		skip = int64(len(have)) // the server has no ranges: skip what have has
	default:
		return have, fmt.Errorf("%s by %s", resp.Status, resp.Request.URL.Host)
	}
	if _, err := io.CopyN(io.Discard, resp.Body, skip); err != nil {
		return have, err
	}
	var got bytes.Buffer
	_, err = io.Copy(&got, resp.Body)
	if err != nil {
		err = fmt.Errorf("%d bytes from %s: %w", got.Len(), resp.Request.URL.Host, err)
	}
	return append(have[:len(have):len(have)], got.Bytes()...), err
}

// do sends a request and follows redirects. It gives up when nothing arrives for a while. stop ends that watch.
func (n *node) do(client netip.Addr, method, path, rangeHeader string) (*http.Response, func(), error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	watch := time.AfterFunc(n.stall, func() { cancel(fmt.Errorf("nothing for %v", n.stall)) })
	req, err := http.NewRequestWithContext(ctx, method, n.base+path, http.NoBody)
	if err != nil {
		panic(err)
	}
	req.Header.Set("X-Forwarded-For", client.String())
	req.Header.Set("User-Agent", "node")
	if strings.Contains(path, "/manifests/") {
		req.Header.Set("Accept", accept)
	}
	if rangeHeader != "" {
		req.Header.Set("Range", rangeHeader)
	}
	resp, err := n.http.Do(req)
	if err != nil {
		watch.Stop()
		if cause := context.Cause(ctx); cause != nil {
			err = fmt.Errorf("%w (%w)", err, cause)
		}
		cancel(nil)
		return nil, nil, err
	}
	inner := resp.Body
	resp.Body = struct {
		io.Reader
		io.Closer
	}{progress{inner, watch, n.stall}, inner}
	return resp, func() {
		watch.Stop()
		_ = inner.Close()
		cancel(nil)
	}, nil
}

// progress resets the watch at every read.
type progress struct {
	io.Reader
	watch *time.Timer
	stall time.Duration
}

func (p progress) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.watch.Reset(p.stall)
	return n, err
}
