package endpoints

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/strictjson"
)

// bounds hold for a list, and for the envelope of a signed one.
var bounds = strictjson.Bounds{Bytes: MaxBytes, Depth: 8}

// ErrNewer is wrapped by the error of a list in a format that this release does not know.
var ErrNewer = errors.New("newer format")

// Parse reads a list from an untrusted source, within the bounds. It checks each value, so that hosts and ARNs can be
// printed and written into rules. It ignores fields that it does not know. It does not compare Version with the content,
// because a newer server may publish more fields.
func Parse(text []byte) (*List, error) {
	var l List
	if err := strictjson.Unmarshal(text, &l, bounds); err != nil {
		return nil, fmt.Errorf("list of endpoints: %w", err)
	}
	if l.Format > Format {
		return nil, fmt.Errorf("list of endpoints: %w: %d; this release reads format %d", ErrNewer, l.Format, Format)
	}
	switch {
	case l.Format < 1 || l.Endpoints == nil:
		return nil, errors.New("list of endpoints: it has no format or no endpoints: this is another document")
	case !word.MatchString(l.Version):
		return nil, errors.New("list of endpoints: it has no version")
	case len(l.Endpoints) > MaxEndpoints:
		return nil, fmt.Errorf("list of endpoints: %d endpoints are more than %d", len(l.Endpoints), MaxEndpoints)
	case l.NoticeSeconds < 0 || l.NoticeSeconds > int64(maxNotice/time.Second):
		return nil, fmt.Errorf("list of endpoints: noticeSeconds %d is not between 0 and a thousand days", l.NoticeSeconds)
	}
	for i := range l.Endpoints {
		if err := l.Endpoints[i].check(); err != nil {
			return nil, fmt.Errorf("list of endpoints: endpoint %d: %w", i, err)
		}
	}
	return &l, nil
}

// Envelope checks that text, a signed list, has the form of a DSSE envelope within the bounds of a list. It does not
// look at what is signed, and verifies no signature.
func Envelope(text []byte) error {
	var v struct {
		Type       string `json:"payloadType"`
		Payload    []byte `json:"payload"` // base64
		Signatures []struct {
			Sig []byte `json:"sig"`
		} `json:"signatures"`
	}
	if err := strictjson.Unmarshal(text, &v, bounds); err != nil {
		return fmt.Errorf("signed list of endpoints: %w", err)
	}
	if v.Type == "" || len(v.Payload) == 0 || len(v.Signatures) == 0 || len(v.Signatures[0].Sig) == 0 {
		return errors.New("signed list of endpoints: a DSSE envelope has payloadType, payload and signatures with a sig")
	}
	return nil
}

const maxNotice = 1000 * 24 * time.Hour

var (
	word      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`)
	hostName  = regexp.MustCompile(`^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$`)
	bucketARN = regexp.MustCompile(`^arn:aws[a-z-]{0,20}:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	objects   = regexp.MustCompile(`^[A-Za-z0-9._~:/@=,-]*$`) // the characters that the config permits in a path
)

// check returns what is wrong with e, and gives its dates one spelling.
func (e *Endpoint) check() error {
	host := strings.TrimPrefix(e.Host, "*.")
	_, noIP := netip.ParseAddr(host)
	switch {
	case len(host) > 253 || !hostName.MatchString(host) && noIP != nil || strings.Contains(host, "%"):
		return fmt.Errorf("host %q: not a host name", clip(e.Host))
	case host != e.Host && (noIP == nil || !strings.Contains(host, ".")):
		return fmt.Errorf("host %q: not a pattern for the hosts of a domain", clip(e.Host))
	case e.Kind == Wildcard && host == e.Host:
		return fmt.Errorf("host %q: a wildcard without a star", clip(e.Host))
	case e.Port == 0:
		return errors.New("it has no port")
	case !word.MatchString(string(e.Kind)):
		return fmt.Errorf("kind %q: not a word", clip(string(e.Kind)))
	case e.Bucket != "" && !bucketARN.MatchString(e.Bucket):
		return fmt.Errorf("bucket %q: not the ARN of a bucket", clip(e.Bucket))
	case len(e.Objects) > 4096 || !objects.MatchString(e.Objects):
		return fmt.Errorf("objects %q: not the beginning of a name", clip(e.Objects))
	}
	for _, s := range []string{e.Provider, e.Region} {
		if s != "" && !word.MatchString(s) {
			return fmt.Errorf("%q: not a provider or region", clip(s))
		}
	}
	if len(e.Families) > 2 || slices.ContainsFunc(e.Families, func(f string) bool { return f != "ipv4" && f != "ipv6" }) {
		return errors.New("families: want ipv4 and ipv6")
	}
	if len(e.Families) == 0 {
		e.Families = nil
	}
	for _, t := range []*time.Time{&e.Since, &e.Until} {
		if *t = t.UTC(); t.Year() > 9999 {
			return errors.New("a date is after the year 9999")
		}
	}
	return nil
}

func clip(s string) string { return s[:min(len(s), 80)] }
