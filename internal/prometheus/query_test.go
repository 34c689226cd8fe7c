package prometheus

import (
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func none(string) string { return "" }

// TestParse has answers as Prometheus 3 writes them.
func TestParse(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []Sample
		err  string
	}{
		"vector": {text: `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"instance":"a"},"value":[1.5,"2.5"]},{"metric":{},"value":[1,"NaN"]},{"metric":{},"value":[1,"-Inf"]}]}}`,
			want: []Sample{{map[string]string{"instance": "a"}, 2.5}, {map[string]string{}, math.NaN()}, {map[string]string{}, math.Inf(-1)}}},
		"scalar":    {text: `{"status":"success","data":{"resultType":"scalar","result":[1.5,"7"]}}`, want: []Sample{{map[string]string{}, 7}}},
		"nothing":   {text: `{"status":"success","data":{"resultType":"vector","result":[]}}`},
		"matrix":    {text: `{"status":"success","data":{"resultType":"matrix","result":[]}}`, err: "it is a matrix"},
		"histogram": {text: `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}}`, err: "it has a histogram"},
		"wrong":     {text: `{"status":"error","errorType":"bad_data","error":"parse error"}`, err: "the expression cannot be used: bad_data: parse error"},
		"html":      {text: `<html>`, err: "no answer of Prometheus"},
		"no number": {text: `{"status":"success","data":{"resultType":"scalar","result":[1,"x"]}}`, err: "is no number"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(200, []byte(tt.text))
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Fatalf("%v, want %q", err, tt.err)
			}
			if d := cmp.Diff(tt.want, got, cmpopts.EquateEmpty(), cmpopts.EquateNaNs()); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestCredentials: they go to the server only, and never over plain HTTP to another machine.
func TestCredentials(t *testing.T) {
	env := func(name string) string { return map[string]string{TokenVariable: "secret"}[name] }
	if _, err := New("http://prometheus.example", env); err == nil {
		t.Error("credentials over plain HTTP")
	}
	for _, bad := range []string{"", "prometheus:9090", "http://user:pw@h", "http://h/?a=b", "ftp://h"} {
		if _, err := New(bad, none); !errors.Is(err, ErrURL) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	var got []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it followed a redirect") }))
	defer elsewhere.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"), r.URL.Path, r.FormValue("query"))
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}))
	defer s.Close()
	c, err := New(s.URL+"/prom/", env)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Query(t.Context(), "up", time.Time{}); err == nil {
		t.Error("a redirect is no answer")
	}
	if d := cmp.Diff([]string{"Bearer secret", "/prom/api/v1/query", "up"}, got); d != "" {
		t.Error(d)
	}
}
