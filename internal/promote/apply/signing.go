package apply

import (
	"context"
	"sync"

	"ociproxy/internal/oci"
	"ociproxy/internal/promote"
	"ociproxy/internal/promote/sign"
)

// Signing says what a run does about signatures: what staging images must carry, and what images in production get. It
// remembers which images the policy refused. None of these images is signed, in whatever repository it is. Several
// goroutines may call its methods.
type Signing struct {
	Policy *sign.Policy
	Signer *sign.Signer // nil: sign nothing

	mu      sync.Mutex
	refused map[oci.Digest]bool
}

// Enter makes a run with these options check the policy and sign. The options' registries must be set.
func (s *Signing) Enter(opt *Options) {
	regs := opt.Registries
	if s.Policy.Mode == sign.Warn || s.Policy.Mode == sign.Require {
		opt.Before = func(ctx context.Context, p *promote.Promotion) error {
			reg, name, err := regs.At(p.From)
			if err != nil {
				return err
			}
			if err = s.Policy.Check(ctx, reg, name, p.Digest); err != nil {
				s.refuse(p.Digest)
			}
			return err
		}
	}
	if s.Signer != nil {
		// Sign even if the image was there before: no tag without a signature.
		opt.Placed = func(ctx context.Context, p *promote.Promotion, _ []string) (bool, error) {
			return signOne(ctx, regs, s.Signer, p.Canonical, p.Digest)
		}
	}
}

func (s *Signing) refuse(d oci.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused == nil {
		s.refused = map[oci.Digest]bool{}
	}
	s.refused[d] = true
}

// Refused reports whether the policy refused an image.
func (s *Signing) Refused(d oci.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused[d]
}

// signOne signs an image in the repository with this full name.
func signOne(ctx context.Context, regs *promote.Registries, signer *sign.Signer, full string, d oci.Digest) (made bool, err error) {
	reg, name, err := regs.At(full)
	if err != nil {
		return false, err
	}
	return signer.Ensure(ctx, reg, name, d)
}
