package follow

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"ociproxy/internal/outbound"
	"ociproxy/internal/publication"
	"ociproxy/internal/wait"
)

// Every is how often an instance asks. A change must be in effect everywhere within 30 s.
const Every = 15 * time.Second

// Time limits. A round of the three documents and a content must be over before the next one is due twice.
const (
	documentTimeout = 5 * time.Second
	contentTimeout  = 20 * time.Second
	// Patience is how long a start waits for the URL before it uses what it has.
	Patience = 5 * time.Second
)

// Options configure a [Follower].
type Options struct {
	// URL is where the publication lies; see [CheckURL].
	URL string
	// Deployment and Ring are what the documents must name.
	Deployment, Ring string
	// Roots are the root keys.
	Roots []ed25519.PublicKey
	// MaxContent is the largest content, in bytes.
	MaxContent int64
	// Dir is the directory of --last-good; "" keeps nothing.
	Dir string
	// Fallback is a directory with the layout of a publication to start on; "" for none.
	Fallback string
	// Client asks; nil for one with sensible bounds.
	Client *http.Client
	// Logger is told about faults, once for each change; nil discards.
	Logger *slog.Logger
}

// Config is a configuration to use. Its fields do not change.
type Config struct {
	Text []byte
	Name string // what messages call it: its URL or file
	Dir  string // where relative file names in it start; "" is the working directory
	// Generation is that of the head; 0 for a file that was not published.
	Generation uint64
	// Stale says that the head was not signed again for too long.
	Stale bool

	head     *publication.Head  // guarded by Follower.mu, because the head may be signed again
	envelope []byte             // the text of the head, guarded likewise
	trust    *publication.Trust // with a stale head: the trust that believes it
}

// Follower follows one ring of a publication. Its methods may be called by several goroutines, except that Load, Used
// and Good belong to the goroutine that loads configurations.
type Follower struct {
	opt  Options
	log  *slog.Logger
	news chan struct{}

	asking                chan struct{} // holds one element while the documents are asked for
	head, keys, overrides *document     // guarded by asking

	saving sync.Mutex // held while documents are written to the disk

	mu     sync.Mutex // guards all below
	trust  *publication.Trust
	newest *Config // what Load returns
	used   *Config // what the server uses
	loaded *Config // what Load returned last
	good   *Config // what the server has served with: it may be kept
	why    error   // why newest is not used; nil: it is, or nobody has tried yet
	start  []*Config
	state  State
	said   map[string]publication.Fault // what was logged last, by document
	unsaved
}

// CheckURL returns why text cannot be the URL of a publication; nil if it can.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return err
	case u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("want https://HOST/PATH/")
	case u.Scheme == "http" && !outbound.Loopback(u.Host):
		return errors.New("want https: plain http is for loopback only")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("want no user, query or fragment")
	case !strings.HasSuffix(u.Path, "/"):
		return errors.New("want a slash at the end: the documents lie below it")
	}
	return nil
}

// New makes a follower. It asks nobody.
func New(opt Options) (*Follower, error) {
	if err := CheckURL(opt.URL); err != nil {
		return nil, fmt.Errorf("%s: %w", opt.URL, err)
	}
	if err := publication.CheckName(opt.Deployment); err != nil {
		return nil, fmt.Errorf("deployment %w", err)
	}
	if err := publication.CheckName(opt.Ring); err != nil {
		return nil, fmt.Errorf("ring %w", err)
	}
	if len(opt.Roots) == 0 {
		return nil, errors.New("no root key: nothing could be believed")
	}
	if opt.Client == nil {
		opt.Client = &http.Client{Transport: outbound.New(outbound.Options{
			Dial: 3 * time.Second, Handshake: 3 * time.Second, Header: documentTimeout, Idle: time.Minute,
			Connections: 4, Kept: 4, HeaderBytes: 64 << 10, Decompress: true,
		})}
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Follower{
		opt: opt, log: opt.Logger, news: make(chan struct{}, 1), asking: make(chan struct{}, 1), said: map[string]publication.Fault{},
		trust: &publication.Trust{Deployment: opt.Deployment, Roots: opt.Roots},
		state: State{Refused: map[Refusal]int64{}},
	}
	f.head = f.document(publication.HeadName(opt.Ring))
	f.keys = f.document(publication.KeysName)
	f.overrides = f.document(publication.OverridesName)
	return f, nil
}

// String returns the URL.
func (f *Follower) String() string { return f.opt.URL }

// Ring returns the ring that f follows.
func (f *Follower) Ring() string { return f.opt.Ring }

// Deployment returns the deployment whose documents f believes.
func (f *Follower) Deployment() string { return f.opt.Deployment }

// SetLogger replaces the logger. Call it before Run.
func (f *Follower) SetLogger(log *slog.Logger) { f.log = log }

// News has a value after there was a new configuration for Load.
func (f *Follower) News() <-chan struct{} { return f.news }

// Run asks every 15 seconds until ctx is done. It calls overrides with each new list of them.
func (f *Follower) Run(ctx context.Context, overrides func(*publication.Overrides)) {
	given := f.Overrides()
	for wait.For(ctx, wait.About(Every)) == nil {
		f.Ask(ctx)
		if o := f.Overrides(); o != given {
			given = o
			overrides(o)
		}
	}
}

// Overrides returns the newest overrides that were believed; nil: none.
func (f *Follower) Overrides() *publication.Overrides {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.trust.Overrides()
}

// Pending reports whether Load would return a configuration that it has not returned before.
func (f *Follower) Pending() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.newest != f.loaded
}

// Load returns the newest configuration; nil: there is none. The caller reports with Used what became of it.
func (f *Follower) Load() *Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loaded = f.newest
	return f.loaded
}

// Offer makes c what Load returns, until a newer one is published.
func (f *Follower) Offer(c *Config) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.newest, f.why = c, nil
}

// Used says that the configuration of the last Load is in use, or why it cannot be. Only one that is in use counts as
// accepted: no earlier generation is believed after it.
func (f *Follower) Used(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.loaded
	switch {
	case c == nil:
	case err == nil:
		f.used = c
		if c.trust != nil {
			c.trust.MaxAge = f.trust.MaxAge
			f.trust = c.trust
		}
		if c.head != nil {
			f.trust.Adopt(c.head)
		}
		if c == f.newest {
			f.why = nil
			f.settle(wordContent, nil)
		}
	case c == f.newest && c != f.used:
		f.why = err
		f.said[wordContent] = publication.Refused // the server logs this itself
		f.settle(wordContent, &publication.Error{Fault: publication.Refused, Name: c.Name, Err: err})
	}
}

// Generation returns the generation in use; 0 for a file that was not published.
func (f *Follower) Generation() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.used == nil {
		return 0
	}
	return f.used.Generation
}
