package admit

import (
	"fmt"
	"html/template"
	"io"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
)

// Pages is the set of pages of a port. Its / lists them: as a page with links for browsers, and as text for other
// clients. So does its /-/, also where / has a page for browsers. Add all pages before the first request. Then ServeHTTP
// may be called from several goroutines.
type Pages struct {
	title    string
	mux      http.ServeMux
	list     []page
	patterns []string
	front    http.HandlerFunc // nil: / is the list for browsers too
}

// page is one line of the list.
type page struct{ Method, Path, What string }

// NewPages returns Pages with only the list. The title says which program and port this is.
func NewPages(title string) *Pages {
	p := &Pages{title: title}
	p.add("GET /{$}", p.root)
	p.add("GET /-/{$}", p.index)
	return p
}

// Front makes h answer / for browsers. Other clients get the list there. what describes it in a few words.
func (p *Pages) Front(what string, h http.HandlerFunc) {
	p.front = h
	p.list = append(p.list, page{http.MethodGet, "/", what})
}

// Patterns returns all patterns, as they were given to Handle, and those of the lists.
func (p *Pages) Patterns() []string { return slices.Clone(p.patterns) }

func (p *Pages) add(pattern string, h http.HandlerFunc) {
	p.mux.HandleFunc(pattern, h)
	p.patterns = append(p.patterns, pattern)
}

// browser reports whether a client asks for a page for people.
func browser(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

func (p *Pages) root(rw http.ResponseWriter, r *http.Request) {
	if p.front != nil && browser(r) {
		rw.Header().Set("Vary", "Accept")
		p.front(rw, r)
		return
	}
	p.index(rw, r)
}

// Handle adds h for a pattern with a method, as in [http.ServeMux]: "GET /metrics". what describes the page in a few
// words. If what is "", the list omits the page; use this for pages that another page links to.
func (p *Pages) Handle(pattern, what string, h http.HandlerFunc) {
	p.add(pattern, h)
	if method, path, ok := strings.Cut(pattern, " "); ok && what != "" {
		p.list = append(p.list, page{method, path, what})
	}
}

// ServeHTTP serves the requested page.
func (p *Pages) ServeHTTP(rw http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(rw, r) }

var indexPage = template.Must(template.New("index").Parse(`<!doctype html>
<title>{{.Title}}</title>
<h1>{{.Title}}</h1>
<table>
{{range .List}}<tr><td>{{.Method}}<td>{{if eq .Method "GET"}}<a href="{{.Path}}">{{.Path}}</a>{{else}}{{.Path}}{{end}}<td>{{.What}}
{{end}}</table>
`))

func (p *Pages) index(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Vary", "Accept")
	if browser(r) {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = indexPage.Execute(rw, struct { // ignore the error: the reader may be gone
			Title string
			List  []page
		}{p.title, p.list})
		return
	}
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(rw, p.title+"\n\n")
	table := tabwriter.NewWriter(rw, 0, 0, 2, ' ', 0)
	for _, line := range p.list {
		fmt.Fprintf(table, "%s\t%s\t%s\n", line.Method, line.Path, line.What)
	}
	_ = table.Flush()
}
