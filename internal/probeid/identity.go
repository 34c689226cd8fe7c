package probeid

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"ociproxy/internal/clientip"
	"ociproxy/internal/key"
)

// Header is the request header that carries the identity, in its canonical form.
const Header = "Oci-Proxy-Probe"

// Life is how far the time of an identity may be from the verifier's clock, in either direction.
const Life = 60 * time.Second

// Claim is what an identity says of one request. It fits no other request.
type Claim struct {
	// Method is the request's method.
	Method string
	// Host is the request's Host header. Upper case, a port and a final dot do not count: clients and fronts write
	// them or not.
	Host string
	// Path is the request's target as it is sent: the escaped path, and `?` with the query if there is one. Of a
	// [net/url.URL] it is RequestURI.
	Path string
	// Address is the client that the prober claims to be. Invalid: the prober itself, as the server sees it.
	Address netip.Addr
	// Time is when the request is made, in milliseconds.
	Time time.Time
}

// Sign returns the value of [Header] for one request. Each call returns another value: a server accepts a value once.
func Sign(private ed25519.PrivateKey, c Claim) string {
	var random [nonceBytes]byte
	_, _ = rand.Read(random[:]) // it never fails
	id := identity{
		key: key.ID(key.Public(private)), address: peer,
		time: strconv.FormatInt(c.Time.UnixMilli(), 10), nonce: encoding.EncodeToString(random[:]),
	}
	if c.Address.IsValid() {
		id.address = c.Address.Unmap().WithZone("").String()
	}
	copy(id.signature[:], ed25519.Sign(private, id.text(nil, c.Method, c.Host, c.Path)))
	return id.String()
}

// identity is the header, taken apart. The texts are those that were signed, byte by byte.
type identity struct {
	key, address, time, nonce string
	signature                 [ed25519.SignatureSize]byte

	client netip.Addr // what address says; invalid: the prober's own
	at     time.Time  // what time says
}

const (
	version = "v1"
	// peer stands for the address of the prober, which it need not know.
	peer       = "peer"
	nonceBytes = 12
	// nonceText and signatureText are lengths in base64 without padding.
	nonceText, signatureText = 16, 86
	// maxHeader is far above the length of any identity: 200 bytes with the longest address.
	maxHeader = 256
)

// encoding refuses a second spelling of the same bytes.
var encoding = base64.RawURLEncoding.Strict()

// String returns the value of the header.
func (id *identity) String() string {
	return version + ";key=" + id.key + ";addr=" + id.address + ";time=" + id.time + ";nonce=" + id.nonce +
		";sig=" + encoding.EncodeToString(id.signature[:])
}

// parse reads what String writes, in that order. It verifies nothing.
func (id *identity) parse(value string) (ok bool) {
	if len(value) > maxHeader {
		return false
	}
	rest, ok := strings.CutPrefix(value, version)
	if !ok {
		return false
	}
	for _, f := range [...]struct {
		name string
		to   *string
	}{{";key=", &id.key}, {";addr=", &id.address}, {";time=", &id.time}, {";nonce=", &id.nonce}} {
		if rest, ok = strings.CutPrefix(rest, f.name); !ok {
			return false
		}
		end := strings.IndexByte(rest, ';')
		if end < 0 {
			return false
		}
		*f.to, rest = rest[:end], rest[end:]
	}
	if rest, ok = strings.CutPrefix(rest, ";sig="); !ok || len(rest) != signatureText || len(id.nonce) != nonceText {
		return false
	}
	var text [signatureText]byte // on the stack
	copy(text[:], rest)
	if _, err := encoding.Decode(id.signature[:], text[:]); err != nil {
		return false
	}
	return id.parseTime() && id.parseAddress()
}

func (id *identity) parseTime() bool {
	ms, err := strconv.ParseInt(id.time, 10, 64)
	id.at = time.UnixMilli(ms)
	return err == nil && ms >= 0
}

func (id *identity) parseAddress() bool {
	if id.address == peer {
		return true
	}
	if strings.IndexByte(id.address, '%') >= 0 { // a parsed zone is interned: a stranger's text must not be kept
		return false
	}
	addr, err := netip.ParseAddr(id.address)
	id.client = addr.Unmap()
	return err == nil && clientip.Possible(id.client)
}

// domain keeps these signatures apart from any other that the same key makes.
const domain = "oci-proxy probe identity v1\n"

// text appends to b what is signed for a request. Each part follows its length, so no two requests have the same text.
func (id *identity) text(b []byte, method, host, path string) []byte {
	b = append(b, domain...)
	for _, part := range [...]string{id.key, id.address, id.time, id.nonce, method, hostName(host), path} {
		b = strconv.AppendInt(b, int64(len(part)), 10)
		b = append(b, ':')
		b = append(b, part...)
		b = append(b, '\n')
	}
	return b
}

// hostName returns the part of a Host header that is signed: in lower case, without port and final dot.
func hostName(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && (strings.IndexByte(host, ':') == i || host[i-1] == ']') {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
