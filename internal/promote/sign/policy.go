package sign

import (
	"context"
	"errors"
	"fmt"

	"ociproxy/internal/oci"
	"ociproxy/internal/registry"
)

// Mode says what a policy does about an image that is not signed as required.
type Mode string

// The modes. The zero value is Off.
const (
	Off     Mode = "off"     // check nothing
	Warn    Mode = "warn"    // report it, and promote the image
	Require Mode = "require" // do not promote it
)

// Modes returns all modes.
func Modes() []string { return []string{string(Off), string(Warn), string(Require)} }

// String implements the flags' interface.
func (m *Mode) String() string {
	if *m == "" {
		return string(Off)
	}
	return string(*m)
}

// Set implements the flags' interface.
func (m *Mode) Set(text string) error {
	switch Mode(text) {
	case Off, Warn, Require:
		*m = Mode(text)
		return nil
	}
	return errors.New("expected off, warn or require")
}

// Type implements the flags' interface.
func (m *Mode) Type() string { return "off|warn|require" }

// Policy is what must be true of an image in a staging registry before anything of it is copied. The zero value
// requires nothing.
type Policy struct {
	Mode     Mode
	Keys     Keys     // keys whose signatures count; required unless the mode is Off
	Identity Identity // what signatures call the image; nil: its repository's name
	// Warn receives, in mode Warn, the errors with which Require would have refused. It is called from several
	// goroutines.
	Warn func(error)
}

// Check is a [Check]. It returns nil in mode Warn, unless ctx has ended. In mode Require, a registry that does not
// answer is an error of its own: an unknown image is not trusted.
func (p *Policy) Check(ctx context.Context, reg *registry.Registry, repo string, d oci.Digest) error {
	if p == nil || p.Mode == Off || p.Mode == "" {
		return nil
	}
	if len(p.Keys) == 0 {
		return fmt.Errorf("verify %s/%s@%s: %w: no public key was given", reg, repo, d, ErrUntrusted)
	}
	err := Verify(ctx, reg, repo, d, p.Keys, p.Identity)
	if err == nil || p.Mode == Require || ctx.Err() != nil {
		return err
	}
	if p.Warn != nil {
		p.Warn(err)
	}
	return nil
}
