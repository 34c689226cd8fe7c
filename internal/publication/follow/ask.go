package follow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"ociproxy/internal/fetch"
	"ociproxy/internal/publication"
)

// The documents, as metrics name them.
const (
	wordHead, wordKeys, wordOverrides, wordContent = "head", "keys", "overrides", "content"
)

// Documents lists the names of the documents in metrics.
func Documents() []string { return []string{wordHead, wordKeys, wordOverrides, wordContent} }

// document is one of the three signed documents.
type document struct {
	name    string
	fetcher *fetch.Fetcher
	text    []byte // the newest that was read, believed or not
	err     error  // of the last attempt
}

func (f *Follower) document(name string) *document {
	return &document{name: name, fetcher: fetch.New(f.source(name, publication.MaxDocument, documentTimeout))}
}

func (f *Follower) source(name string, most int64, limit time.Duration) fetch.Source {
	return fetch.Source{URL: f.opt.URL + name, Timeout: limit, MaxBytes: most, Client: f.opt.Client, Exact: true}
}

func (d *document) ask(ctx context.Context) {
	text, changed, err := d.fetcher.Get(ctx)
	if changed {
		d.text = text
	}
	d.err = unread(d.name, err)
}

// unread returns why something could not be read.
func unread(name string, err error) error {
	if err == nil {
		return nil
	}
	fault := publication.Missing
	for _, wrong := range []error{fetch.ErrTooLarge, fetch.ErrHTML, fetch.ErrEmpty, fetch.ErrEncoding} {
		if errors.Is(err, wrong) {
			fault = publication.Bad
		}
	}
	return &publication.Error{Fault: fault, Name: name, Err: err}
}

// absent reports whether d is not there. A bucket whose list is not public answers 403 in place of 404, which counts
// while the head beside it can be read.
func (d *document) absent(head *document) bool {
	s, ok := errors.AsType[*fetch.StatusError](d.err)
	return ok && (s.Code == http.StatusNotFound || s.Code == http.StatusForbidden && head.err == nil)
}

// Ask asks the URL once and takes what can be believed. It returns when the round is over, at the latest when ctx or
// its own time limits end.
func (f *Follower) Ask(ctx context.Context) {
	select {
	case f.asking <- struct{}{}:
		defer func() { <-f.asking }()
	case <-ctx.Done():
		return
	}
	var both sync.WaitGroup
	both.Go(func() { f.head.ask(ctx) })
	both.Go(func() { f.overrides.ask(ctx) })
	both.Wait()
	f.keys.ask(ctx) // last, so that they are not older than what they signed
	if errors.Is(ctx.Err(), context.Canceled) {
		return // the process ends: that is no fault
	}
	h := f.judge(time.Now())
	if h != nil {
		text, name, err := f.content(ctx, h)
		f.take(h, text, name, err)
	}
	_ = f.save() // it logs the error, and State has it
}

// judge takes the documents that were read. When the head names a configuration that is neither in use nor waiting, it
// returns the head.
func (f *Follower) judge(now time.Time) *publication.Head {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settle(wordKeys, f.judgeKeys(now))
	if f.used == nil { // what is in use stays
		f.disown()
	}
	f.settle(wordOverrides, f.judgeOverrides(now))
	h, err := f.openHead(f.trust, now)
	f.settle(wordHead, err)
	if err != nil {
		if publication.FaultOf(err) != publication.Missing && f.used != nil {
			f.newest, f.why = f.used, nil // what waits is no longer published
		}
		f.settle(wordContent, f.refusal())
		return nil
	}
	f.state.Checked = now
	for _, c := range []*Config{f.used, f.newest} {
		if c == nil || c.head == nil || c.Generation != h.Generation || c.head.SHA256 != h.SHA256 {
			continue
		}
		if c.head.SignedAt.Before(h.SignedAt) {
			c.head, c.envelope = h, f.head.text
			if c == f.good {
				f.put(publication.HeadName(f.opt.Ring), c.envelope)
			}
		}
		if c == f.used {
			f.trust.Adopt(c.head)
		}
		if c != f.newest {
			f.newest, f.why = c, nil
		}
		f.settle(wordContent, f.refusal())
		return nil
	}
	return h
}

func (f *Follower) judgeKeys(now time.Time) error {
	was := f.trust.KeySet()
	if f.keys.absent(f.head) && was == nil {
		return nil // root keys sign
	}
	if f.keys.err != nil {
		return f.keys.err
	}
	k, err := f.trust.AcceptKeys(f.keys.text, now)
	if err == nil && (was == nil || !k.SignedAt.Equal(was.SignedAt) || k.Generation != was.Generation) {
		f.put(publication.KeysName, f.keys.text)
		f.log.Info("the keys of the publication are in use", "generation", k.Generation, "config", len(k.Config), "override", len(k.Override))
	}
	return err
}

func (f *Follower) judgeOverrides(now time.Time) error {
	was := f.trust.Overrides()
	if f.overrides.absent(f.head) && was == nil {
		return nil
	}
	if f.overrides.err != nil {
		return f.overrides.err
	}
	trust := *f.trust
	o, err := trust.AcceptOverrides(f.overrides.text, now)
	if err == nil && (was == nil || !o.SignedAt.Equal(was.SignedAt) || o.Generation != was.Generation) {
		*f.trust = trust // only then: the pointer tells others that there is something new
		f.put(publication.OverridesName, f.overrides.text)
	}
	return err
}

func (f *Follower) openHead(trust *publication.Trust, now time.Time) (*publication.Head, error) {
	if f.head.err != nil {
		return nil, f.head.err
	}
	h, err := trust.OpenHead(f.opt.Ring, f.head.text, now)
	if err == nil && h.Bytes > f.opt.MaxContent {
		err = &publication.Error{Fault: publication.Bad, Name: f.head.name, Err: fmt.Errorf("the configuration has %d bytes, more than %d", h.Bytes, f.opt.MaxContent)}
	}
	return h, err
}

// content returns the content that h names, from memory or from the URL.
func (f *Follower) content(ctx context.Context, h *publication.Head) (text []byte, name string, err error) {
	name = publication.ContentName(h.SHA256)
	f.mu.Lock()
	known := append([]*Config{f.used, f.newest}, f.start...)
	f.mu.Unlock()
	for _, c := range known {
		if c != nil && h.CheckContent(c.Text) == nil {
			return c.Text, f.opt.URL + name, nil
		}
	}
	text, _, err = fetch.New(f.source(name, h.Bytes, contentTimeout)).Get(ctx)
	if err != nil {
		return nil, "", unread(name, err)
	}
	return text, f.opt.URL + name, h.CheckContent(text)
}

// take makes a content that was read what Load returns.
func (f *Follower) take(h *publication.Head, text []byte, name string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settle(wordContent, err)
	if err != nil {
		if f.used != nil {
			f.newest, f.why = f.used, nil
		}
		return
	}
	f.newest, f.why = &Config{Text: text, Name: name, Generation: h.Generation, head: h, envelope: f.head.text}, nil
	select {
	case f.news <- struct{}{}:
	default:
	}
}
