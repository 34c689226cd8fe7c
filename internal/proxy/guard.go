package proxy

import (
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"time"
)

// drained is how much of an unwanted body the proxy reads, within the read time-out. So a client that writes first
// and reads afterwards gets its answer instead of a reset.
const drained = 16 << 20

// guard wraps every handler. It logs panics. It closes an HTTP/1 connection after a request whose end could be read
// in two ways: a request with a body, which nothing here accepts, and any request of HTTP/1.0, whose
// Transfer-Encoding net/http ignores (RFC 9112 §6.1). net/http also accepts Content-Length beside Transfer-Encoding
// without an error. A front that believes the other of the two would mix up clients.
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
			_ = control.EnableFullDuplex() // answer, then read the body; if impossible, the writer reads
		}
		next.ServeHTTP(rw, r)
		switch {
		case r.ProtoMajor != 1: // HTTP/2 ends only this stream
		case control.Flush() != nil:
		case r.Header.Get("Expect") != "": // the client has not sent the body, and a read would ask for it
			_ = control.SetReadDeadline(time.Now())
		default:
			_, _ = io.CopyN(io.Discard, r.Body, drained)
		}
	})
}

// logPanic logs a handler's panic and ends the connection, as net/http would. net/http would not write to our log.
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
