package admission

import (
	"fmt"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/config"
)

// Plan says what a run will ask, and what it takes at most.
type Plan struct {
	Steps []Step `json:"steps"`
	Most  Cost   `json:"most"`
}

// Step is a part of a run. Its bytes are a share of the run's; the shares overlap.
type Step struct {
	What     string `json:"what"`
	Requests int64  `json:"requests"` // at most
	Bytes    int64  `json:"bytes"`    // at most
}

// These are the requests of steps, at most.
const (
	liveRequests      = 170 // with a HEAD of each segment
	imageRequests     = 4   // for each image: tag, index, manifest, and one more for a redirect
	inventoryRequests = 210 // the head and 64 segments: read, asked for their types, read by the private proxy
	objectRequests    = 20
	closedRequests    = 24 // each question a second time after a fault; a write, a delete and the removal
	speedRequests     = 8 * speedRounds * (1 + maxNeighbours)
	pullRequests      = 300 // for each client and image: an image has 127 layers at most, and each is redirected
	proxyRequests     = 400 // probes of the private proxy, and its questions
)

// PlanOf returns the plan of a run. It makes no request.
func PlanOf(cfg *config.Config, opt Options) Plan {
	opt.defaults()
	images := int64(len(opt.Images))
	if images == 0 {
		images = min(3, int64(len(cfg.Mirror.Repositories.List)))
	}
	clients := int64(1 + len(opt.Clients))
	var p Plan
	add := func(requests, bytes int64, format string, args ...any) {
		p.Steps = append(p.Steps, Step{fmt.Sprintf(format, args...), requests, bytes})
		p.Most.Requests += requests
	}
	add(liveRequests, opt.Bytes/4, "what check --live asks of the store, and of the canonical upstream")
	add(images*imageRequests, images*3*judge.MaxManifest, "manifests of %d images", images)
	add(inventoryRequests, opt.Bytes/4, "the inventory, twice")
	add(int64(opt.Objects)*objectRequests, opt.Bytes/4, "%d random objects of it: whole, by ranges, in parallel, resumed", opt.Objects)
	add(4, 4<<20, "a read over each IP family")
	closed := "the root, lists and path tricks as a stranger"
	if !opt.ReadOnly {
		closed += "; one write and one delete of made-up names, which the store must refuse"
	}
	add(closedRequests, 1<<20, "%s", closed)
	add(speedRequests, opt.Bytes/8, "the same blob from the store and up to %d neighbours", maxNeighbours)
	add(10, 1<<20, "the owner, when there are credentials")
	add(images*clients*pullRequests+proxyRequests, opt.Bytes, "pulls of the images by up to %d clients through a private proxy, from what is left", clients)
	p.Most.Bytes, p.Most.Seconds = opt.Bytes, opt.Within.Seconds()
	return p
}
