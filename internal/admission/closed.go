package admission

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/config"
	"ociproxy/internal/store"
	"ociproxy/internal/store/address"
)

const (
	hintRoot   = "take away the right to list the bucket, and turn off index documents and start pages"
	hintPath   = "let the server serve objects by their exact names only"
	hintList   = "take away s3:ListBucket (storage.objects.list; container access level) from anonymous clients: they need to read objects only"
	hintWrite  = "take away every right to write from anonymous clients at once, then run oci-proxyctl audit --deep: strangers may have changed objects"
	hintDelete = "look at the bucket's policy: anonymous clients need to read objects only, and must not have the right to delete"
	hintAgain  = "run the command again: the server had a fault, which proves nothing"
)

// page is how much of an answer is read to see what it is.
const page = 4096

// closed asks for what strangers must not be able to do.
func (r *run) closed(ctx context.Context) error {
	b := bucketOf(&r.store)
	get := func(at string) judge.Answer {
		ans := r.asker.Ask(ctx, judge.Query{Method: http.MethodGet, URL: at, Max: page})
		if faulty(ans) {
			ans = r.asker.Ask(ctx, judge.Query{Method: http.MethodGet, URL: at, Max: page})
		}
		return ans
	}
	r.say(idRoot, "", shut(get(b.url("/", "")), hintRoot, "the root of the bucket"))
	// The path of a file that every server has, beside and above the blobs.
	v := judge.Verdict{}
	for _, trick := range []string{"..%2f..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "sha256:..%2f"} {
		if v = shut(get(r.name(trick)), hintPath, trick); v.Result != judge.OK {
			break
		}
	}
	r.say(idPath, "", v)
	for _, at := range b.lists() {
		if v = shut(get(at), hintList, "a list"); v.Result != judge.OK {
			break
		}
	}
	r.say(idList, "", v)
	if r.opt.ReadOnly {
		r.say(idPut, "", judge.Note("not asked: --read-only"))
		r.say(idDelete, "", judge.Note("not asked: --read-only"))
		return nil
	}
	r.writes(ctx, b)
	return nil
}

// ListURLs returns the URLs at which strangers would get a list of what is in a store, if they had the right.
func ListURLs(s *config.Store) []string {
	b := bucketOf(s)
	return b.lists()
}

// lists returns the URLs by which a service lists a bucket. An unknown service is asked in all ways.
func (b *bucket) lists() []string {
	const ofS3, ofAzure = "list-type=2&max-keys=1", "restype=container&comp=list&maxresults=1"
	name := strings.TrimPrefix(b.root, "/")
	if b.root == "" {
		name, _, _ = strings.Cut(b.host.Host, ".")
	}
	ofGoogle := b.host.Scheme + "://" + strings.TrimPrefix(b.host.Host, name+".") + "/storage/v1/b/" + name + "/o?maxResults=1"
	switch b.service {
	case s3Like:
		return []string{b.url("/", ofS3)}
	case azure:
		return []string{b.url("", ofAzure)}
	case google:
		return []string{b.url("/", ofS3), ofGoogle}
	case unknown:
	}
	return []string{b.url("/", ofS3), b.url("/", ofAzure)}
}

// shut judges the answer to a stranger's request that must be refused.
func shut(ans judge.Answer, hint, what string) judge.Verdict {
	switch {
	case ans.Err != nil:
		v, _ := judge.Trouble(ans)
		return v
	case ans.Status/100 == 2 && ans.IsHTML():
		return judge.Fail(hint, "%d with an HTML page for %s", ans.Status, what)
	case ans.Status/100 == 2:
		return judge.Fail(hint, "%d for %s", ans.Status, what)
	case ans.Location != nil:
		return judge.Fail(hint, "%d, a redirect, for %s", ans.Status, what)
	case faulty(ans): // a server can do what it was asked for, and say this
		return judge.Fail(hintAgain, "%d for %s", ans.Status, what)
	}
	return judge.Good("%d for %s", ans.Status, what)
}

// faulty reports whether an answer shows only that the server has a fault or no time.
func faulty(ans judge.Answer) bool {
	return ans.Status >= 500 && ans.Status != http.StatusNotImplemented || ans.Status == http.StatusTooManyRequests
}

// shutDelete judges the answer to a stranger's delete of a name that does not exist. put is the answer to the write.
func shutDelete(gone, put judge.Answer) judge.Verdict {
	const what = "a delete of a name that does not exist"
	switch {
	case gone.Err != nil || gone.Status != http.StatusNotFound:
		return shut(gone, hintWrite, what)
	case put.Err == nil && (put.Status == http.StatusForbidden || put.Status == http.StatusUnauthorized):
		// Who refuses a write for lack of rights would refuse this for the same reason.
		return judge.Warn(hintDelete, "404 for %s, and %d for a write: strangers may have the right to delete", what, put.Status)
	}
	return judge.Note("404 for %s: whether an object could be deleted does not show", what)
}

