package admission

import (
	"cmp"
	"context"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/config"
)

const (
	maxNeighbours = 3 // the canonical upstream included
	speedRounds   = 3
	// speedBytes is how much of a blob one try reads. Below speedLeast bytes, the time is that of the round trips.
	speedBytes, speedLeast = 8 << 20, 256 << 10
	// firstByteSlack is a difference that no client notices.
	firstByteSlack = 50 * time.Millisecond
)

const hintSpeed = "look at the figures: a busy server, a long way, a quota, a missing CDN? The command measures from where it runs: run it near the clients"

// rival is a server that the store is compared with, or the store itself.
type rival struct {
	Speed
	client *http.Client
	url    string // of the blob
	first  time.Duration
	best   float64 // bytes a second
}

// speed measures how fast the store sends a blob, and how fast its neighbours do.
func (r *run) speed(ctx context.Context) error {
	im, b, ok := r.largest()
	if !ok {
		r.say(idSpeed, "", judge.Note("not measured: no image has a blob to compare"))
		return nil
	}
	rivals := []*rival{{Speed: Speed{Name: r.store.Name, Kind: "store"}, client: r.client, url: r.at(b)}}
	for _, s := range r.neighbours() {
		rivals = append(rivals, &rival{Speed: Speed{Name: s.Name, Kind: "store"}, client: r.client,
			url: strings.ReplaceAll(s.URL, "{digest}", b.Digest.String())})
	}
	rivals = append(rivals, &rival{Speed: Speed{Name: r.cfg.Canonical().Name, Kind: "upstream"}, client: r.following,
		url: r.canonical() + "/" + im.ref.Name + "/blobs/" + b.Digest.String()})
	most := min(b.Size, speedBytes, r.opt.Bytes/8/speedRounds/(1+maxNeighbours))
	// The tries alternate, so that a busy moment of this machine hits all.
	for range speedRounds {
		rivals = slices.DeleteFunc(rivals, func(v *rival) bool { return !r.try(ctx, v, b, most) })
		r.progress()
	}
	for _, v := range rivals {
		v.Blob, v.Bytes, v.FirstByte, v.BytesPerSecond = b.Digest.String(), most, v.first.Seconds(), v.best
		r.rec.Figures.Speed = append(r.rec.Figures.Speed, v.Speed)
	}
	if len(rivals) == 0 || rivals[0].Name != r.store.Name {
		r.say(idSpeed, "", judge.Warn(judge.HintMirror, "not measured: the store does not send %s", b))
		return nil
	}
	r.compare(rivals[0], rivals[1:])
	return nil
}

// largest returns the largest blob of the images, and an image that has it.
func (r *run) largest() (of image, b judge.Blob, ok bool) {
	for _, im := range r.images {
		for _, c := range im.blobs {
			if c.Size > b.Size {
				of, b, ok = im, c, true
			}
		}
	}
	return of, b, ok
}

// neighbours returns the nearest active stores that serve some of the same clients.
func (r *run) neighbours() []config.Store {
	near := func(s *config.Store) float64 {
		sites := r.cfg.Map()
		a, knownA := sites.Find(r.store.Place)
		b, knownB := sites.Find(s.Place)
		if s.CDN != "" || r.store.CDN != "" || !knownA || !knownB {
			return 0 // a CDN is near everyone
		}
		return sites.RTT(a.Spot, b.Spot)
	}
	var out []config.Store
	for _, s := range r.cfg.Stores {
		if s.Name != r.store.Name && s.State == config.Active && together(s.Serves, r.store.Serves) {
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b config.Store) int { return cmp.Compare(near(&a), near(&b)) })
	return out[:min(len(out), maxNeighbours-1)]
}

// together reports whether some clients are served by both.
func together(a, b config.Serves) bool {
	return a.All || b.All || a.Internet && b.Internet ||
		slices.ContainsFunc(a.Clouds, func(c string) bool { return slices.Contains(b.Clouds, c) })
}

// try reads the beginning of b once. It reports whether the server sends it.
func (r *run) try(ctx context.Context, v *rival, b judge.Blob, most int64) bool {
	if v.first == 0 { // opens the connection, which clients have open, too
		req, err := http.NewRequestWithContext(ctx, http.MethodHead, v.url, nil)
		if err != nil {
			return false
		}
		req.Header.Set("User-Agent", r.opt.UserAgent)
		resp, err := v.client.Do(req)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
	}
	header := map[string]string{"Range": judge.Span{From: 0, To: most - 1}.Header(false)}
	g := r.read(ctx, v.client, v.url, header, io.Discard, b.Size, most)
	if g.Err != nil || g.Status/100 != 2 || g.n != most {
		return false
	}
	if v.first == 0 || g.first < v.first {
		v.first = g.first
	}
	if most >= speedLeast {
		v.best = max(v.best, float64(g.n)/(g.first+g.rest).Seconds())
	}
	return true
}

// compare judges the figures of the store.
func (r *run) compare(own *rival, others []*rival) {
	if len(others) == 0 {
		r.say(idSpeed, "", judge.Note("%s; no neighbour sends the blob", perSecond(own.best)))
		r.say(idFirstByte, "", judge.Note("%s; no neighbour sends the blob", own.first.Round(time.Millisecond)))
		return
	}
	fast := slices.MaxFunc(others, func(a, b *rival) int { return cmp.Compare(a.best, b.best) })
	v := judge.Good("%s; the best neighbour, %s: %s", perSecond(own.best), fast.Name, perSecond(fast.best))
	switch {
	case own.best == 0:
		v = judge.Note("not measured: the largest blob of the images is too small")
	case own.best < r.opt.MinSpeed*fast.best:
		v = judge.Warn(hintSpeed, "%s, less than %.0f %% of %s: %s", perSecond(own.best), 100*r.opt.MinSpeed, fast.Name, perSecond(fast.best))
	}
	r.say(idSpeed, "", v)
	soon := slices.MinFunc(others, func(a, b *rival) int { return cmp.Compare(a.first, b.first) })
	v = judge.Good("%s; the best neighbour, %s: %s", own.first.Round(time.Millisecond), soon.Name, soon.first.Round(time.Millisecond))
	if bound := time.Duration(r.opt.MaxFirstByte * float64(soon.first)); own.first > bound && own.first-soon.first > firstByteSlack {
		v = judge.Warn(hintSpeed, "%s, more than %.3g times that of %s: %s", own.first.Round(time.Millisecond), r.opt.MaxFirstByte,
			soon.Name, soon.first.Round(time.Millisecond))
	}
	r.say(idFirstByte, "", v)
}

func perSecond(n float64) string { return judge.Size(int64(math.Round(n))) + "/s" }
