package admit

import (
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
)

// Pages is the set of pages of a port. Its / lists them: as a page with links for browsers, and as text for other
// clients. Add all pages before the first request. Then ServeHTTP may be called from several goroutines.
type Pages struct {
	title string
	mux   http.ServeMux
	list  []page
}

// page is one line of the list.
type page struct{ Method, Path, What string }

// NewPages returns Pages with only the list. The title says which program and port this is.
func NewPages(title string) *Pages {
	p := &Pages{title: title}
	p.mux.HandleFunc("GET /{$}", p.index)
	return p
}

// Handle adds h for a pattern with a method, as in [http.ServeMux]: "GET /metrics". what describes the page in a few
// words. If what is "", the list omits the page; use this for pages that another page links to.
func (p *Pages) Handle(pattern, what string, h http.HandlerFunc) {
	p.mux.HandleFunc(pattern, h)
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
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
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
