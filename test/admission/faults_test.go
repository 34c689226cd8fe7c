package admission

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"ociproxy/test/image"
	"ociproxy/test/parts"
	"ociproxy/test/shop"
)

// faultCase puts one fault into a good world. It names the check that must find it.
type faultCase struct {
	name  string
	fault fault                        // before the store; nil: none
	own   bool                         // the case changes the bucket, so it gets one of its own
	edit  func(t *testing.T, w *world) // changes the world before the run
	after func(t *testing.T, w *world) // looks at it afterwards
	args  []string                     // besides quick
	want  map[string]string            // results of checks
	says  string                       // in the detail or hint of one of these checks
	admit bool                         // the store is admitted, with a warning
}

// Every check is seen failing: a case for each fault.
func (w *world) faults(t *testing.T) {
	var mu sync.Mutex
	failed, ran := map[string]bool{}, 0
	t.Run("all", func(t *testing.T) { // ends when the parallel cases have ended
		for _, c := range faults() {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				r := w.inject(t, c)
				mu.Lock()
				defer mu.Unlock()
				ran++
				for id, result := range r.results() {
					if result == "error" || result == "warning" {
						failed[family(id)] = true
					}
				}
			})
		}
	})
	if ran != len(faults()) {
		return // -run selected some
	}
	for _, id := range checks(t) {
		if !failed[id] && id != "read.ipv4" && id != "read.ipv6" { // see families
			t.Errorf("no case made %s fail", id)
		}
	}
}

var checkHeading = regexp.MustCompile(`(?m)^### ([a-z][a-z0-9.-]*)$`)

// checks returns the ids of all checks, which are headings of their page.
func checks(t *testing.T) (ids []string) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(parts.Root(), "docs", "admission.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range checkHeading.FindAllStringSubmatch(string(page), -1) {
		ids = append(ids, m[1])
	}
	if len(ids) < 20 {
		t.Fatalf("only %q: are the headings still ids?", ids)
	}
	return ids
}

// family returns the check to which a finding's id belongs: "live" for live.range, "pull" for pull.crane.
func family(id string) string {
	for _, prefix := range []string{"live", "pull"} {
		if strings.HasPrefix(id, prefix+".") {
			return prefix
		}
	}
	return id
}

// inject runs a case.
func (w *world) inject(t *testing.T, c faultCase) record {
	t.Helper()
	is := w.with(t, w.shops)
	if c.own {
		is = w.filled(t)
	}
	if c.fault != nil {
		is.behind(t, serve(t, is.faulty(t, c.fault), "127.0.0.1:0"))
	}
	if c.edit != nil {
		c.edit(t, is)
	}
	r := is.admit(t, slices.Concat(quick, c.args)...)
	if c.after != nil {
		c.after(t, is)
	}
	if (r.Verdict == "pass") != c.admit {
		t.Errorf("verdict %s\n%v", r.Verdict, &r)
	}
	got := r.results()
	said := c.says == ""
	for id, result := range c.want {
		if got[id] != result {
			t.Errorf("%s is %q, want %s\n%v", id, got[id], result, &r)
		}
		for _, f := range r.Findings {
			said = said || f.Check == id && strings.Contains(f.Detail+" "+f.Hint, c.says)
			if f.Result == "error" && f.Hint == "" {
				t.Errorf("%s is an error without a hint: %s", f.Check, f.Detail)
			}
		}
	}
	if !said {
		t.Errorf("no finding says %q\n%v", c.says, &r)
	}
	return r
}

