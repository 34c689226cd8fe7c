package targets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ociproxy/internal/inventory"
	"ociproxy/internal/outbound"
	"ociproxy/internal/store"
	"ociproxy/internal/wait"
)

// anonymous asks as a client does: without credentials, and without following redirects, since the server sends
// clients to the URL itself.
type anonymous struct {
	client    *http.Client
	transport *http.Transport
	pause     time.Duration // before it asks again; doubled each time
}

func newAnonymous() anonymous {
	t := newTransport()
	return anonymous{transport: t, pause: lookPause, client: &http.Client{
		Transport: outbound.Explaining(t), Timeout: 30 * time.Second,
		CheckRedirect: outbound.NoRedirect,
	}}
}

func (s anonymous) close() { s.transport.CloseIdleConnections() }

// seen is what an anonymous client gets.
type seen struct {
	status int
	header http.Header
	body   []byte // the beginning
}

const (
	lookTries = 4
	lookPause = 500 * time.Millisecond // a new object, or a new policy, may take a moment to show
)

// look reads at most max bytes of a URL. It repeats that a few times, until good accepts the answer.
func (s anonymous) look(ctx context.Context, address string, max int64, good func(seen) error) error {
	pause := s.pause
	for try := 1; ; try++ {
		got, err := s.once(ctx, address, max)
		if err == nil {
			err = good(got)
		}
		if err == nil || try == lookTries || ctx.Err() != nil || outbound.Certain(err) {
			return err
		}
		if err := wait.For(ctx, pause); err != nil {
			return err
		}
		pause *= 2
	}
}

func (s anonymous) once(ctx context.Context, address string, max int64) (got seen, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return got, errors.New("bad URL")
	}
	req.Header.Set("User-Agent", "oci-proxyctl")
	resp, err := s.client.Do(req)
	if err != nil {
		return got, fmt.Errorf("%w: no answer: %w", store.ErrUnfit, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, max))
	if err != nil {
		return got, fmt.Errorf("%w: the answer breaks off: %w", store.ErrUnfit, err)
	}
	return seen{resp.StatusCode, resp.Header, body}, nil
}

// shows makes sure that the URLs of a store's blobs show the probe. Its header must be right, too, but only when the
// probe is ours: another tool may have put it there before.
func (f *Set) shows(ctx context.Context, s *Store, ours bool) error {
	templates := []string{s.Config.URL}
	if s.Config.Check != s.Config.URL && s.Config.Check != "" {
		templates = append(templates, s.Config.Check)
	}
	for i, template := range templates {
		address := strings.Replace(template, "{digest}", Probe, 1)
		// A CDN may set its own cache times.
		strict := ours && !strings.HasPrefix(s.Config.Bucket, "file:") && (s.Config.CDN == "" || i > 0)
		err := f.anon.look(ctx, address, int64(len(probeText))+512, func(got seen) error { return showsProbe(got, strict) })
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("the public URL %s: %w", address, err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// showsProbe returns what is wrong with what an anonymous client sees in place of the probe.
func showsProbe(got seen, strict bool) error {
	if err := readable(got); err != nil {
		return err
	}
	switch encoding := outbound.Encoding(got.header); {
	case encoding != "":
		return unfit("has the Content-Encoding %q: clients would not get the bytes of the digest", encoding)
	case isPage(got):
		return unfit("shows a web page in place of the object that was just written to the bucket: is it the URL of the bucket, or of a web console?")
	case string(got.body) != probeText:
		return unfit("shows something else than the object that was just written to the bucket: another bucket, or another prefix")
	}
	if control := got.header.Get("Cache-Control"); strict && !keepsForGood(control) {
		return unfit("shows Cache-Control %q, not the %q that was written: something in between replaces it", control, store.BlobHeader.CacheControl)
	}
	return nil
}

// readable returns why an anonymous client cannot read something.
func readable(got seen) error {
	switch code := got.status; {
	case code == http.StatusOK:
		return nil
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return unfit("is not public: status %d for an object that was just written; let everybody read objects", code)
	case code == http.StatusNotFound:
		return unfit("does not show the bucket: status 404 for an object that was just written; another bucket or prefix, or not public")
	case code >= 300 && code < 400:
		where := "elsewhere"
		if u, err := url.Parse(got.header.Get("Location")); err == nil && u.Host != "" {
			where = "to " + u.Host
		}
		return unfit("redirects %s (status %d): the server follows no redirect of a store", where, code)
	default:
		return unfit("answers with status %d", code)
	}
}

func unfit(format string, args ...any) error {
	return fmt.Errorf("%w: it %s", store.ErrUnfit, fmt.Sprintf(format, args...))
}

func isPage(got seen) bool {
	return strings.Contains(got.header.Get("Content-Type"), "html") || bytes.HasPrefix(bytes.TrimSpace(bytes.ToLower(got.body)), []byte("<!doctype"))
}

// keepsForGood compares directives, for some servers write them in another order or without blanks.
func keepsForGood(control string) bool {
	has := map[string]bool{}
	for d := range strings.SplitSeq(strings.ToLower(control), ",") {
		has[strings.TrimSpace(d)] = true
	}
	for d := range strings.SplitSeq(store.BlobHeader.CacheControl, ",") {
		if !has[strings.TrimSpace(d)] {
			return false
		}
	}
	return true
}

// showsInventory makes sure that the URL of a store's inventory shows the one that is written.
func (f *Set) showsInventory(ctx context.Context, i int) error {
	s := f.Stores[i]
	if !s.Config.Inventory.Enabled() {
		return nil
	}
	const key = store.InventoryPrefix + inventory.HeadName
	before, err := f.head(ctx, s, key)
	if errors.Is(err, store.ErrNotFound) {
		if err = f.Ledger.FlushStore(ctx, i); err != nil { // writes the first one
			return fmt.Errorf("write the inventory: %w", err)
		}
		before, err = f.head(ctx, s, key)
	}
	if err != nil {
		return fmt.Errorf("read the inventory: %w", err)
	}
	address := s.Config.Inventory.URL + inventory.HeadName
	err = f.anon.look(ctx, address, inventory.MaxHeadBytes+1, func(got seen) error {
		if err := readable(got); err != nil {
			return err
		}
		head, err := inventory.ParseHead(got.body)
		switch {
		case err != nil && isPage(got):
			return unfit("shows a web page, not the inventory that is in the bucket")
		case err != nil:
			return unfit("shows something that is no inventory: %v", err)
		case head.Store != s.Name():
			return unfit("shows the inventory of %q", head.Store)
		case head.Generation < before.Generation:
			return unfit("shows an older inventory than the bucket has, generation %d after %d: something in between keeps it, though it says no-cache", head.Generation, before.Generation)
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("the inventory's URL %s: %w", address, err)
	}
	return err
}

// head reads the head that is in the bucket.
func (f *Set) head(ctx context.Context, s *Store, key string) (*inventory.Head, error) {
	body, _, err := s.Bucket.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, inventory.MaxHeadBytes+1))
	if err != nil {
		return nil, err
	}
	return inventory.ParseHead(text)
}
