package probe

import (
	"context"
	"errors"
	"slices"
	"strings"

	"ociproxy/internal/check/judge"
)

// Plan is what a run would ask for, and about what it would cost. The figures are for a deployment without faults, and
// rather too high: the hosts of the blobs are not known before they are asked.
type Plan struct {
	Images    []PlanImage `json:"images"`
	Whole     Cost        `json:"whole"`     // of a run that reads whole layers
	Decisions Cost        `json:"decisions"` // of a run that reads none
	Spent     Cost        `json:"spent"`     // on the plan itself
}

// PlanImage is an image that a run would pull.
type PlanImage struct {
	Image     string   `json:"image"`
	Digest    string   `json:"digest,omitempty"`
	Platforms int      `json:"platforms"` // that are pulled
	Blobs     int      `json:"blobs"`     // of these platforms
	Bytes     int64    `json:"bytes"`
	Problems  []string `json:"problems,omitempty"` // that keep it from being pulled
}

// NewPlan resolves the images, as the machine of the probe, and asks for nothing else. The error is as for [Run].
func NewPlan(ctx context.Context, opt Options) (*Plan, error) {
	p, done, err := begin(&opt)
	if err != nil {
		return nil, err
	}
	defer done()
	within, cancel := context.WithTimeout(ctx, opt.Limits.Time)
	defer cancel()
	self := p.session(Self)
	plan := &Plan{}
	e := estimate{opt: &opt}
	e.name()
	for i, ref := range opt.Images {
		before := len(p.tally.findings)
		im, ok := self.resolve(within, ref)
		one := PlanImage{Image: ref.String()}
		for _, f := range p.tally.findings[before:] {
			if f.Result == judge.Failed || f.Result == Skipped {
				one.Problems = append(one.Problems, f.Detail)
			}
		}
		if ok {
			one.Digest, one.Platforms = im.digest.String(), len(im.pulled)
			for _, b := range blobs(im.pulled) {
				one.Blobs++
				one.Bytes += b.Size
			}
			e.image(im, i == 0)
		}
		plan.Images = append(plan.Images, one)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.hosts()
	plan.Whole, plan.Decisions = e.whole, e.decisions
	plan.Spent = Cost{Requests: p.meter.made(), Bytes: p.meter.bytes.Load()}
	for _, c := range []*Cost{&plan.Whole, &plan.Decisions} {
		c.Seconds = float64(c.Requests) / opt.Limits.Rate
	}
	return plan, nil
}

// estimate adds up what the functions of a run do. An answer of the registry may be a redirect, so two requests each.
type estimate struct {
	opt              *Options
	whole, decisions Cost
}

func (e *estimate) add(requests, bytes int64) {
	for _, c := range []*Cost{&e.whole, &e.decisions} {
		c.Requests += requests
		c.Bytes += bytes
	}
}

// These are the requests and bytes of the functions of their names.
const (
	hostRequests    = 4
	refusalRequests = 4*2 + 7
	rangesRequests  = 5 + parallelRanges
	rangesBytes     = 1 + 1024 + 2*smallRange + parallelRanges*smallRange
)

// name counts what does not depend on images.
func (e *estimate) name() {
	e.add(1+hostRequests+refusalRequests, 8<<10) // errors have bodies
	e.add(int64(len(e.opt.Classes)), 0)
}

func (e *estimate) image(im *image, first bool) {
	var manifests, pulled int64 // bytes
	for _, m := range im.manifests {
		manifests += m.size
	}
	for _, m := range im.pulled {
		pulled += m.size
	}
	all := blobs(im.pulled)
	const tag, head, tags, signatures = 2, 2, 2, 4
	e.add(tag+head+tags+signatures+2*int64(len(im.manifests)), manifests)
	e.add(2*int64(len(blobs(im.manifests))), 0) // coherence
	for _, b := range all {
		e.add(3, 0)
		e.whole.Bytes += b.Size
		e.decisions.Bytes += min(b.Size, firstBytes)
	}
	if len(all) > 0 {
		e.add(rangesRequests, rangesBytes)
		biggest := all[len(all)-1].Size
		e.whole.Requests, e.whole.Bytes = e.whole.Requests+2, e.whole.Bytes+biggest // resume
		if biggest <= decisionBlob {
			e.decisions.Requests, e.decisions.Bytes = e.decisions.Requests+2, e.decisions.Bytes+biggest
		}
	}
	classes := int64(len(e.opt.Classes))
	each := int64(tag + head + 2 + 2*len(im.pulled))
	var bytes int64
	for _, b := range sample(all) {
		each += 3
		bytes += min(b.Size, firstBytes)
	}
	if first {
		each += machines
	}
	e.add(classes*each, classes*(pulled+bytes))
}

// hosts counts what is asked of each host of blobs. At most each class has one of its own.
func (e *estimate) hosts() {
	n := int64(len(e.opt.Classes))
	if e.opt.Hosts > 0 {
		n = min(n, int64(e.opt.Hosts))
	}
	e.add((n+1)*hostRequests, 0)
	e.add(n*rangesRequests, n*rangesBytes)
}

// WithTags gives each image that has no tag and no digest one of its repository's tags: latest if there is one, otherwise
// the last tag of the list that is not a signature's. An image whose tags cannot be read keeps none, and is returned with
// the reason in faults, by repository.
func WithTags(ctx context.Context, opt Options) (images []judge.Ref, faults map[string]string, err error) {
	images, faults = slices.Clone(opt.Images), map[string]string{}
	if !slices.ContainsFunc(images, func(r judge.Ref) bool { return r.Tag == "" && r.Digest.IsZero() }) {
		return images, faults, nil
	}
	p, done, err := begin(&opt)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	within, cancel := context.WithTimeout(ctx, opt.Limits.Time)
	defer cancel()
	self := p.session(Self)
	for i, ref := range images {
		if ref.Tag != "" || !ref.Digest.IsZero() {
			continue
		}
		tags, _, v, err := self.readTags(within, ref.Name)
		if err != nil && ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		images[i].Tag = pick(tags)
		switch {
		case images[i].Tag != "":
		case err != nil:
			faults[ref.Name] = err.Error()
		case v.Detail != "":
			faults[ref.Name] = v.Detail
		default:
			faults[ref.Name] = errNoTag.Error()
		}
	}
	return images, faults, nil
}

var errNoTag = errors.New("the repository has no tag")

func pick(tags []string) string {
	if slices.Contains(tags, "latest") {
		return "latest"
	}
	for _, t := range slices.Backward(tags) {
		if !strings.HasPrefix(t, "sha256-") && !strings.HasPrefix(t, "sha512-") {
			return t
		}
	}
	return ""
}