// madeUp is the beginning of the name of the object that strangers try to write. It is no digest, so no client ever
// asks for it.
const madeUp = "oci-proxy-admission-"

// writes tries to write and to delete as a stranger. It removes what it was able to write.
func (r *run) writes(ctx context.Context, b bucket) {
	random := make([]byte, 12)
	_, _ = rand.Read(random) // never fails
	name := madeUp + hex.EncodeToString(random)
	put := r.write(ctx, http.MethodPut, r.name(name))
	v := shut(put, hintWrite, "a write of "+name)
	if put.Err != nil || put.Status/100 != 4 { // after an error the object may be there, too
		if !r.clean(ctx, b, name, put.Err == nil && put.Status/100 == 2) {
			v.Detail += "; the object " + name + " may still be there"
			v.Hint = "remove " + name + "; " + v.Hint
		}
	}
	r.say(idPut, "", v)
	gone := r.write(ctx, http.MethodDelete, r.name(name+"-gone"))
	r.say(idDelete, "", shutDelete(gone, put))
}

// write sends a request that must be refused. It waits for the answer also when the run is interrupted: a server may do
// what it was asked for after the client has gone.
func (r *run) write(ctx context.Context, method, at string) (ans judge.Answer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.opt.Timeout)
	defer cancel()
	text := ""
	if method == http.MethodPut {
		text = "Made by oci-proxyctl store admit to see whether anyone may write here. Delete it.\n"
	}
	req, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(text))
	if err != nil {
		ans.Err = errors.New("bad URL")
		return ans
	}
	req.Header.Set("User-Agent", r.opt.UserAgent)
	if method == http.MethodPut {
		req.Header.Set("Content-Type", "text/plain")
		req.Header.Set("X-Ms-Blob-Type", "BlockBlob") // without them Azure refuses the request for its form
		req.Header.Set("X-Ms-Version", "2021-12-02")
	}
	resp, err := r.client.Do(req)
	if err != nil {
		ans.Err = bare(err)
		return ans
	}
	defer resp.Body.Close()
	ans.Status, ans.Header, ans.Length = resp.StatusCode, resp.Header, resp.ContentLength
	if to, err := resp.Location(); err == nil && resp.StatusCode/100 == 3 {
		ans.Location = to
	}
	return ans
}

// cleanTime bounds the removal of what could be written, which happens also when the run is interrupted.
const cleanTime = 30 * time.Second

// clean removes the object that a stranger may have been able to write: as a stranger, then with the operator's
// credentials. It reports whether the object is certainly not there.
func (r *run) clean(ctx context.Context, b bucket, name string, accepted bool) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
	defer cancel()
	status := func() int {
		return r.asker.Ask(ctx, judge.Query{Method: http.MethodHead, URL: r.name(name)}).Status // 0: no answer
	}
	now := status()
	if accepted || now == http.StatusOK {
		_ = r.write(ctx, http.MethodDelete, r.name(name)) // the next question shows the result
		now = status()
	}
	// A bucket that may not be listed answers 403 for what it does not have.
	if now == http.StatusNotFound || now == http.StatusForbidden && !accepted {
		return true
	}
	own, err := r.open(ctx)
	if err != nil {
		return false
	}
	written, err := address.Parse(r.store.Bucket)
	if err != nil {
		return false
	}
	key := strings.TrimPrefix(strings.TrimPrefix(b.before, "/"), written.Prefix) + name
	return own.Delete(ctx, key, "") == nil
}

// open opens the store's bucket with the operator's credentials.
func (r *run) open(ctx context.Context) (store.Bucket, error) {
	if r.store.Bucket == "" {
		return nil, errors.New("the config names no bucket")
	}
	return store.Open(ctx, r.store.Bucket, store.Options{
		Owner: r.store.Owner, Getenv: r.opt.Getenv, Timeout: r.opt.Timeout,
	})
}

// owner makes sure with the operator's credentials that the bucket belongs to whom the config names.
func (r *run) owner(ctx context.Context) error {
	r.say(idOwner, "", r.owned(ctx))
	return nil
}

func (r *run) owned(ctx context.Context) judge.Verdict {
	if r.store.Bucket == "" {
		return judge.Note("not checked: the config names no bucket of this store")
	}
	ctx, cancel := context.WithTimeout(ctx, 3*r.opt.Timeout)
	defer cancel()
	b, err := r.open(ctx)
	if err == nil {
		err = b.Check(ctx, "")
	}
	switch {
	case errors.Is(err, store.ErrUnfit):
		return judge.Fail("correct bucket: or owner: in the config", "%v", err)
	case err != nil:
		return judge.Note("not checked: %v", err)
	case r.store.Owner == "":
		return judge.Note("%s can be reached; the config names no owner to compare with", b)
	}
	return judge.Good("%s belongs to %s", b, r.store.Owner)
}
