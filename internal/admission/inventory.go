package admission

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"mime"
	"net/http"
	"slices"
	"strings"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/inventory"
	"ociproxy/internal/inventory/inspect"
	"ociproxy/internal/oci"
)

// inventory reads the inventory as a server does, picks the objects to ask for, and looks up what images need.
func (r *run) inventory(ctx context.Context) error {
	need := r.needed()
	r.rec.Figures.Sample.Needed = len(need)
	r.pick(slices.Collect(maps.Values(need))) // unless the inventory can be read
	if !r.store.Inventory.Enabled() {
		r.say(idRead, "", judge.Note("the config names no inventory of it: servers ask it by HEAD for each digest; blobs of the images are asked for instead"))
		return nil
	}
	if inv := r.rec.Figures.Inventory; inv != nil && inv.Bytes > r.opt.Bytes/8 {
		r.say(idRead, "", judge.Fail("raise --bytes to eight times that, or more", "not read: it has %s", judge.Size(inv.Bytes)))
		return nil
	}
	sample, missing, err := r.readInventory(ctx, need)
	_, local := errors.AsType[*fs.PathError](err) // of the directory for temporary files
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case local:
		return err
	case err != nil:
		r.say(idRead, "", judge.Fail("oci-proxyctl inventory verify says more; inventory rebuild writes it again", "%v", err))
		return nil
	}
	r.pick(sample)
	r.rec.Figures.Sample.Unlisted = len(missing)
	switch {
	case len(need) == 0: // the pulls say so
	case len(missing) > 0:
		r.say(idListed, "", judge.Warn("let the mirror finish a pass: clients go to another candidate for these blobs until then",
			"%d of %d blobs that the images need are not listed, such as %s", len(missing), len(need), missing[0]))
	default:
		r.say(idListed, "", judge.Good("all %d blobs that the images need", len(need)))
	}
	return nil
}

// readInventory reads the inventory, and returns random objects of it and those of need that it does not list.
func (r *run) readInventory(ctx context.Context, need map[string]judge.Blob) (sample []judge.Blob, missing []string, err error) {
	src := inspect.Source{URL: r.store.Inventory.URL, Store: r.store.Name, StaleAfter: r.store.Inventory.StaleAfter}
	inv, err := inspect.Open(ctx, src, inspect.Options{Transport: r.meter.wrap(r.transport)})
	if err != nil {
		return nil, nil, err
	}
	defer inv.Close()
	found, n := map[string]bool{}, 0
	for rec, err := range inv.Records() {
		if err != nil {
			return nil, nil, err
		}
		n++
		text := rec.Digest.String()
		if b, ok := need[text]; ok {
			found[text] = true
			if b.Size != rec.Size {
				r.say(idListed, text, judge.Warn("oci-proxyctl audit --deep finds out which is wrong", "it lists %d bytes, the image says %d", rec.Size, b.Size))
			}
		}
		// Each object so far is in the sample with the same probability (Vitter's algorithm R).
		if b := (judge.Blob{Digest: rec.Digest, Size: rec.Size}); len(sample) < r.opt.Objects {
			sample = append(sample, b)
		} else if i := rand.IntN(n); i < r.opt.Objects {
			sample[i] = b
		}
	}
	r.say(idRead, "", judge.Good("%d objects in %d segments", n, len(inv.Head().Segments)))
	for text := range need {
		if !found[text] {
			missing = append(missing, text)
		}
	}
	slices.Sort(missing)
	r.types(ctx, inv.Head())
	return sample, missing, nil
}

// types judges the media types of the head and of the segments. A type that looks like text invites servers on the way to
// change the bytes.
func (r *run) types(ctx context.Context, head *inventory.Head) {
	want := map[string]string{inventory.HeadName: "application/json"}
	for _, s := range head.Segments {
		want[inventory.SegmentPrefix+s.SHA256] = "application/octet-stream"
	}
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		ans := r.asker.Ask(ctx, judge.Query{Method: http.MethodHead, URL: r.store.Inventory.URL + name})
		if ans.Err != nil || ans.Status != http.StatusOK {
			continue // other checks say so
		}
		kind, _, _ := mime.ParseMediaType(ans.Header.Get("Content-Type"))
		if kind != want[name] && kind != "binary/octet-stream" { // S3's own default
			wrong = append(wrong, fmt.Sprintf("%.16s… is %q, want %s", name, kind, want[name]))
		}
	}
	if len(wrong) > 0 {
		r.say(idTypes, "", judge.Warn("let the mirror write the inventory, and no rule of the server change the type", "%s", strings.Join(wrong, "; ")))
		return
	}
	r.say(idTypes, "", judge.Good("as the mirror writes them"))
}