func faults() []faultCase {
	fails := func(ids ...string) map[string]string {
		out := map[string]string{}
		for _, id := range ids {
			out[id] = "error"
		}
		return out
	}
	warns := func(id string) map[string]string { return map[string]string{id: "warning"} }
	return []faultCase{
		{name: "400 to ranges", fault: ranged(anyRange, status(400)),
			want: fails("live.range", "object.range.first", "object.range.middle", "object.range.open", "object.parallel", "object.resume"), says: "400 to a request for the rest"},
		{name: "200 to ranges", fault: ranged(anyRange, whole), want: fails("object.range.open", "object.resume"), says: "a runtime that joins both has a broken layer"},
		{name: "other bytes after a cut", fault: ranged(`=[1-9]\d*-$`, wrongBytes), want: fails("object.resume"), says: "do not have the digest"},
		{name: "400 to the first byte", fault: ranged(`=0-0$`, status(400)), want: fails("object.range.first")},
		{name: "400 to closed ranges", fault: ranged(`=[1-9]\d*-\d+$`, status(400)), want: fails("object.range.middle", "object.parallel")},
		{name: "200 to the last bytes", fault: ranged(`=-\d+$`, whole), want: warns("object.range.suffix"), admit: true},
		{name: "204 past the end", fault: ranged(`^bytes=\d+-$`, pastEnd), want: warns("object.range.past-end"), admit: true},
		{name: "one range at a time", fault: oneAtATime(), want: fails("object.parallel")},
		{name: "web page for anything", fault: unknownOnly(html), want: fails("live.absent.get"), says: "HTML page"},
		{name: "web page at the root", fault: path(`^/[^/]+/$`, html), want: fails("closed.root"), says: "HTML page"},
		{name: "redirects", fault: blobs(redirect), want: fails("object.there"), says: "307 redirects"},
		{name: "a path trick works", fault: path(`passwd`, status(200)), want: fails("closed.path")},
		{name: "wrong Content-Length", fault: blobs(method("HEAD", wrongLength)), want: fails("object.length"), says: "Content-Length 7"},
		{name: "no Content-Length", fault: blobs(method("GET", chunked)), want: fails("object.length"), says: "no Content-Length"},
		{name: "HEAD differs from GET", fault: blobs(method("HEAD", header("ETag", `"other"`))), want: warns("object.head"), admit: true},
		{name: "a byte in the middle of one object", fault: blobs(method("GET", largeOnly(wrongBytes))), want: fails("object.get", "pull.builtin"), says: "hash to"},
		{name: "stale inventory", fault: path(`head\.json$`, old), want: fails("inventory.believed"), says: "it is stale"},
		{name: "broken segment", fault: path(`/seg/`, method("GET", wrongBytes)), want: fails("inventory.read")},
		{name: "inventory as text", fault: path(`head\.json$`, header("Content-Type", "text/plain")), want: warns("inventory.types"), admit: true},
		{name: "slow", fault: ranged(`=0-[1-9]\d{4,}$`, paced(4<<20)), args: []string{"--min-speed", "0.25"}, want: warns("speed.throughput"), admit: true},
		{name: "late", fault: ranged(`=0-[1-9]\d{4,}$`, late(700*time.Millisecond)), args: []string{"--max-first-byte", "3"}, want: warns("speed.first-byte"), admit: true},
		{name: "an object that is gone", own: true, edit: func(t *testing.T, w *world) {
			w.shops[0].Remove(t, shop.Key(w.image.Arch["arm64"].Blobs[1].Digest))
		}, want: fails("object.there"), says: "404"},
		{name: "strangers may write", own: true, edit: policy(`"s3:PutObject"`), after: nothingLeft, want: fails("closed.put")},
		{name: "strangers may list, write and delete", own: true, edit: policy(`"s3:PutObject","s3:DeleteObject","s3:ListBucket"`), after: nothingLeft,
			want: fails("closed.list", "closed.root", "closed.put", "closed.delete")},
		{name: "another owner", edit: func(_ *testing.T, w *world) { w.store()["owner"] = "123456789012" }, want: fails("owner")},
		{name: "an image that is not mirrored", edit: func(t *testing.T, w *world) {
			image.New(t, 17, 10<<10).Push(t, w.registry.Addr, prefix+"/other", "1")
		}, args: []string{"--image", "other:1"}, want: map[string]string{"inventory.listed": "warning", "pull.builtin": "error"}, says: "did not come from the store"},
		{name: "no image", edit: func(_ *testing.T, w *world) { delete(w.config, "mirror") }, want: fails("pull.builtin"), says: "--image"},
		{name: "too few bytes", args: []string{"--bytes", "4MiB"}, want: fails("pull.builtin"), says: "raise --bytes"},
		{name: "too little time", args: []string{"--within", "20ms"}, want: fails("bounds"), says: "raise --within"},
	}
}

