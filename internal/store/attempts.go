package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"ociproxy/internal/outbound"
	"ociproxy/internal/wait"
)

// attempts makes requests, which the libraries above may repeat. It notes why one failed, for the error when there is
// no time for another try, and marks the failures after which another try is useless. A host that has not answered
// well yet is left alone for as long as it asks, which not all of the libraries do.
type attempts struct {
	next    http.RoundTripper
	contact *outbound.Verdicts // with the bucket's host
	log     *slog.Logger
}

func (a *attempts) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := wait.For(req.Context(), a.contact.Asked()); err != nil {
		if req.Body != nil {
			req.Body.Close() // as whoever makes requests must
		}
		return nil, err
	}
	began := time.Now()
	resp, err := a.next.RoundTrip(req)
	why, asked := err, time.Duration(0)
	if err == nil {
		why = busy(resp)
		asked, _ = outbound.RetryAfter(resp.Header, time.Now())
	}
	last := a.contact.Final(outbound.Outcome{Began: began, Err: why, Asked: asked})
	wait.Failed(req.Context(), why)
	switch {
	case why == nil:
	case !last:
		a.contact.Tell(a.log, req.URL.Host, why, asked)
	case err == nil: // a host that has never answered well: what it says is all that is known of it
		err = &answered{statusError(resp, words(resp))}
		resp.Body.Close()
	}
	switch {
	case err == nil:
		return resp, nil
	case last:
		return nil, final{err}
	case outbound.Refused(err) && a.contact.New():
		return nil, soon{err}
	}
	return nil, err
}

// busy is the error of an answer after which a request is made again, as far as it is known before the body is read.
func busy(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		return statusError(resp, "")
	}
	return nil
}

// answered is the error of an answer of the host, in place of that answer.
type answered struct{ error }

func (a *answered) Unwrap() error { return a.error }

func statusError(resp *http.Response, said string) error {
	text := fmt.Sprintf("status %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	text += comeAgain(resp.Header)
	if said = cmp.Or(resp.Header.Get("X-Ms-Error-Code"), said); said != "" {
		text += ": " + said
	}
	return errors.New(text)
}

// comeAgain is the end of a text about an answer that says for how long the host wants to be left alone.
func comeAgain(h http.Header) string {
	if asked, ok := outbound.RetryAfter(h, time.Now()); ok && asked > 0 {
		return fmt.Sprintf(", come again in %v", asked)
	}
	return ""
}

// maxWords is how much is read of the text of an error.
const maxWords = 16 << 10

// saysCode and saysMessage find what a service says in XML, or in JSON, of its error.
var (
	saysCode    = regexp.MustCompile(`<Code>([^<]{1,80})</Code>|"reason":\s*"([^"\\]{1,80})"`)
	saysMessage = regexp.MustCompile(`<Message>([^<]{1,300})</Message>|"message":\s*"([^"\\]{1,300})"`)
)

// words are what an answer with an error says.
func words(resp *http.Response) string {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxWords)) // one that cannot be read is as good as none
	code, message := wordsOf(text)
	return strings.TrimSuffix(strings.TrimPrefix(code+": "+message, ": "), ": ")
}

// wordsOf finds code and message of an error in its text, each in one line; "" where there is none that is known.
func wordsOf(text []byte) (code, message string) {
	said := [2]string{}
	for i, r := range []*regexp.Regexp{saysCode, saysMessage} {
		if found := r.FindSubmatch(text); found != nil {
			said[i] = outbound.Redact(strings.ToValidUTF8(strings.Join(strings.Fields(string(bytes.Join(found[1:], nil))), " "), ""))
		}
	}
	return said[0], said[1]
}

// final is the error of a request that would fail in the same way again.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// NonRetriable is how Azure's library asks.
func (f final) NonRetriable() {}

// isFinal is how the other libraries are told.
func isFinal(err error) bool {
	_, ok := errors.AsType[final](err)
	return ok
}

// soon is the error of a request that may be repeated after a moment, when the library would wait longer: a host that
// has never answered refuses the connection, and after a second of tries that is its final answer.
type soon struct{ error }

func (s soon) Unwrap() error { return s.error }

// aMoment is how long to wait after soon.
const aMoment = 300 * time.Millisecond
