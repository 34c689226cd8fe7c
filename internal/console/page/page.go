// Package page draws a view of the console as a page for a browser: one document, a style sheet and a script, all of
// the page's own origin. It is useful without the script, which only brings what changes.
//
// It knows HTML, and where things lie on a map. It must not know where figures come from, nor who may look.
package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"html/template"
	"io"
	"net/http"
	"strings"

	"ociproxy/internal/console/view"
)

// Style and Script are the files of the page.
var (
	//go:embed style.css
	Style []byte
	//go:embed script.js
	Script []byte
)

// StylePath and ScriptPath are their addresses, relative to the page's. They change with the content.
var (
	StylePath  = "console/style-" + hash(Style) + ".css"
	ScriptPath = "console/script-" + hash(Script) + ".js"
)

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:6])
}

var (
	//go:embed page.html
	text string
	// world is the land of the map as an SVG path; see scripts/worldmap.
	//
	//go:embed world.path
	world string
)

// layout is parsed once. html/template escapes each value for the place where it stands.
var layout = template.Must(template.New("page").Parse(text))

// Section is a part of the page that changes.
type Section struct {
	// ID is the id of the element whose content it is.
	ID   string
	HTML []byte
}

// sections are the parts of the page that change, by their templates, in the order of the page.
var sections = []string{"headline", "figures", "map", "candidates", "flows", "events", "sources"}

// document is what the layout of the whole page gets.
type document struct {
	board
	Style, Script string
	World         string
	Answer        answer
}

// Write writes the whole page. e answers q, or fault says why nothing does; the zero values: nobody asked.
func Write(w io.Writer, v *view.View, e *view.Explanation, q view.Question, fault string) error {
	return write(w, "page", document{
		board: newBoard(v), Style: StylePath, Script: ScriptPath, World: strings.TrimSpace(world), Answer: newAnswer(e, q, fault),
	})
}

// Sections returns the parts of the page that change, as they are now.
func Sections(v *view.View) ([]Section, error) {
	b := newBoard(v)
	out := make([]Section, len(sections))
	for i, id := range sections {
		var html bytes.Buffer
		if err := layout.ExecuteTemplate(&html, id, b); err != nil {
			return nil, err
		}
		out[i] = Section{id, html.Bytes()}
	}
	return out, nil
}

// Explained writes the part of the page that answers q.
func Explained(w io.Writer, e *view.Explanation, q view.Question, fault string) error {
	return write(w, "answer", newAnswer(e, q, fault))
}

// write writes nothing when there is an error.
func write(w io.Writer, name string, data any) error {
	var out bytes.Buffer
	if err := layout.ExecuteTemplate(&out, name, data); err != nil {
		return err
	}
	_, err := w.Write(out.Bytes())
	return err
}

// Security sets the headers that bind the page to its own origin and keep other pages from it.
func Security(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
}
