package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
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
	front   [frontCells]string // of a standard log of CloudFront
	azure   azureLine
	strange []string // the names in this line that no log has
	names   map[string]string
}

var errEmpty = errors.New("it is JSON, and no line of oci-proxy, CloudFront or Azure, and no entry of Cloud Logging")

// start begins with a line.
func (p *jsonParser) start(line []byte) {
	p.in.Reset()
	p.in.Write(line) // to memory: no error
	// The client chooses some of the texts, and what it sends need not be UTF-8. A key that comes twice is harmless.
	options := []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
	if p.dec == nil {
		p.dec = jsontext.NewDecoder(&p.in, options...)
	} else {
		p.dec.Reset(&p.in, options...)
	}
}

// parse reads one line into r.
func (p *jsonParser) parse(line []byte, r *Record) (outcome, error) {
	p.start(line)
	p.own, p.front, p.azure, p.strange = proxyLine{}, [frontCells]string{}, azureLine{}, p.strange[:0]
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
			err = p.topKey(key)
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
	case p.front[frontMethod] != "" || p.front[frontID] != "":
		r.Format = CloudFrontJSON
		return isRequest, r.setFront(&p.front)
	case p.azure.category != "":
		return p.azure.fill(r)
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
		name := known[string(key)]
		if name == "" {
			p.note(key)
		}
		if err := each(name); err != nil {
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

// topKey reads the value of a key that stands in no object: of the proxy's line, of CloudFront, or of Azure.
func (p *jsonParser) topKey(key string) error {
	at, ok := topKeys[key]
	switch {
	case !ok:
		return p.ownKey(key)
	case at.azure == azureProperties || at.azure == azureIdentity:
		if p.dec.PeekKind() != '{' {
			return p.dec.SkipValue()
		}
		return p.object(p.azureKey)
	case !at.front && at.azure == azureNone:
		return p.dec.SkipValue()
	}
	text, err := p.text()
	if at.front {
		p.front[at.cell] = text
	}
	if at.azure != azureNone {
		p.azure.set(at.azure, text)
	}
	if at.own {
		p.own.set(key[1:len(key)-1], text)
	}
	return err
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

// note keeps a name that no log has.
func (p *jsonParser) note(key jsontext.Value) {
	if len(p.strange) == maxUnknown {
		return
	}
	name, ok := p.names[string(key)]
	if !ok {
		name = string(bytes.Trim(key, `"`))
		if p.names == nil || len(p.names) >= 4*maxUnknown {
			p.names = map[string]string{}
		}
		p.names[string(key)] = name
	}
	p.strange = append(p.strange, name)
}

// place says where the value of a key belongs. A key may belong to several logs.
type keyPlace struct {
	own, front bool
	cell       frontCell
	azure      azureCell
}

// known are the keys of all logs, in quotes, also those that are not read. topKeys are those that stand in no object. To
// look one up makes no text of it.
var known, topKeys = func() (all map[string]string, top map[string]keyPlace) {
	all, top = map[string]string{}, map[string]keyPlace{}
	name := func(key string) string {
		quoted := strconv.Quote(key)
		all[quoted] = quoted
		return quoted
	}
	for _, k := range append([]string{
		"timestamp", "insertId", "logName", "httpRequest", "jsonPayload",
		"requestMethod", "requestUrl", "status", "responseSize", "userAgent", "remoteIp",
	}, proxyKeys...) {
		name(k)
	}
	for _, k := range slices.Concat(standardFields, moreFields) {
		at := keyPlace{own: slices.Contains(proxyKeys, k)}
		if cell := slices.Index(frontNames[:], k); cell >= 0 {
			at.front, at.cell = true, frontCell(cell)
		}
		if k != "timestamp" { // that of Cloud Logging
			top[name(k)] = at
		}
	}
	for k, cell := range azureKeys {
		at := top[name(k)]
		at.own, at.azure = slices.Contains(proxyKeys, k), cell
		top[name(k)] = at
	}
	return all, top
}()