// needed returns the blobs of all images, by digest.
func (r *run) needed() map[string]judge.Blob {
	need := map[string]judge.Blob{}
	for _, im := range r.images {
		for _, b := range im.blobs {
			need[b.Digest.String()] = b
		}
	}
	return need
}

// pick makes candidates what the store is asked for, smallest first.
func (r *run) pick(candidates []judge.Blob) {
	rand.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
	r.blobs = candidates[:min(len(candidates), r.opt.Objects)]
	slices.SortFunc(r.blobs, func(a, b judge.Blob) int {
		return cmp.Or(cmp.Compare(a.Size, b.Size), strings.Compare(a.Digest.String(), b.Digest.String()))
	})
}

// image is an image of the canonical upstream, for one platform.
type image struct {
	ref      judge.Ref
	platform string // "linux/amd64"
	blobs    []judge.Blob
	size     int64
}

// defaultPlatform is the platform of an image that is no index.
const defaultPlatform = "linux/amd64"

// resolveImages asks the canonical upstream for the manifests of the images.
func (r *run) resolveImages(ctx context.Context) error {
	var known []image
	for _, im := range r.images {
		err := r.resolve(ctx, &im)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.say(live+".canonical", im.ref.String(), judge.Warn("name another image with --image", "the canonical upstream: %v", err))
			continue
		}
		known = append(known, im)
	}
	r.images = known
	return nil
}

func (r *run) resolve(ctx context.Context, im *image) error {
	doc, err := r.manifest(ctx, im.ref.Name, im.ref.Reference())
	if err != nil {
		return err
	}
	im.platform = defaultPlatform
	if doc.Config == nil {
		child, err := doc.Child()
		if err != nil {
			return err
		}
		for _, m := range doc.Manifests {
			if m.Digest == child.String() && m.Platform.OS != "" {
				im.platform = m.Platform.OS + "/" + m.Platform.Architecture
			}
		}
		if doc, err = r.manifest(ctx, im.ref.Name, child.String()); err != nil {
			return err
		}
		if doc.Config == nil {
			return errors.New("an index in an index")
		}
	}
	im.blobs = doc.Blobs()
	for _, b := range im.blobs {
		im.size += b.Size
	}
	return nil
}

func (r *run) manifest(ctx context.Context, name, reference string) (judge.Document, error) {
	var doc judge.Document
	a := judge.Asker{Client: r.client, Timeout: r.opt.Timeout, UserAgent: r.opt.UserAgent}
	ans := a.Ask(ctx, judge.Query{
		Method: http.MethodGet, URL: r.canonical() + "/" + name + "/manifests/" + reference,
		Header: map[string]string{"Accept": judge.Accept}, Max: judge.MaxManifest, Redirects: 5,
	})
	if v, bad := judge.Trouble(ans); bad {
		return doc, errors.New(v.Detail)
	}
	if ans.Status != http.StatusOK {
		return doc, fmt.Errorf("status %d for the manifest %s of %s", ans.Status, reference, name)
	}
	if want, err := oci.ParseDigest(reference); err == nil && judge.Sum(want, ans.Body) != want {
		return doc, fmt.Errorf("the manifest %s of %s has another digest", reference, name)
	}
	return judge.ParseManifest(ans.Body)
}

// canonical returns the URL of the canonical upstream's repositories, without a slash at the end.
func (r *run) canonical() string {
	u := r.cfg.Canonical()
	base := strings.TrimSuffix(u.URL, "/") + "/v2"
	if u.Prefix != "" {
		base += "/" + u.Prefix
	}
	return base
}
