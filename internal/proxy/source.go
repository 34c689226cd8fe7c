package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/metrics"
	"ociproxy/internal/publication"
	"ociproxy/internal/publication/follow"
)

// source is where the server's configurations come from. Only the loading goroutine calls its methods, except String.
type source interface {
	// String is what messages call it: a file or a URL.
	String() string
	// files are watched: they hold the configuration.
	files() []string
	// news has a value when there may be something to load that no file shows; nil: never.
	news() <-chan struct{}
	// fresh reports whether there is something to load that was not loaded before.
	fresh() bool
	// ask looks for news at once, when an operator says so. It returns when that is done or takes too long.
	ask(context.Context)
	// load returns the newest configuration.
	load() (*config.Config, provenance, error)
	// loaded says that the configuration of the last load is in use, or why it is not.
	loaded(error)
	// good says that the server has served with it. It keeps a copy.
	good(*config.Config) error
}

// provenance says which publication a configuration is; zero for a file.
type provenance struct {
	generation       uint64
	ring, deployment string
}

func (p provenance) String() string { return strconv.FormatUint(p.generation, 10) }

// newSource returns the source that the options name.
func newSource(opt *Options) source {
	switch {
	case opt.Publication != nil:
		return followed{opt.Publication}
	case opt.File != "":
		return plainFile{opt.File, opt.Good}
	}
	return fixed{opt}
}

// plainFile is a configuration file.
type plainFile struct {
	name string
	keep func(*config.Config) error // nil keeps no copy
}

func (f plainFile) String() string      { return f.name }
func (f plainFile) files() []string     { return []string{f.name} }
func (plainFile) news() <-chan struct{} { return nil }
func (plainFile) fresh() bool           { return false } // a changed file shows
func (plainFile) ask(context.Context)   {}
func (plainFile) loaded(error)          {}
func (f plainFile) good(c *config.Config) error {
	if f.keep == nil {
		return nil
	}
	return f.keep(c)
}

func (f plainFile) load() (*config.Config, provenance, error) {
	cfg, err := config.Load(f.name)
	return cfg, provenance{}, err
}

// fixed is the configuration of the options.
type fixed struct{ opt *Options }

func (fixed) String() string            { return "" }
func (fixed) files() []string           { return nil }
func (fixed) news() <-chan struct{}     { return nil }
func (fixed) fresh() bool               { return false }
func (fixed) ask(context.Context)       {}
func (fixed) loaded(error)              {}
func (fixed) good(*config.Config) error { return nil }

func (f fixed) load() (*config.Config, provenance, error) {
	if f.opt.Config == nil {
		return nil, provenance{}, errors.New("proxy: no configuration")
	}
	return f.opt.Config, provenance{}, nil
}

// askTimeout is how long a reload by a signal waits for the URL.
const askTimeout = 5 * time.Second

// followed is a publication.
type followed struct{ *follow.Follower }

func (followed) files() []string         { return nil }
func (p followed) news() <-chan struct{} { return p.News() }
func (p followed) fresh() bool           { return p.Pending() }
func (p followed) loaded(err error)      { p.Used(err) }

func (p followed) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	p.Ask(ctx)
}

func (p followed) load() (*config.Config, provenance, error) {
	from := provenance{ring: p.Ring(), deployment: p.Deployment()}
	c := p.Load()
	if c == nil {
		return nil, from, errors.New("nothing was published that can be used")
	}
	from.generation = c.Generation
	cfg, err := config.ParseIn(c.Dir, c.Name, c.Text)
	return cfg, from, err
}

func (p followed) good(*config.Config) error { return p.Good() }

// publicationState returns what metrics say about a publication.
func publicationState(f *follow.Follower) func() metrics.Publication {
	return func() metrics.Publication {
		s := f.State()
		out := metrics.Publication{OK: s.OK, Checked: s.Checked, Signed: s.Signed, Refused: map[metrics.Refusal]int64{}}
		for _, document := range follow.Documents() {
			for _, fault := range publication.Faults() {
				out.Refused[metrics.Refusal{Document: document, Fault: string(fault)}] = s.Refused[follow.Refusal{Document: document, Fault: fault}]
			}
		}
		return out
	}
}

// serveConfig shows where the configuration in use comes from.
func (s *Server) serveConfig(rw http.ResponseWriter, _ *http.Request) {
	w := s.wiring.Load()
	out := struct {
		Source     string               `json:"source"`
		Hash       string               `json:"hash"`
		Generation uint64               `json:"generation,omitempty"`
		Ring       string               `json:"ring,omitempty"`
		Deployment string               `json:"deployment,omitempty"`
		OK         *bool                `json:"publication_ok,omitempty"`
		Checked    time.Time            `json:"checked,omitzero"`
		Signed     map[string]time.Time `json:"signed,omitempty"`
		Faults     map[string]string    `json:"faults,omitempty"`
	}{Source: s.source.String(), Hash: w.cfg.Hash, Generation: w.from.generation, Ring: w.from.ring, Deployment: w.from.deployment, Faults: map[string]string{}}
	if p := s.opt.Publication; p != nil {
		state := p.State()
		out.OK, out.Checked, out.Signed = &state.OK, state.Checked, state.Signed
		for document, err := range state.Faults {
			out.Faults[document] = err.Error()
		}
	}
	rw.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(rw)
	enc.SetIndent("", "  ")
	_ = enc.Encode(out)
}