var digest = regexp.MustCompile(`/sha256:[0-9a-f]{64}$`)

// blobs applies a fault to requests for blobs.
func blobs(f fault) fault {
	return func(w http.ResponseWriter, r *http.Request, store http.Handler) bool {
		return digest.MatchString(r.URL.Path) && f(w, r, store)
	}
}

const anyRange = ``

// ranged applies a fault to requests for blobs with a Range that matches.
func ranged(pattern string, f fault) fault {
	match := regexp.MustCompile(pattern)
	return blobs(func(w http.ResponseWriter, r *http.Request, store http.Handler) bool {
		span := r.Header.Get("Range")
		return span != "" && match.MatchString(span) && f(w, r, store)
	})
}

// path applies a fault to requests whose path matches.
func path(pattern string, f fault) fault {
	match := regexp.MustCompile(pattern)
	return func(w http.ResponseWriter, r *http.Request, store http.Handler) bool {
		return match.MatchString(r.URL.EscapedPath()) && f(w, r, store)
	}
}

func method(name string, f fault) fault {
	return func(w http.ResponseWriter, r *http.Request, store http.Handler) bool {
		return r.Method == name && f(w, r, store)
	}
}

func status(code int) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
		w.WriteHeader(code)
		return true
	}
}

func html(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, "<!doctype html><title>hello</title>")
	return true
}

func redirect(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
	w.Header().Set("Location", "https://elsewhere.example/")
	w.WriteHeader(http.StatusTemporaryRedirect)
	return true
}

// whole ignores the Range.
func whole(w http.ResponseWriter, r *http.Request, store http.Handler) bool {
	r.Header.Del("Range")
	store.ServeHTTP(w, r)
	return true
}

// unknownOnly applies a fault to what the store does not have.
func unknownOnly(f fault) fault {
	return blobs(func(w http.ResponseWriter, r *http.Request, store http.Handler) bool {
		answer := ask(r, store)
		return answer.Code >= 400 && answer.Code != 416 && f(w, r, store)
	})
}

// ask returns the store's answer.
func ask(r *http.Request, store http.Handler) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	store.ServeHTTP(answer, r.Clone(r.Context()))
	return answer
}

// changed sends the store's answer with another header and body.
func changed(w http.ResponseWriter, answer *httptest.ResponseRecorder, body []byte) bool {
	for k, v := range answer.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(body)
	return true
}

// wrongBytes changes a byte in the middle of the body.
func wrongBytes(w http.ResponseWriter, r *http.Request, store http.Handler) bool {
	answer := ask(r, store)
	body := answer.Body.Bytes()
	if len(body) > 0 {
		body[len(body)/2] ^= 1
	}
	return changed(w, answer, body)
}

// largeOnly applies a fault to the blob that both architectures share, the largest.
func largeOnly(f fault) fault {
	return func(w http.ResponseWriter, r *http.Request, store http.Handler) bool {
		head := r.Clone(r.Context())
		head.Method = http.MethodHead
		head.Header.Del("Range")
		answer := ask(head, store)
		return len(answer.Header().Get("Content-Length")) > 6 && f(w, r, store)
	}
}

