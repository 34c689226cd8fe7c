package script

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"

	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// runner runs one script.
type runner struct {
	addr    string
	origins map[string]*origin
	vars    map[string]string
	answer  *answer
}

type answer struct {
	status int
	header http.Header
	body   string
}

// Run runs a script file: a txtar archive with the script first and the config in config.yaml. If the archive has no
// config.yaml, Run uses the file config.yaml next to the script. In both, ${NAME} stands for an address or a digest:
// see newRunner.
//
//	http METHOD TARGET [NAME: VALUE]…   send a request exactly as written; \xNN, \r, \n in it are bytes
//	status CODE                         check the status of the answer
//	header NAME == VALUE                or ~ REGEXP, or absent
//	body == TEXT                        or ~ REGEXP, or empty
//	error CODE                          the body is this OCI error
//	asked ORIGIN [METHOD TARGET]…       the origin got exactly these requests since its last `asked`
func Run(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := newRunner(t)
	for _, f := range archive.Files {
		if f.Name == "config.yaml" {
			r.start(t, string(f.Data))
		}
	}
	if r.addr == "" {
		common, err := os.ReadFile(filepath.Join(filepath.Dir(file), "config.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		r.start(t, string(common))
	}
	testscript.Run(t, testscript.Params{
		Files: []string{file}, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			for name, value := range r.vars {
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"http": r.http, "status": r.status, "header": r.header, "body": r.body, "error": r.error, "asked": r.asked,
		},
	})
}

// newRunner starts the origins. Variables: CANONICAL, REPLICA, STORE are their addresses (with http://); DEAD is an
// address where nothing listens. All origins have D1. Only the registries have D2. Only canonical has D3. D512 is a
// sha512 digest that all have.
func newRunner(t *testing.T) *runner {
	t.Helper()
	r := &runner{origins: map[string]*origin{
		"canonical": newOrigin(t, serveRegistry), "replica": newOrigin(t, serveRegistry), "store": newOrigin(t, serveHeld(http.StatusForbidden)),
	}}
	d1, d2, d3 := "sha256:"+strings.Repeat("1", 64), "sha256:"+strings.Repeat("2", 64), "sha256:"+strings.Repeat("3", 64)
	d512 := "sha512:" + strings.Repeat("5", 128)
	r.vars = map[string]string{
		"CANONICAL": r.origins["canonical"].URL, "REPLICA": r.origins["replica"].URL, "STORE": r.origins["store"].URL,
		"DEAD": "http://" + parts.FreeAddr(t), "D1": d1, "D2": d2, "D3": d3, "D512": d512,
		"HEX1": strings.TrimPrefix(d1, "sha256:"), "LONG": strings.Repeat("a", 8<<10), "NAME255": strings.Repeat("a/", 127) + "a",
	}
	hold := func(name string, paths ...string) {
		for _, path := range paths {
			r.origins[name].has[path] = true
		}
	}
	const repository = "/v2/project/images/app/"
	hold("store", "/pinned/"+d1, "/blobs/"+d1, "/blobs/"+d512)
	hold("replica", repository+"blobs/"+d1, repository+"blobs/"+d2, repository+"blobs/"+d512, repository+"manifests/"+d1, repository+"manifests/v1")
	return r
}

var variable = regexp.MustCompile(`\$\{[A-Z0-9]+\}`)

func (r *runner) start(t *testing.T, text string) {
	t.Helper()
	listen, admin := parts.FreeAddr(t), parts.FreeAddr(t)
	text = variable.ReplaceAllStringFunc(text, func(v string) string { return r.vars[v[2:len(v)-1]] })
	text = fmt.Sprintf("version: 1\nlisten: %q\nadmin: %q\n%s", listen, admin, text)
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.addr = proxy.StartFile(t, file, proxy.Config{"listen": listen, "admin": admin}).Addr
}

func (r *runner) http(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: http METHOD TARGET [NAME: VALUE]...")
	}
	var request bytes.Buffer
	fmt.Fprintf(&request, "%s %s HTTP/1.1\r\n", args[0], unescape(ts, args[1]))
	headers := args[2:]
	if !slices.ContainsFunc(headers, func(h string) bool { return strings.HasPrefix(h, "Host:") }) {
		headers = append(headers, "Host: registry.example.org")
	}
	for _, h := range append(headers, "Connection: close") {
		fmt.Fprintf(&request, "%s\r\n", unescape(ts, h))
	}
	request.WriteString("\r\n")
	conn, err := net.DialTimeout("tcp", r.addr, 5*time.Second)
	ts.Check(err)
	defer conn.Close()
	ts.Check(conn.SetDeadline(time.Now().Add(30 * time.Second)))
	_, err = conn.Write(request.Bytes())
	ts.Check(err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: args[0]})
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	r.answer = &answer{resp.StatusCode, resp.Header, string(body)}
	ts.Logf("%s\n%v\n%.500s", resp.Status, resp.Header, body)
}

