package inspect

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"sync/atomic"
	"time"

	"ociproxy/internal/atomicfile"
	"ociproxy/internal/fetch"
	"ociproxy/internal/inventory"
	"ociproxy/internal/outbound"
	"ociproxy/internal/pace"
)

// headTimeout bounds the request for a head, as the server's does.
const headTimeout = 10 * time.Second

// Inventory is an inventory that was read completely: every segment has the hash, the order and the count that the head
// says.
type Inventory struct {
	Source Source
	reader *inventory.Reader
	dir    *atomicfile.ScratchDir
}

// Open reads the inventory of src. Its segments are in a temporary directory until [Inventory.Close].
func Open(ctx context.Context, src Source, opt Options) (*Inventory, error) {
	l := newLine(opt)
	defer l.close()
	head, err := l.head(ctx, src)
	if err != nil {
		return nil, err
	}
	if src.Store != "" && head.Store != src.Store {
		return nil, foreign(src, head)
	}
	return l.open(ctx, src, head)
}

// open reads the inventory that head begins.
func (l *line) open(ctx context.Context, src Source, head *inventory.Head) (_ *Inventory, err error) {
	s := &Inventory{Source: src}
	if s.dir, err = atomicfile.MakeScratchDir("oci-proxyctl-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	client := l.following
	s.reader = inventory.NewReader(
		inventory.Store{ID: head.Store, URL: src.URL, StaleAfter: src.StaleAfter},
		inventory.NewSegments(s.dir.Path, 0, client),
		inventory.Options{Dir: s.dir.Path, Client: client, Now: l.opt.Now, MaxStoreRecords: inventory.AllRecords},
	)
	_, err = s.reader.Refresh(ctx)
	return s, err
}

// Close removes the downloads. What it cannot remove is in the system's directory for temporary files anyway.
func (s *Inventory) Close() { _ = s.dir.Remove() }

// Head returns the list of segments. Do not change it.
func (s *Inventory) Head() *inventory.Head { return s.reader.Head() }

// State reports whether readers believe the inventory now.
func (s *Inventory) State() inventory.State { return s.reader.State() }

// Records yields what the store holds: sha256 first, each algorithm ascending. The last pair may be an error.
func (s *Inventory) Records() iter.Seq2[inventory.Record, error] { return s.reader.Records() }

// Totals are sums over blobs.
type Totals struct {
	Blobs int64 `json:"blobs"`
	Bytes int64 `json:"bytes"`
}

// Add counts one blob of n bytes.
func (t *Totals) Add(n int64) {
	t.Blobs++
	t.Bytes += n
}

func foreign(src Source, head *inventory.Head) error {
	return fmt.Errorf("get %s%s: %w: it says %.80q, expected %q", src.URL, inventory.HeadName, inventory.ErrForeign, head.Store, src.Store)
}

// line connects to the stores. It is a transport that counts the bytes that arrive of segments.
type line struct {
	opt       Options
	transport http.RoundTripper
	own       *http.Transport // our own, to close; nil: the caller's

	following *http.Client // for inventories: follows redirects
	straight  *http.Client // for blobs: the store itself must answer

	received, of atomic.Int64
}

func newLine(opt Options) *line {
	l := &line{opt: opt, transport: opt.Transport}
	if l.transport == nil {
		l.own = NewTransport()
		l.transport = l.own
	}
	l.transport = outbound.Explaining(l.transport)
	l.following = &http.Client{Transport: l, CheckRedirect: fetch.CheckRedirect}
	l.straight = &http.Client{
		Transport:     l,
		CheckRedirect: outbound.NoRedirect,
	}
	return l
}

func (l *line) close() {
	if l.own != nil {
		l.own.CloseIdleConnections()
	}
}

// head reads and checks the head. The caller checks that it is the right store's.
func (l *line) head(ctx context.Context, src Source) (*inventory.Head, error) {
	var head *inventory.Head
	f := fetch.New(fetch.Source{
		URL: src.URL + inventory.HeadName, Timeout: headTimeout, MaxBytes: inventory.MaxHeadBytes,
		Client: &http.Client{Transport: l.transport}, // a head does not count as progress
		Accept: "application/json", UserAgent: userAgent,
		Validate: func(body []byte) (err error) {
			head, err = inventory.ParseHead(body)
			return err
		},
	})
	if _, _, err := f.Get(ctx); err != nil {
		return nil, err
	}
	for _, ref := range head.Segments {
		l.of.Add(ref.Bytes)
	}
	return head, nil
}

// moveTime is how long a store may take to move [pace.Window] bytes.
const moveTime = time.Minute

const userAgent = "oci-proxyctl"

// RoundTrip implements [http.RoundTripper].
func (l *line) RoundTrip(req *http.Request) (*http.Response, error) {
	least := pace.Minimum{Bytes: pace.Window, Within: moveTime}
	resp, err := pace.RoundTrip(l.transport, req, least, least.Err())
	if err == nil && l.opt.Progress != nil {
		resp.Body = &counted{ReadCloser: resp.Body, line: l}
	}
	return resp, err
}

type counted struct {
	io.ReadCloser
	line *line
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if n > 0 {
		c.line.opt.Progress(c.line.received.Add(int64(n)), c.line.of.Load())
	}
	return n, err
}
