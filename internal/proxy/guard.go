package proxy

import (
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"time"
)

// drained is how much of a body is read although nobody wants it, within the read time-out. A client that writes
// first and reads then gets its answer instead of a reset.
const drained = 16 << 20

// guard stands around every handler. It logs panics, and makes a request the last of its HTTP/1 connection when
// there can be two opinions about where it ends: one with a body, which nothing here takes, and any of HTTP/1.0,
// whose Transfer-Encoding net/http overlooks (RFC 9112 §6.1). net/http reads Content-Length beside
// Transfer-Encoding, too, without a word; a front that believes the other of the two would mix up clients.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		defer s.logPanic(r)
		if r.ContentLength == 0 && (r.ProtoMajor != 1 || r.ProtoMinor != 0) {
			next.ServeHTTP(rw, r)
			return
		}
		control := http.NewResponseController(rw)
		if r.ProtoMajor == 1 {
			rw.Header()["Connection"] = closing
			_ = control.EnableFullDuplex() // the answer first, the body then; a writer that cannot reads it itself
		}
		next.ServeHTTP(rw, r)
		switch {
		case r.ProtoMajor != 1: // HTTP/2 ends the one stream
		case control.Flush() != nil:
		case r.Header.Get("Expect") != "": // it has not sent the body, and reading would ask for it
			_ = control.SetReadDeadline(time.Now())
		default:
			_, _ = io.CopyN(io.Discard, r.Body, drained)
		}
	})
}

// logPanic logs a handler's panic and ends the connection, as net/http would: that one's log is not ours.
func (s *Server) logPanic(r *http.Request) {
	err := recover()
	if err == nil {
		return
	}
	if err != http.ErrAbortHandler { //nolint:errorlint // a value of any type
		s.log.Error("panic", "method", r.Method, "path", r.URL.Path, "error", fmt.Sprint(err),
			"stack", string(debug.Stack()))
	}
	panic(http.ErrAbortHandler)
}
