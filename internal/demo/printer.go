package demo

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/cli"
)

// printer writes the demo's output for its user, as text or JSON. It is safe
// for concurrent use, because nodes report from their own goroutines.
type printer struct {
	json, color bool

	mu sync.Mutex
	w  io.Writer
}

// report writes the outcome of a run. Its error is the error of the run.
func (p *printer) report(r *report) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if p.json {
		err = cli.WriteJSON(p.w, r)
	} else {
		err = r.writeText(p.w, p.color)
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if n := r.failed(); n > 0 {
		return fmt.Errorf("%d of %d clients did not get what they should have", n, len(r.Clients))
	}
	if !r.OK {
		return errors.New("a fleet left its store, or a client that cannot reach its store did not get through")
	}
	return nil
}

// guide writes what to try.
func (p *printer) guide(g *guide) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if p.json {
		err = cli.WriteJSONLine(p.w, g)
	} else {
		err = guideTemplate.Execute(p.w, g)
	}
	if err != nil {
		return fmt.Errorf("write what to try: %w", err)
	}
	return nil
}

// proxyAgent is the User-Agent of the proxy's own requests.
const proxyAgent = "oci-proxy"

// sent is the JSON line for content that a node has sent.
type sent struct {
	From   string `json:"from"`
	Client string `json:"client"`
	Digest string `json:"digest"`
	Status int    `json:"status"`
	Bytes  int64  `json:"bytes"`
}

// entry writes a line when a node has sent content to a client. It writes
// nothing for the proxy's own checks and probes, and for the demo's own traffic.
func (p *printer) entry(e entry) {
	if e.Method != http.MethodGet || e.Digest == "" || e.Bytes == 0 || e.Client == proxyAgent || strings.HasPrefix(e.Client, agent+trafficName) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// Ignore errors: if the reader is gone, the demo continues to serve.
	if p.json {
		_ = cli.WriteJSONLine(p.w, sent{e.Node, e.Client, e.Digest, e.Status, e.Bytes})
		return
	}
	who, _, _ := strings.Cut(e.Client, " ") // docker's full name fills a screen
	_, _ = fmt.Fprintf(p.w, "%-18s sent %8s of %.19s to %s\n", e.Node, humanize.IBytes(uint64(e.Bytes)), e.Digest, cli.OneLine(who))
}

// hint tells a person what to type. Programs that read JSON know it.
func (p *printer) hint(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.json {
		_, _ = fmt.Fprintln(p.w, text)
	}
}
