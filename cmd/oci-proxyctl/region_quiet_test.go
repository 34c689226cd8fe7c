package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestQuiet: a store is quiet only if Prometheus has seen the servers, and no redirects of theirs to the store.
func TestQuiet(t *testing.T) {
	for _, c := range []struct {
		servers, redirects string // values of what is asked for; "": no series
		ok                 bool
		want               string
	}{
		{"", "", false, "no metrics of the servers in the last 1m0s"},
		{"12", "", true, "0 redirects"}, // no client was ever sent there
		{"12", "0", true, "0 redirects"},
		{"12", "7.2", false, "7 redirects in the last 1m0s"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			value, result := c.servers, ""
			if strings.Contains(r.FormValue("query"), "redirects") {
				value = c.redirects
			}
			if value != "" {
				result = fmt.Sprintf(`{"metric":{},"value":[1.0,%q]}`, value)
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[%s]}}`, result)
		}))
		fact, known, err := (&app{env: emptyEnv}).quiet(t.Context(), &regional{prom: server.URL}, "s3", time.Minute)
		server.Close()
		if err != nil || !known || fact.OK != c.ok || !strings.Contains(fact.Detail, c.want) {
			t.Errorf("%+v: %+v, %v, %v", c, fact, known, err)
		}
	}
}
