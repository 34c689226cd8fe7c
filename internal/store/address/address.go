package address

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Bucket is the URL of a bucket, taken apart:
//
//	s3://NAME[/PREFIX]?region=…[&endpoint=URL][&pathStyle=true][&profile=…]
//	gs://NAME[/PREFIX][?endpoint=URL]
//	azblob://ACCOUNT/CONTAINER[/PREFIX][?endpoint=URL]
//	file:///DIR
type Bucket struct {
	Scheme    string // s3, gs, azblob or file
	Name      string // of the bucket; on Azure, of the account; "" for a directory
	Container string // on Azure
	Dir       string // the directory of file://, cleaned
	Prefix    string // of every key: "" or a text that ends in "/"
	Endpoint  string // "" means the cloud's own
	Region    string // of s3; "" means that the URL does not say it
	Profile   string // of s3
	PathStyle bool   // of s3: the name is in the path, not in the host
	text      string // for messages
}

// parameters lists the parameters that the URL of each kind of bucket may have.
var parameters = map[string][]string{
	"s3":     {"region", "endpoint", "pathStyle", "profile"},
	"gs":     {"endpoint"},
	"azblob": {"endpoint"},
	"file":   nil,
}

// Parse takes the URL of a bucket apart. An error never repeats a user name, a password or the value of a parameter.
func Parse(text string) (Bucket, error) {
	u, err := url.Parse(text)
	if err != nil {
		if strings.Contains(text, "@") { // the reason may be a piece of a password
			return Bucket{}, fmt.Errorf("bucket %q: not a URL, and credentials do not belong in it", shown(text))
		}
		if at, ok := errors.AsType[*url.Error](err); ok {
			err = at.Err
		}
		return Bucket{}, fmt.Errorf("bucket %q: not a URL: %w", shown(text), err)
	}
	known, ok := parameters[u.Scheme]
	if !ok {
		return Bucket{}, fmt.Errorf("bucket %q: unknown scheme %q: s3, gs, azblob and file are known", shown(text), u.Scheme)
	}
	b := Bucket{Scheme: u.Scheme, Name: u.Host, text: shown(u.String())}
	if err := onlyParams(u, known); err != nil {
		return Bucket{}, err
	}
	q, path := u.Query(), u.Path
	b.Endpoint, b.Region, b.Profile = strings.TrimSuffix(q.Get("endpoint"), "/"), q.Get("region"), q.Get("profile")
	switch {
	case b.Scheme == "file":
		if u.Host != "" || u.Path == "" || u.Path == "/" {
			return Bucket{}, fmt.Errorf("bucket %q: want file:///DIR, an absolute path", b.text)
		}
		b.Dir = filepath.Clean(filepath.FromSlash(u.Path))
		return b, nil
	case b.Scheme == "azblob":
		b.Container, path, _ = strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
		if b.Name == "" || b.Container == "" {
			return Bucket{}, fmt.Errorf("bucket %q: want azblob://ACCOUNT/CONTAINER[/PREFIX]", b.text)
		}
	case b.Name == "" && b.Scheme == "s3":
		return Bucket{}, fmt.Errorf("bucket %q: want s3://NAME[/PREFIX]?region=…", b.text)
	case b.Name == "":
		return Bucket{}, fmt.Errorf("bucket %q: want gs://NAME[/PREFIX]", b.text)
	}
	if b.Prefix, err = prefixOf(path); err != nil {
		return Bucket{}, fmt.Errorf("bucket %q: %w", b.text, err)
	}
	if b.PathStyle, err = strconv.ParseBool(cmp.Or(q.Get("pathStyle"), "false")); err != nil {
		return Bucket{}, fmt.Errorf("bucket %q: pathStyle: want true or false", b.text)
	}
	return b, nil
}

// Shown returns the URL for messages, without user and parameters.
func (b Bucket) Shown() string { return b.text }

// onlyParams refuses a bucket's URL with a parameter that its scheme does not know, or with a user name or password:
// credentials do not belong in a URL.
func onlyParams(u *url.URL, known []string) error {
	endpoint, err := url.Parse(u.Query().Get("endpoint"))
	if err != nil { // its text would repeat the endpoint
		return fmt.Errorf("bucket %q: endpoint: not a URL", shown(u.String()))
	}
	switch {
	case u.User != nil || endpoint.User != nil:
		return fmt.Errorf("bucket %q: credentials do not belong in the URL", shown(u.String()))
	case u.Fragment != "": // what follows would count for nothing
		return fmt.Errorf("bucket %q: the URL has a fragment: remove the # and what follows", shown(u.String()))
	case u.Port() != "":
		return fmt.Errorf("bucket %q: the name has a port: a server of your own belongs into ?endpoint=", shown(u.String()))
	}
	for _, name := range slices.Sorted(maps.Keys(u.Query())) {
		if !slices.Contains(known, name) {
			return fmt.Errorf("bucket %q: unknown parameter %q: %s may be given", shown(u.String()), name, strings.Join(known, ", "))
		}
		if len(u.Query()[name]) > 1 {
			return fmt.Errorf("bucket %q: the parameter %q stands twice", shown(u.String()), name)
		}
	}
	return nil
}

// shown returns a bucket's URL for messages, without user and parameters: text in the wrong place may be secret.
func shown(text string) string {
	text, _, _ = strings.Cut(text, "#")
	text, _, _ = strings.Cut(text, "?")
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		return scheme + "://" + rest[strings.LastIndex(rest, "@")+1:]
	}
	return text
}

// prefixOf turns the path in a bucket's URL into the prefix of every key.
func prefixOf(path string) (string, error) {
	path = strings.Trim(path, "/")
	if path == "" {
		return "", nil
	}
	if err := CheckKey(path); err != nil {
		return "", fmt.Errorf("prefix: %w", err)
	}
	return path + "/", nil
}
