package apply

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"

	"ociproxy/internal/promote"
)

// Plan is a plan file that was read to its end and found complete. It can be read again.
type Plan struct {
	promote.Header
	Summary    *promote.Summary
	Hash       string   // SHA-256 of the file, in hexadecimal
	Hosts      []string // of destinations, sorted
	Promotions int64
	Edges      int64

	file io.ReadSeeker
}

// ErrChanged says that the plan file has changed since it was first read.
var ErrChanged = errors.New("the plan file was changed meanwhile")

// ReadPlan reads a plan file from its beginning. It accepts nothing of it before its end.
func ReadPlan(file io.ReadSeeker) (*Plan, error) {
	p := &Plan{file: file}
	hosts := map[string]bool{}
	sum, err := p.each(func(header promote.Header, one *promote.Promotion) bool {
		p.Header = header
		p.Promotions++
		for _, t := range one.To {
			host, _, _ := promote.SplitRepository(t.Repository)
			hosts[host] = true
			p.Edges += edges(&t)
		}
		return true
	}, func(r *promote.Reader) { p.Header, p.Summary = r.Header, r.Summary })
	if err != nil {
		return nil, err
	}
	p.Hash = sum
	p.Hosts = slices.Sorted(maps.Keys(hosts))
	return p, nil
}

// each reads the file and returns the hash of all its bytes.
func (p *Plan) each(one func(promote.Header, *promote.Promotion) bool, end func(*promote.Reader)) (string, error) {
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("read plan: %w", err)
	}
	h := sha256.New()
	file := io.TeeReader(p.file, h)
	r, err := promote.NewReader(file)
	if err != nil {
		return "", err
	}
	for promotion, err := range r.All() {
		if err != nil {
			return "", err
		}
		if !one(r.Header, promotion) {
			return "", nil
		}
	}
	if _, err := io.Copy(io.Discard, file); err != nil {
		return "", fmt.Errorf("read plan: %w", err)
	}
	end(r)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// All reads the promotions again. The last pair may be an error.
func (p *Plan) All() iter.Seq2[*promote.Promotion, error] {
	return func(yield func(*promote.Promotion, error) bool) {
		var left = p.Promotions
		sum, err := p.each(func(_ promote.Header, one *promote.Promotion) bool {
			if left--; left < 0 {
				return false
			}
			return yield(one, nil)
		}, func(*promote.Reader) {})
		switch {
		case err != nil:
			yield(nil, err)
		case sum != "" && sum != p.Hash, left < 0:
			yield(nil, ErrChanged)
		}
	}
}

// edges returns the number of promotions of one target: one for each tag, or one for the digest.
func edges(t *promote.Target) int64 { return int64(max(1, len(t.Tags))) }
