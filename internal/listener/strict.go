package listener

import (
	"bytes"
	"net"
)

// preface is what an HTTP/2 connection begins with (RFC 9113 §3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// strictConn reads HTTP/1 headers by the letter. net/http forgives a line that ends with LF alone and one that goes
// on in the next (obs-fold, RFC 9112 §2.2 and §5.2). A front that reads them otherwise sees another header than we
// do, and with it another end of the request: what one client sends is then taken for the next one's request.
//
// Nothing is refused here. The byte that is wrong becomes a NUL, which net/http refuses anywhere in a header, with
// 400 and a close.
type strictConn struct {
	net.Conn
	matched int  // bytes of the preface that came; -1: it is not HTTP/2
	length  int  // of the line so far
	cr      bool // its last byte is a CR
	fields  bool // the lines are a header's fields, not a request's first
	off     bool // nothing is looked at any more
}

func strict(c net.Conn) net.Conn { return &strictConn{Conn: c} }

// NetConn is the connection below.
func (s *strictConn) NetConn() net.Conn { return s.Conn }

// CloseWrite says that nothing more will be sent.
func (s *strictConn) CloseWrite() error { return closeWrite(s.Conn) }

func (s *strictConn) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if !s.off {
		s.look(p[:n])
	}
	return n, err
}

// look takes the next bytes. A body is looked at like a header: nobody reads what is in it, and a request with a
// body is its connection's last.
func (s *strictConn) look(p []byte) {
	for i := 0; s.matched >= 0 && i < len(p); i++ {
		if p[i] != preface[s.matched] {
			s.matched = -1
		} else if s.matched++; s.matched == len(preface) {
			s.off = true // the preface itself is all right
			return
		}
	}
	for len(p) > 0 && !s.off {
		if s.length == 0 && s.fields && (p[0] == ' ' || p[0] == '\t') {
			s.spoil(p)
			return
		}
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			s.length += len(p)
			s.cr = p[len(p)-1] == '\r'
			return
		}
		if end > 0 {
			s.cr = p[end-1] == '\r'
		}
		if !s.cr {
			s.spoil(p[end:])
			return
		}
		s.fields = s.length+end > 1 // an empty line ends the header
		s.length, s.cr = 0, false
		p = p[end+1:]
	}
}

func (s *strictConn) spoil(p []byte) { p[0], s.off = 0, true }
