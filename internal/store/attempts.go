package store

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"ociproxy/internal/outbound"
	"ociproxy/internal/wait"
)

// attempts makes requests, each of which the libraries above may make again. It notes why one failed, for the error of whoever has
// no time for a further one, and marks the failures after which there is no use in one.
type attempts struct {
	next     http.RoundTripper
	verdicts outbound.Verdicts // of the bucket's host
}

func (a *attempts) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := a.next.RoundTrip(req)
	if err == nil {
		if err = outbound.Proxied(req, resp); err != nil {
			resp.Body.Close()
		}
	}
	last := a.verdicts.Final(err)
	if err != nil {
		err = outbound.Explain(err)
		wait.Failed(req.Context(), err)
		switch {
		case last:
			err = final{err}
		case outbound.Refused(err) && a.verdicts.New():
			err = soon{err}
		}
		return nil, err
	}
	wait.Failed(req.Context(), busy(resp))
	return resp, nil
}

// busy is the error of an answer after which a request is made again, as far as it is known before the body is read.
func busy(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		return statusError(resp)
	}
	return nil
}

func statusError(resp *http.Response) error {
	text := fmt.Sprintf("status %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	if code := resp.Header.Get("X-Ms-Error-Code"); code != "" {
		text += ": " + code
	}
	return errors.New(text)
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

// soon is the error of a request that may be made again after a moment, for whoever would wait longer: a host that has never
// answered refuses the connection, which takes a second to be its last word.
type soon struct{ error }

func (s soon) Unwrap() error { return s.error }

// aMoment is how long to wait after soon.
const aMoment = 300 * time.Millisecond
