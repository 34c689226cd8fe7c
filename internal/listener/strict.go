package listener

import (
	"bytes"
	"net"
)

// preface is the beginning of an HTTP/2 connection (RFC 9113 §3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// strictConn reads HTTP/1 headers strictly. net/http accepts a line that ends with LF alone, and a line that continues
// on the next one (obs-fold, RFC 9112 §2.2 and §5.2). A front may read such a line in another way. It then sees other
// headers than we do, and another end of the request: bytes that one client sends are taken for the next client's
// request.
//
// strictConn refuses nothing itself. It replaces the wrong byte by a NUL, which net/http refuses anywhere in a header,
// with 400 and a close.
type strictConn struct {
	net.Conn
	matched int  // bytes of the preface that have arrived; -1: not HTTP/2
	length  int  // of the line so far
	cr      bool // its last byte is a CR
	fields  bool // the lines are header fields, not the request line
	off     bool // no more bytes are examined
}

func strict(c net.Conn) net.Conn { return &strictConn{Conn: c} }

// NetConn returns the underlying connection.
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

// look examines the next bytes. It examines a body like a header, which is harmless: the content of a body is not used,
// and a request with a body is the last one on its connection.
func (s *strictConn) look(p []byte) {
	for i := 0; s.matched >= 0 && i < len(p); i++ {
		if p[i] != preface[s.matched] {
			s.matched = -1
		} else if s.matched++; s.matched == len(preface) {
			s.off = true // the preface itself is valid
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