func (r *runner) status(ts *testscript.TestScript, neg bool, args []string) {
	r.need(ts, len(args) == 1, "status CODE")
	if got := strconv.Itoa(r.answer.status); (got == args[0]) == neg {
		ts.Fatalf("status is %s", got)
	}
}

func (r *runner) header(ts *testscript.TestScript, neg bool, args []string) {
	r.need(ts, len(args) >= 2, "header NAME == VALUE | ~ REGEXP | absent")
	values := r.answer.header.Values(args[0])
	if args[1] == "absent" {
		if (len(values) == 0) == neg {
			ts.Fatalf("%s is %q", args[0], values)
		}
		return
	}
	if len(values) > 1 {
		ts.Fatalf("%s occurs %d times: %q", args[0], len(values), values)
	}
	r.compare(ts, neg, args[0], strings.Join(values, ""), args[1:])
}

func (r *runner) body(ts *testscript.TestScript, neg bool, args []string) {
	r.need(ts, len(args) >= 1, "body == TEXT | ~ REGEXP | empty")
	if args[0] == "empty" {
		args = []string{"==", ""}
	}
	r.compare(ts, neg, "body", strings.TrimSpace(r.answer.body), args)
}

// error checks the complete form of an OCI error answer. For HEAD too: same status and headers, no body.
func (r *runner) error(ts *testscript.TestScript, neg bool, args []string) {
	r.need(ts, len(args) == 1 && !neg, "error CODE")
	if got := r.answer.header.Get("Content-Type"); !strings.HasPrefix(got, "application/json") {
		ts.Fatalf("Content-Type is %q", got)
	}
	want := fmt.Sprintf(`^\{"errors":\[\{"code":%q,"message":"[^"]+","detail":"[^"]*"\}\]\}$`, args[0])
	r.compare(ts, false, "body", strings.TrimSpace(r.answer.body), []string{"~", want})
	r.compare(ts, false, "Cache-Control", r.answer.header.Get("Cache-Control"), []string{"==", "no-store"})
	r.compare(ts, false, "Location", r.answer.header.Get("Location"), []string{"==", ""})
}

func (r *runner) asked(ts *testscript.TestScript, neg bool, args []string) {
	r.need(ts, !neg && len(args)%2 == 1, "asked ORIGIN [METHOD TARGET]...")
	o := r.origins[args[0]]
	if o == nil {
		ts.Fatalf("no origin %s", args[0])
	}
	var want []string
	for pair := range slices.Chunk(args[1:], 2) {
		want = append(want, pair[0]+" "+pair[1])
	}
	// Health may probe an upstream at any time. No client's request leads to this path.
	got := slices.DeleteFunc(o.take(), func(line string) bool { return line == "GET /v2/" })
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(want, got) {
		ts.Fatalf("%s was asked\n  %s\nwant\n  %s", args[0], strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func (r *runner) need(ts *testscript.TestScript, ok bool, usage string) {
	if !ok {
		ts.Fatalf("usage: %s", usage)
	}
	if r.answer == nil {
		ts.Fatalf("no request was sent yet")
	}
}

func (r *runner) compare(ts *testscript.TestScript, neg bool, what, got string, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: %s == VALUE | ~ REGEXP", what)
	}
	var equal bool
	switch args[0] {
	case "==":
		equal = got == args[1]
	case "~":
		re, err := regexp.Compile(args[1])
		ts.Check(err)
		equal = re.MatchString(got)
	default:
		ts.Fatalf("no operator %s", args[0])
	}
	if equal == neg {
		ts.Fatalf("%s is %q", what, got)
	}
}

// unescape turns Go's escapes into bytes, so that a script can hold bytes that a line of text cannot.
func unescape(ts *testscript.TestScript, s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	out, err := strconv.Unquote(`"` + s + `"`)
	ts.Check(err)
	return out
}
