package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// jsonParser reads lines of JSON: the proxy's own log, and entries of Cloud Logging.
type jsonParser struct {
	in      bytes.Buffer
	dec     *jsontext.Decoder
	scratch []byte
	own     proxyLine
}

var errEmpty = errors.New("it is JSON, and no line of oci-proxy and no entry of Cloud Logging")

// parse reads one line into r.
func (p *jsonParser) parse(line []byte, r *Record) (outcome, error) {
	p.in.Reset()
	p.in.Write(line) // to memory: no error
	// The client chooses some of the texts, and what it sends need not be UTF-8. A key that comes twice is harmless.
	options := []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
	if p.dec == nil {
		p.dec = jsontext.NewDecoder(&p.in, options...)
	} else {
		p.dec.Reset(&p.in, options...)
	}
	p.own = proxyLine{}
	entry := false // it looks like an entry of Cloud Logging
	request := false
	var at string
	err := p.object(func(key string) (err error) {
		switch key {
		case `"timestamp"`:
			at, err = p.text()
			entry = true
		case `"insertId"`, `"logName"`:
			entry = true
			err = p.dec.SkipValue()
		case `"httpRequest"`:
			request = true
			err = p.httpRequest(r)
		case `"jsonPayload"`:
			if p.dec.PeekKind() != '{' {
				return p.dec.SkipValue()
			}
			err = p.object(p.ownKey)
		default:
			err = p.ownKey(key)
		}
		return err
	})
	if err == nil {
		err = p.ends()
	}
	if err != nil {
		return 0, fmt.Errorf("it is not valid JSON: %w", err)
	}
	switch {
	case p.own.msg == requestMessage:
		if at != "" {
			p.own.time = at
		}
		return p.own.fill(r)
	case request:
		r.Format = CloudLogging
		if !r.setTime(time.RFC3339Nano, at) {
			return 0, fmt.Errorf("timestamp %q is no time", at)
		}
		if !r.Client.IsValid() {
			return 0, errors.New("httpRequest has no remoteIp")
		}
		return isRequest, nil
	case entry || p.own.msg != "":
		return isOther, nil
	}
	return 0, errEmpty
}

// ends reports what follows the object.
func (p *jsonParser) ends() error {
	if p.dec.PeekKind() != 0 || len(bytes.TrimSpace(p.dec.UnreadBuffer())) > 0 {
		return errors.New("more follows the object")
	}
	return nil
}

// object calls each with every key of an object, in quotes. each must read the value.
func (p *jsonParser) object(each func(key string) error) error {
	if tok, err := p.dec.ReadToken(); err != nil {
		return err
	} else if tok.Kind() != '{' {
		return fmt.Errorf("%s in place of an object", tok.Kind())
	}
	for p.dec.PeekKind() != '}' {
		key, err := p.dec.ReadValue()
		if err != nil {
			return err
		}
		if err := each(intern(key)); err != nil {
			return err
		}
	}
	_, err := p.dec.ReadToken()
	return err
}

// text reads a string, number, boolean or null as text; of anything else it reads nothing: "".
func (p *jsonParser) text() (string, error) {
	v, err := p.dec.ReadValue()
	if err != nil {
		return "", err
	}
	if v.Kind() == '"' {
		// ReadValue has checked the string, but with AllowInvalidUTF8 it may still have bytes that AppendUnquote replaces.
		p.scratch, _ = jsontext.AppendUnquote(p.scratch[:0], v)
		return string(p.scratch), nil
	}
	if v.Kind() == '0' {
		return string(v), nil
	}
	return "", nil
}

// httpRequest reads an HttpRequest of Cloud Logging. Its 64-bit numbers are strings.
func (p *jsonParser) httpRequest(r *Record) error {
	if p.dec.PeekKind() != '{' {
		return p.dec.SkipValue()
	}
	return p.object(func(key string) error {
		switch key {
		case `"requestMethod"`, `"requestUrl"`, `"status"`, `"responseSize"`, `"userAgent"`, `"remoteIp"`:
		default:
			return p.dec.SkipValue()
		}
		text, err := p.text()
		if err != nil {
			return err
		}
		ok := true
		switch key {
		case `"requestMethod"`:
			r.Method = text
		case `"requestUrl"`:
			r.setTarget(text)
		case `"status"`:
			ok = r.setStatus(text)
		case `"responseSize"`:
			r.Sent = bytesOf(text)
		case `"userAgent"`:
			r.UserAgent = text
		case `"remoteIp"`:
			ok = r.setClient(text)
		}
		if !ok {
			return fmt.Errorf("%s: %q", key, text)
		}
		return nil
	})
}

// ownKey reads the value of a key of the proxy's line.
func (p *jsonParser) ownKey(key string) error {
	if key == "" || !p.own.wants(key) {
		return p.dec.SkipValue()
	}
	text, err := p.text()
	if err != nil {
		return err
	}
	p.own.set(key[1:len(key)-1], text)
	return nil
}

// known are the keys that are read anywhere, in quotes. To look one up makes no text of it.
var known = func() map[string]string {
	out := map[string]string{}
	for _, k := range append([]string{
		"timestamp", "insertId", "logName", "httpRequest", "jsonPayload",
		"requestMethod", "requestUrl", "status", "responseSize", "userAgent", "remoteIp",
	}, proxyKeys...) {
		out[strconv.Quote(k)] = strconv.Quote(k)
	}
	return out
}()

// intern returns a known key, or "" for another one.
func intern(key jsontext.Value) string { return known[string(key)] }
