package outbound

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestNextLinks(t *testing.T) {
	const want = "/v2/a/tags/list?last=b&n=2"
	for name, c := range map[string]struct {
		lines []string
		want  string
		bad   bool
	}{
		"as everybody writes it":          {lines: []string{`</v2/a/tags/list?last=b&n=2>; rel="next"`}, want: want},
		"no quotes":                       {lines: []string{`</v2/a/tags/list?last=b&n=2>;rel=next`}, want: want},
		"any case, any space":             {lines: []string{" \t</v2/a/tags/list?last=b&n=2> \t;\tREL  = \"NeXt\" "}, want: want},
		"a word of several":               {lines: []string{`</v2/a/tags/list?last=b&n=2>; rel="last  next"`}, want: want},
		"prev before next":                {lines: []string{`</v2/a/tags/list?last=a>; rel="prev", </v2/a/tags/list?last=b&n=2>; rel="next"`}, want: want},
		"next before prev":                {lines: []string{`</v2/a/tags/list?last=b&n=2>; rel="next", </v2/a/tags/list?last=a>; rel="prev"`}, want: want},
		"several lines":                   {lines: []string{`</x>; rel=prev`, `, ,</v2/a/tags/list?last=b&n=2>; rel=next`}, want: want},
		"other parameters":                {lines: []string{`</v2/a/tags/list?last=b&n=2>; title="a \"b\", <c>; rel=prev"; type=text/html; crossorigin; rel="next"`}, want: want},
		"the first rel counts":            {lines: []string{`</x>; rel=prev; rel=next`}},
		"next in a title":                 {lines: []string{`</x>; rel=prev; title="; rel=next"`}},
		"next in a target":                {lines: []string{`</x?rel="next">; rel="prev"`}},
		"next in a longer word":           {lines: []string{`</x>; rel="next-archive"`}},
		"about another page":              {lines: []string{`</x>; rel=next; anchor="#foo"`}},
		"no rel":                          {lines: []string{`</v2/a/tags/list?last=b&n=2>`}, want: want},
		"one without rel, then next":      {lines: []string{`</x>, </v2/a/tags/list?last=b&n=2>; rel=next`}, want: want},
		"a comma in a target":             {lines: []string{`</x?a,b>; rel=next`}, want: "/x?a,b"},
		"absolute":                        {lines: []string{`<https://r.example/v2/x>; rel=next`}, want: "https://r.example/v2/x"},
		"a blank within":                  {lines: []string{`< /v2/a/tags/list?last=b&n=2 >; rel=next`}, want: want},
		"about this page":                 {lines: []string{`</v2/a/tags/list?last=b&n=2>; rel=next; anchor="/v2/a/tags/list"`}, want: want},
		"about this page, too":            {lines: []string{`</v2/a/tags/list?last=b&n=2>; anchor=""; rel=next`}, want: want},
		"about another list":              {lines: []string{`</v2/a/tags/list?last=b&n=2>; rel=next; anchor="/v2/b/tags/list"`}},
		"nonsense, next in a line":        {lines: []string{`garbage, </v2/a/tags/list?last=b&n=2>; rel=next`}, want: want},
		"none":                            {},
		"empty":                           {lines: []string{" , "}},
		"no target":                       {lines: []string{`/v2/a; rel="next"`}, bad: true},
		"half a target":                   {lines: []string{`</v2/a; rel="next"`}, bad: true},
		"half a string":                   {lines: []string{`</v2/a>; rel="next`}, bad: true},
		"no semicolon":                    {lines: []string{`</v2/a> rel="next"`}, bad: true},
		"nonsense, then a line with next": {lines: []string{`garbage`, `</x>; rel="prev`, `</v2/a/tags/list?last=b&n=2>; rel="next"`}, want: want},
		"nonsense, then one without rel":  {lines: []string{`garbage`, `</x>`}, bad: true},
		"next, then nonsense":             {lines: []string{`</v2/a/tags/list?last=b&n=2>; rel="next", nonsense`}, want: want},
	} {
		links, err := NextLinks(http.Header{"Link": c.lines})
		got := ""
		if len(links) > 0 {
			got = links[0]
		}
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%s: %q, %v; want %q, an error: %v", name, got, err, c.want, c.bad)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"0": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "-1": 0, "99999999": MaxPause,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second, "Fri, 02 Jan 2026 03:04:00 GMT": 0,
	} {
		if got, ok := RetryAfter(http.Header{"Retry-After": {text}}, now); !ok || got != want {
			t.Errorf("%q: %v %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "soon", "1.5", "99999999999999999999"} {
		if got, ok := RetryAfter(http.Header{"Retry-After": {text}}, now); ok {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzHeaders(f *testing.F) {
	for _, s := range []string{`</v2/a>; rel="next", <b>; title="x\"y"`, "<", "120", "-1", "99999999999999999999", "Fri, 31 Dec 1999 23:59:59 GMT"} {
		f.Add(s)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		links, err := NextLinks(http.Header{"Link": {s}})
		for _, link := range links {
			if !strings.Contains(s, link) || err != nil {
				t.Fatalf("link %q: %q, %v", s, link, err)
			}
		}
		if d, ok := RetryAfter(http.Header{"Retry-After": {s}}, now); d < 0 || d > MaxPause || !ok && d != 0 {
			t.Fatalf("Retry-After %q: %v", s, d)
		}
	})
}
