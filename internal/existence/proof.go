package existence

import (
	"errors"
	"strings"
	"time"

	"ociproxy/internal/oci"
)

// A yes is worth nothing from an origin that says yes to everything: a registry that redirects any blob to where it
// might be, another redirector, a captive portal. So the checker also asks an origin that said yes, in the same
// repository, for something that cannot exist. It believes a redirect when that answer was no. It believes a 200,
// which at least claims to be the thing itself, until that answer was yes. Then it forgets all earlier answers.

// Nowhere is a digest that no content has: no input with this hash will ever be known.
const Nowhere = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

// subject is what a proof is about: a registry may answer for blobs in another way than for manifests.
type subject uint8

const (
	aboutBlobs subject = iota
	aboutManifests
	numSubjects
)

func subjectOf(k oci.Kind) subject {
	if k == oci.KindBlob {
		return aboutBlobs
	}
	return aboutManifests
}

// standing is what is known about an origin's yes.
type standing uint8

const (
	unproven standing = iota
	proven
	refuted
)

const (
	// The checker renews a proof after provenFor, checks a refuted one again after refutedFor, and repeats an
	// inconclusive one after inconclusiveFor, or after renewalFor where the earlier proof still holds.
	provenFor, refutedFor       = 5 * time.Minute, 30 * time.Second
	inconclusiveFor, renewalFor = time.Second, 15 * time.Second
	// inAdvanceEvery bounds the attempts made before there was a yes.
	inAdvanceEvery = time.Second
	// maxStrangers is how many attempts in other repositories a yes waits for before it starts its own.
	maxStrangers = 3
)

// proof is what is known about one subject of an origin. The checker's lock guards it.
type proof struct {
	state   standing
	tried   time.Time // when an attempt last began
	next    time.Time // no attempt before this time
	running *attempt
	yes     Target // the last target to which it said yes, believed or not: where to ask again; no URL: none
}

// attempt asks an origin for Nowhere.
type attempt struct {
	target Target
	// counts says that a no proves something, whatever else is known. A store has one name space for everything. A
	// registry must have said yes in the same repository, because it says no to everything in a repository that it does
	// not know.
	counts bool
	done   chan struct{} // closed when said is set
	said   said
}

type said uint8

const (
	nothing said = iota
	yes
	no
)

// doubt begins an attempt in parallel to the request for t, when t's answer may need a proof and an attempt is due.
// It returns the attempt under way. c.mu is held.
func (c *Checker) doubt(o *origin, t *Target) *attempt {
	if t.Trusted || !t.RedirectIsHeld {
		return nil
	}
	p := &o.proofs[subjectOf(t.Key.Kind)]
	now := time.Now()
	due := !now.Before(p.next) && (p.state == proven || now.Sub(p.tried) >= inAdvanceEvery)
	if p.running == nil && due {
		c.try(o, p, *t, t.Key.Name == "")
	}
	return p.running
}

// try begins an attempt, unless the origin has no room. c.mu is held.
func (c *Checker) try(o *origin, p *proof, t Target, counts bool) {
	if !c.room(o) {
		return
	}
	a := &attempt{target: t, counts: counts, done: make(chan struct{})}
	p.running, p.tried = a, time.Now()
	go func() {
		at := strings.LastIndex(t.URL, t.Key.Ref)
		_, err := c.head(o, &a.target, t.URL[:at]+Nowhere+t.URL[at+len(t.Key.Ref):])
		switch {
		case err == nil, errors.Is(err, errRedirects):
			a.said = yes
		case errors.Is(err, errAbsent), errors.Is(err, errUseless):
			// An answer that never counts as a yes is equivalent to a no.
			a.said = no
		}
		c.mu.Lock()
		c.leave(o)
		p.running = nil
		turned := c.settle(p, a)
		c.mu.Unlock()
		close(a.done)
		if turned {
			c.opt.Turned(t, a.said != yes)
		}
	}()
}

// settle draws the conclusion of a. It reports whether that changes if the origin is believed. c.mu is held.
func (c *Checker) settle(p *proof, a *attempt) (turned bool) {
	was := p.state
	switch now := time.Now(); {
	case a.said == yes:
		p.state, p.next = refuted, now.Add(refutedFor)
		if was != refuted {
			of := a.target.Key
			c.forget(func(k Key) bool { return k.Origin == of.Origin && subjectOf(k.Kind) == subjectOf(of.Kind) })
		}
		return was != refuted
	case a.said == no && a.counts:
		p.state, p.next = proven, now.Add(provenFor)
		return was == refuted
	case a.said == nothing && was == unproven:
		p.next = now.Add(inconclusiveFor)
	case a.said == nothing: // the earlier result stays
		p.next = now.Add(renewalFor)
	}
	return false
}

// prove makes sure that there is a proof for f, which was answered by a redirect, unless the proof fails. doubt is
// the attempt that was under way when f began, nil for none.
func (c *Checker) prove(f *flight, doubt *attempt) {
	t := &f.target
	p := &f.origin.proofs[subjectOf(t.Key.Kind)]
	timeout := time.NewTimer(c.opt.Timeout)
	defer timeout.Stop()
	for range maxStrangers {
		c.mu.Lock()
		if p.state == proven {
			c.mu.Unlock()
			return
		}
		a := doubt
		if doubt = nil; a == nil || a.target.Key.Name != t.Key.Name {
			if p.running == nil && !time.Now().Before(p.next) {
				c.try(f.origin, p, *t, true)
			}
			a = p.running
		}
		c.mu.Unlock()
		if a == nil {
			return
		}
		select {
		case <-a.done:
		case <-timeout.C:
			return
		}
		if a.target.Key.Name == t.Key.Name && a.said != nothing {
			c.count(p, a)
			return
		}
	}
}

// count records that the registry said yes to something in the repository of a. So its no there means something.
func (c *Checker) count(p *proof, a *attempt) {
	c.mu.Lock()
	a.counts = true
	turned := a.said == no && c.settle(p, a)
	c.mu.Unlock()
	if turned {
		c.opt.Turned(a.target, true)
	}
}

// believes reports whether the yes to t counts, and remembers where the origin said it. The checker's lock is held.
func (p *proof) believes(t *Target, redirects bool) bool {
	p.yes = *t
	return p.state == proven || p.state == unproven && !redirects
}
