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

// attempts sends requests. The libraries above it may repeat them. It notes why a request failed, so that the error can
// say so when no time is left for another try. It marks failures for which another try is useless. If a host has not
// yet answered well and asks for a pause, attempts waits that long before the next request; not all of the libraries
// do.
type attempts struct {
	next    http.RoundTripper
	contact *outbound.Verdicts // with the bucket's host
	log     *slog.Logger
}

func (a *attempts) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := wait.For(req.Context(), a.contact.Asked()); err != nil {
		if req.Body != nil {
			req.Body.Close() // a RoundTripper must close the body
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
	case err == nil: // a host that has never answered well: only this answer says what is wrong
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

// busy returns an error for an answer after which the request is repeated, or nil. It does not read the body.
func busy(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		return statusError(resp, "")
	}
	return nil
}

// answered is an error made from an answer of the host; it replaces that answer.
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

// comeAgain returns the end of an error text: how long the host asks to be left alone, or "".
func comeAgain(h http.Header) string {
	if asked, ok := outbound.RetryAfter(h, time.Now()); ok && asked > 0 {
		return fmt.Sprintf(", come again in %v", asked)
	}
	return ""
}

// maxWords is how many bytes of an error's body are read.
const maxWords = 16 << 10

// saysCode and saysMessage find the code and the message of an error that a service sends in XML or JSON.
var (
	saysCode    = regexp.MustCompile(`<Code>([^<]{1,80})</Code>|"reason":\s*"([^"\\]{1,80})"`)
	saysMessage = regexp.MustCompile(`<Message>([^<]{1,300})</Message>|"message":\s*"([^"\\]{1,300})"`)
)

// words returns the code and message of an answer with an error.
func words(resp *http.Response) string {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxWords)) // a body that cannot be read has no words
	code, message := wordsOf(text)
	return strings.TrimSuffix(strings.TrimPrefix(code+": "+message, ": "), ": ")
}

// wordsOf finds the code and message of an error in its text, each on one line; "" for one that is not found.
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

// NonRetriable marks the error for Azure's library, which looks for this method.
func (f final) NonRetriable() {}

// isFinal reports whether err is final; the other libraries use it.
func isFinal(err error) bool {
	_, ok := errors.AsType[final](err)
	return ok
}

// soon is the error of a request that may be repeated after a short pause, although the library would wait longer. It
// is for a host that has never answered and refuses the connection: after a second of tries, that refusal counts as
// final.
type soon struct{ error }

func (s soon) Unwrap() error { return s.error }

// aMoment is the pause after soon.
const aMoment = 300 * time.Millisecond
