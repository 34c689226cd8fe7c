package demo

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/cli"
)

// report is what `demo --once --output json` writes.
type report struct {
	Image   string  `json:"image"`
	Digest  string  `json:"digest"`
	OK      bool    `json:"ok"`
	Clients []*pull `json:"clients"`
	// Fleet and Blocked are played after the clients' pulls.
	Fleet   *fleet   `json:"fleet,omitempty"`
	Blocked *blocked `json:"blocked,omitempty"`
}

// pull is one client's pull.
type pull struct {
	client client

	Client   string `json:"client"`
	Address  string `json:"address"`
	Claims   string `json:"claims,omitempty"` // the address that a spoofer put into the header
	Platform string `json:"platform"`
	// Place is where the proxy locates the client; "" for unknown.
	Place    string   `json:"place"`
	OK       bool     `json:"ok"`
	Problems []string `json:"problems,omitempty"`
	Pieces   []*piece `json:"pieces"`
}

// piece is one manifest or blob of a pull.
type piece struct {
	Name   string `json:"name"` // index, manifest, config or the name of a layer
	Digest string `json:"digest"`
	// WentTo is the name of the upstream or store that sent the piece.
	WentTo   string `json:"wentTo"`
	Location string `json:"location"`
	// Reason is the proxy's reason for its decision, as in metrics and logs.
	Reason string `json:"reason"`
	// PassedBy are the candidates that ranked better but do not hold the piece.
	PassedBy []string `json:"passedBy,omitempty"`
	Bytes    int64    `json:"bytes"`
	DigestOK bool     `json:"digestOK"`
}

// why returns the reason in words for a person.
func (s *piece) why() string {
	if len(s.PassedBy) > 0 {
		return "not in " + strings.Join(s.PassedBy, ", ")
	}
	return s.Reason
}

// row is a line of the table: the pieces of one client that came from one node
// for one reason.
type row struct {
	wentTo, why string
	pieces      []string
	bytes       int64
	good        int
}

// rows groups the pieces, in the order in which they were pulled.
func (p *pull) rows() []row {
	var rows []row
	for _, s := range p.Pieces {
		i := slices.IndexFunc(rows, func(r row) bool { return r.wentTo == s.WentTo && r.why == s.why() })
		if i < 0 {
			i = len(rows)
			rows = append(rows, row{wentTo: s.WentTo, why: s.why()})
		}
		rows[i].pieces = append(rows[i].pieces, s.Name)
		rows[i].bytes += s.Bytes
		if s.DigestOK {
			rows[i].good++
		}
	}
	return rows
}

// writeText writes the report as a table, followed by the problems.
func (r *report) writeText(w io.Writer, color bool) error {
	if _, err := fmt.Fprintf(w, "%s  %s\n\n", r.Image, r.Digest); err != nil {
		return err
	}
	t := cli.Table{
		Header:  []string{"CLIENT", "PLACE", "WENT TO", "WHY", "BYTES", "DIGEST OK"},
		Color:   color,
		Painted: 5,
		Paint: func(cell string) cli.Color {
			if strings.HasPrefix(cell, "no") {
				return cli.Red
			}
			return cli.Green
		},
	}
	for _, p := range r.Clients {
		name, where := p.Client, p.where()
		for _, row := range p.rows() {
			t.Row(name, where, row.wentTo, strings.Join(row.pieces, ", ")+": "+row.why,
				humanize.IBytes(uint64(row.bytes)), row.verdict())
			name, where = "", ""
		}
	}
	if _, err := t.WriteTo(w); err != nil {
		return err
	}
	if err := r.writeScenes(w); err != nil {
		return err
	}
	if r.OK {
		_, err := fmt.Fprintf(w, "\nAll %d clients got every byte from where they should have.\n", len(r.Clients))
		return err
	}
	if _, err := fmt.Fprintln(w, "\nNot as it should be:"); err != nil {
		return err
	}
	if f := r.Fleet; f != nil && !f.OK {
		if _, err := fmt.Fprintf(w, "  fleet: %d of %d requests went past %s\n", f.Past, f.Requests, f.Store); err != nil {
			return err
		}
	}
	if b := r.Blocked; b != nil && !b.OK {
		if _, err := fmt.Fprintf(w, "  blocked: %s\n", b.Problem); err != nil {
			return err
		}
	}
	for _, p := range r.Clients {
		for _, problem := range p.Problems {
			if _, err := fmt.Fprintf(w, "  %s: %s\n", p.Client, problem); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *report) writeScenes(w io.Writer) error {
	if r.Fleet == nil || r.Blocked == nil {
		return nil
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	if err := r.Fleet.writeText(w); err != nil {
		return err
	}
	return r.Blocked.writeText(w)
}

// where returns the client's place and, for a spoofer, the address it claims.
func (p *pull) where() string {
	where := p.Place
	if where == "" {
		where = "unknown"
	}
	if p.Claims != "" {
		where += " (claims " + p.Claims + ")"
	}
	return where
}

func (r row) verdict() string {
	if r.good == len(r.pieces) {
		return fmt.Sprintf("yes %d/%d", r.good, len(r.pieces))
	}
	return fmt.Sprintf("no %d/%d", r.good, len(r.pieces))
}

// failed counts the clients that have problems.
func (r *report) failed() int {
	n := 0
	for _, p := range r.Clients {
		if !p.OK {
			n++
		}
	}
	return n
}
