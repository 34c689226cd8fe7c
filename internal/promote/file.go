package promote

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"ociproxy/internal/oci"
)

// FileVersion is the newest format of plan files that this release reads and writes.
const FileVersion = 1

// maxPromotion bounds one promotion of a plan file: hundreds of destinations with hundreds of tags.
const maxPromotion = 16 << 20

// Header says what a plan was made of.
type Header struct {
	Version   int       `json:"version"`
	Made      time.Time `json:"made"`
	By        string    `json:"by,omitempty"`    // program and version
	Manifests string    `json:"manifests"`       // the path from which they were read
	Hash      string    `json:"hash"`            // of their content ([manifest.Tree.Hash])
	Since     string    `json:"since,omitempty"` // the revision to which it is restricted
}

// A plan file is one JSON document: {"header": …, "promotions": [one per line], "summary": …}. It is written and read
// as a stream, because a plan can be larger than the manifests that it was made from.

// Writer writes a plan file.
type Writer struct {
	w     *bufio.Writer
	enc   *json.Encoder
	begun bool
	err   error
}

// NewWriter begins a plan file.
func NewWriter(w io.Writer, h Header) *Writer {
	h.Version = FileVersion
	out := &Writer{w: bufio.NewWriterSize(w, 1<<16)}
	out.enc = json.NewEncoder(out.w)
	out.enc.SetEscapeHTML(false)
	out.text(`{"header": `)
	out.encode(h)
	out.text(`, "promotions": [` + "\n")
	return out
}

// Add writes a promotion.
func (w *Writer) Add(p *Promotion) error {
	if w.begun {
		w.text(", ")
	}
	w.begun = true
	w.encode(p)
	return w.err
}

// Close ends the file; it does not close the underlying writer. Without Close the file is not a plan.
func (w *Writer) Close(s *Summary) error {
	w.text(`], "summary": `)
	w.encode(s)
	w.text("}\n")
	if w.err == nil {
		w.err = w.w.Flush()
	}
	return w.err
}

func (w *Writer) text(s string) {
	if w.err == nil {
		_, w.err = w.w.WriteString(s)
	}
}

func (w *Writer) encode(v any) {
	if w.err == nil {
		w.err = w.enc.Encode(v)
	}
}

// ErrNewerPlan says that a newer release wrote the file.
var ErrNewerPlan = errors.New("this plan has a newer format")

// Reader reads a plan file.
type Reader struct {
	Header Header
	// Summary is set when [Reader.All] has reached the end.
	Summary *Summary
	dec     *json.Decoder
}

// NewReader reads the header of a plan file.
func NewReader(r io.Reader) (*Reader, error) {
	out := &Reader{dec: json.NewDecoder(bufio.NewReaderSize(r, 1<<16))}
	if err := out.expect(json.Delim('{'), "header"); err != nil {
		return nil, err
	}
	if err := out.dec.Decode(&out.Header); err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	if v := out.Header.Version; v > FileVersion {
		return nil, fmt.Errorf("read plan: %w: %d; this release reads %d", ErrNewerPlan, v, FileVersion)
	}
	return out, out.expect("promotions", json.Delim('['))
}

// All yields the promotions. The last pair may be an error, for example if the file ends too early.
func (r *Reader) All() iter.Seq2[*Promotion, error] {
	return func(yield func(*Promotion, error) bool) {
		for r.dec.More() {
			p := new(Promotion)
			before := r.dec.InputOffset()
			if err := r.dec.Decode(p); err != nil {
				yield(nil, fmt.Errorf("read plan: %w", err))
				return
			}
			if r.dec.InputOffset()-before > maxPromotion {
				yield(nil, fmt.Errorf("read plan: a promotion of more than %d bytes", maxPromotion))
				return
			}
			if err := p.check(); err != nil {
				yield(nil, fmt.Errorf("read plan: %w", err))
				return
			}
			if !yield(p, nil) {
				return
			}
		}
		s := new(Summary)
		err := r.expect(json.Delim(']'), "summary")
		if err == nil {
			err = r.dec.Decode(s)
		}
		if err == nil {
			err = r.expect(json.Delim('}'))
		}
		if err != nil {
			yield(nil, fmt.Errorf("read plan: %w", err))
			return
		}
		r.Summary = s
	}
}

// expect reads the tokens that must come next.
func (r *Reader) expect(tokens ...json.Token) error {
	for _, want := range tokens {
		got, err := r.dec.Token()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("read plan: %w", err)
		}
		if got != want {
			return fmt.Errorf("read plan: %v where %v should be: this is no plan", got, want)
		}
	}
	return nil
}

// check makes sure that [Make] could have made a promotion from a file, because later code trusts names.
func (p *Promotion) check() error {
	if p.Digest.IsZero() || len(p.To) == 0 {
		return errors.New("a promotion without digest or destination")
	}
	for _, name := range append([]string{p.From}, p.repositories()...) {
		if !ValidRepository(name) {
			return fmt.Errorf("%q is no repository", name)
		}
	}
	for _, t := range p.To {
		for _, tag := range t.Tags {
			if !oci.ValidTag(tag.Name) {
				return fmt.Errorf("%q is no tag", tag.Name)
			}
			if tag.Merge && !MergedTag(tag.Name) {
				return fmt.Errorf("the tag %s cannot be merged", tag.Name)
			}
		}
	}
	return nil
}

func (p *Promotion) repositories() []string {
	out := make([]string, len(p.To))
	for i, t := range p.To {
		out[i] = t.Repository
	}
	return out
}
