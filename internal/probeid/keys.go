package probeid

import (
	"crypto/ed25519"
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"ociproxy/internal/key"
)

// Key is a key whose identities are accepted.
type Key struct {
	// Name is what operators call it.
	Name   string
	Public ed25519.PublicKey
}

// Keys verifies identities for one instance of the server. Safe for concurrent use.
type Keys struct {
	byID     map[string]Key // by [key.ID]
	rps      float64
	accepted *rate.Limiter
	memory   *memory
}

// New returns Keys that accept the identities of keys, at most rps of them in a second. old are the instance's former
// Keys, or nil: then what they remember still counts, so that a change of keys lets no identity be used again.
func New(keys []Key, rps float64, old *Keys) *Keys {
	k := &Keys{byID: map[string]Key{}, rps: rps}
	for _, one := range keys {
		k.byID[key.ID(one.Public)] = one
	}
	if old != nil {
		k.memory = old.memory
	} else {
		k.memory = newMemory()
	}
	if old != nil && old.rps == rps { // a reload grants no burst
		k.accepted = old.accepted
	} else {
		k.accepted = rate.NewLimiter(rate.Limit(rps), max(1, int(rps)))
	}
	return k
}

// Request is a request as the server got it.
type Request struct {
	// Method, Host and Path are those of [Claim].
	Method, Host, Path string
	// Network is that of the true peer. It pays for the verification.
	Network netip.Prefix
	// Now is the time by this instance's clock.
	Now time.Time
}

// Verdict is what is known of an identity.
type Verdict struct {
	Outcome Outcome
	// Client is the claimed address of an accepted identity. Invalid: the prober claims no other than its own.
	Client netip.Addr
	// Key is the name of the key that an identity names; "" unless the config has it. Only if the identity is accepted
	// or replayed is it known who signed it.
	Key string
	// Ahead is how far the prober's clock is ahead of this instance's, with [Expired].
	Ahead time.Duration
}

// Verify judges the values of [Header] in a request. It accepts each identity once. What costs least comes first, so
// that garbage costs no verification.
func (k *Keys) Verify(values []string, r *Request) Verdict {
	if len(values) == 0 {
		return Verdict{Outcome: Absent}
	}
	var id identity
	if len(values) > 1 || !id.parse(values[0]) {
		return Verdict{Outcome: Malformed}
	}
	if ahead := id.at.Sub(r.Now); ahead.Abs() > Life {
		return Verdict{Outcome: Expired, Ahead: ahead}
	}
	of, known := k.byID[id.key]
	if !known {
		return Verdict{Outcome: ForeignKey}
	}
	said := Verdict{Key: of.Name}
	said.Outcome = k.judge(&id, of.Public, r)
	if said.Outcome == Accepted {
		said.Client = id.client
	}
	return said
}

func (k *Keys) judge(id *identity, public ed25519.PublicKey, r *Request) Outcome {
	if first := k.memory.begin(id.mark(), r); first != Accepted {
		return first
	}
	var room [512]byte
	switch {
	case !ed25519.Verify(public, id.text(room[:0], r.Method, r.Host, r.Path), id.signature[:]):
		return Forged
	case !k.accepted.AllowN(r.Now, 1):
		return Limited
	case !k.memory.use(id.mark(), r.Now): // meanwhile, the same came twice
		return Replayed
	default:
		return Accepted
	}
}
