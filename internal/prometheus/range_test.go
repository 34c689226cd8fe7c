package prometheus

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestQueryRange checks what is asked, and answers as Prometheus 3 writes them.
func TestQueryRange(t *testing.T) {
	from := time.Unix(1000, 0)
	text := `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"candidate":"va"},"values":[[1000,"1"],[1030.5,"2.5"]]},{"metric":{},"values":[]}]}}`
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/p/api/v1/query_range" || r.FormValue("query") != "up" || r.FormValue("step") != "30" ||
			r.FormValue("start") != "1970-01-01T00:16:40Z" || r.FormValue("end") != "1970-01-01T00:17:40Z" {
			t.Errorf("asked %s %v", r.URL, r.Form)
		}
		_, _ = rw.Write([]byte(text))
	}))
	defer srv.Close()
	c, err := New(srv.URL+"/p", none)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() ([]Series, error) {
		return c.QueryRange(t.Context(), "up", from, from.Add(time.Minute), 30*time.Second)
	}
	got, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	want := []Series{{map[string]string{"candidate": "va"}, []Point{{from, 1}, {time.UnixMilli(1030500), 2.5}}}, {map[string]string{}, nil}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, text = range []string{
		`{"status":"success","data":{"resultType":"vector","result":[]}}`, `{"status":"error","errorType":"bad_data","error":"x"}`, `x`,
		`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[["x","1"]]}]}}`,
		`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1]]}]}}`,
	} {
		if _, err := ask(); err == nil {
			t.Errorf("no error for %s", text)
		}
	}
}