// pastEnd answers 204 to a range that begins past the end.
func pastEnd(w http.ResponseWriter, r *http.Request, store http.Handler) bool {
	answer := ask(r, store)
	return answer.Code == http.StatusRequestedRangeNotSatisfiable && status(204)(w, r, store)
}

// oneAtATime answers 503 to a range while it answers another one.
func oneAtATime() fault {
	var busy atomic.Int32
	return ranged(`-\d+$`, func(w http.ResponseWriter, r *http.Request, store http.Handler) bool {
		if busy.Add(1) > 1 {
			defer busy.Add(-1)
			return status(503)(w, r, store)
		}
		defer busy.Add(-1)
		<-time.After(50 * time.Millisecond)
		store.ServeHTTP(w, r)
		return true
	})
}

func wrongLength(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
	w.Header().Set("Content-Length", "7")
	w.WriteHeader(http.StatusOK)
	return true
}

// chunked sends the body without its length.
func chunked(w http.ResponseWriter, r *http.Request, store http.Handler) bool {
	answer := ask(r, store)
	answer.Header().Del("Content-Length")
	for k, v := range answer.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(answer.Code)
	_ = http.NewResponseController(w).Flush()
	_, _ = answer.Body.WriteTo(w)
	return true
}

func header(name, value string) fault {
	return func(w http.ResponseWriter, r *http.Request, store http.Handler) bool {
		answer := ask(r, store)
		answer.Header().Set(name, value)
		return changed(w, answer, answer.Body.Bytes())
	}
}

var (
	writtenAt  = regexp.MustCompile(`"writtenAt": *"[^"]+"`)
	generation = regexp.MustCompile(`"generation": *\d+`)
)

// old makes the head of an inventory old.
func old(w http.ResponseWriter, r *http.Request, store http.Handler) bool {
	if r.Method != http.MethodGet {
		return false
	}
	answer := ask(r, store)
	answer.Header().Del("Content-Length")
	answer.Header().Del("ETag")
	body := writtenAt.ReplaceAll(answer.Body.Bytes(), []byte(`"writtenAt": "2020-01-01T00:00:00Z"`))
	return changed(w, answer, generation.ReplaceAll(body, []byte(`"generation": 1`)))
}

// paced sends this many bytes a second.
func paced(perSecond int) fault {
	return func(w http.ResponseWriter, r *http.Request, store http.Handler) bool {
		answer := ask(r, store)
		for k, v := range answer.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(answer.Code)
		const piece = 64 << 10
		for part := range slices.Chunk(answer.Body.Bytes(), piece) {
			<-time.After(time.Second * piece / time.Duration(perSecond))
			_, _ = w.Write(part)
		}
		return true
	}
}

// late waits before it answers.
func late(d time.Duration) fault {
	return func(http.ResponseWriter, *http.Request, http.Handler) bool {
		<-time.After(d)
		return false
	}
}

// policy lets strangers do more than read.
func policy(actions string) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		t.Helper()
		s := w.shops[0]
		arn := "arn:aws:s3:::" + s.S3Bucket
		objects, list := []string{`"s3:GetObject"`}, ""
		for action := range strings.SplitSeq(actions, ",") {
			if action == `"s3:ListBucket"` {
				list = fmt.Sprintf(`,{"Effect":"Allow","Principal":"*","Action":%s,"Resource":%q}`, action, arn)
			} else {
				objects = append(objects, action)
			}
		}
		text := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":[%s],"Resource":"%s/*"}%s]}`,
			strings.Join(objects, ","), arn, list)
		if _, err := s.Server.Client().PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: &s.S3Bucket, Policy: &text}); err != nil {
			t.Fatal(err)
		}
	}
}

// nothingLeft fails the test when the bucket has something that the mirror did not write.
func nothingLeft(t *testing.T, w *world) {
	t.Helper()
	for _, key := range w.shops[0].List(t, "") {
		if strings.Contains(key, "oci-proxy-admission") {
			t.Errorf("%s was left in the bucket", key)
		}
	}
}
