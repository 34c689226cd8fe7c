package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"

	"ociproxy/internal/admission"
	"ociproxy/internal/cli"
	"ociproxy/internal/config"
	"ociproxy/internal/envelope"
	"ociproxy/internal/inventory"
	"ociproxy/internal/prometheus"
	"ociproxy/internal/region"
	"ociproxy/internal/store"
	"ociproxy/internal/store/address"
)

// regionSees is how long one look at a bucket or at Prometheus may take.
const regionSees = 20 * time.Second

// filledShare is the share of a neighbour's records that a filled store has at least. Inventories differ a little: they
// also list what was removed.
const filledShare = 0.95

// gather finds out what is there of the store.
func (a *app) gather(ctx context.Context, cfg *config.Config, s *config.Store, r *regional, f *region.Facts) error {
	f.File, f.Infra, f.Now = r.file, r.infra, time.Now()
	if err := a.gatherRings(ctx, r, f); err != nil {
		return err
	}
	f.Notice = noticeOf(cfg, s, f.Now)
	bucket, err := address.Parse(s.Bucket)
	f.Amazon = err == nil && bucket.Scheme == "s3" && bucket.Amazon()
	f.Exported = exportHas(r.infra, f.Name)
	switch {
	case f.Store == nil:
		f.Bucket.Detail = s.Bucket
	case s.Bucket == "":
		f.Bucket = region.Fact{OK: true, Detail: "the config has no bucket for " + f.Name}
	default:
		f.Bucket, f.Filled = a.bucketFacts(ctx, cfg, s)
	}
	f.Admitted = admissionOf(f.How.Record, s)
	return ctx.Err()
}

// noticeOf returns the notice that users were promised, if the store needs one.
func noticeOf(cfg *config.Config, s *config.Store, now time.Time) time.Duration {
	if cfg.Endpoints.Notice == 0 {
		return 0
	}
	trial, active := *cfg, *s
	active.State, active.Announce = config.Active, config.Announce{From: now.Add(time.Hour)}
	trial.Stores = []config.Store{active}
	if trial.At(now).Stores[0].State == config.Active {
		return 0 // a published wildcard covers its hosts
	}
	return cfg.Endpoints.Notice
}

// gatherRings reads what the rings have, if there is a publication.
func (a *app) gatherRings(ctx context.Context, r *regional, f *region.Facts) error {
	if cmp.Or(r.at.to, a.env(publicationVariable)) == "" {
		return nil
	}
	site, err := r.at.open(ctx, a)
	if err != nil {
		return err
	}
	state, err := readSite(ctx, site)
	if err != nil {
		return err
	}
	f.Published = true
	quiet := region.Fact{OK: true}
	for _, name := range state.Rings() {
		cfg, err := contentOf(ctx, site, state.Heads[name])
		if err != nil {
			return cli.Fail("config status shows the rings", "ring %s: %w", name, err)
		}
		ring := region.Ring{Name: name}
		for i := range cfg.Stores {
			if cfg.Stores[i].Name == f.Name {
				ring.Store = &cfg.Stores[i]
			}
		}
		f.Rings = append(f.Rings, ring)
		if age := f.Now.Sub(state.Heads[name].PublishedAt); age < time.Hour {
			quiet = region.Fact{Detail: fmt.Sprintf("ring %s has drained it for %s; wait for an hour, or give --prometheus", name, age.Round(time.Minute))}
		}
	}
	f.Quiet = quiet
	return nil
}

// exportHas looks for the store in the file that infra export writes.
func exportHas(dir, name string) region.Fact {
	if dir == "" {
		return region.Fact{}
	}
	file := filepath.Join(dir, region.ExportName)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return region.Fact{Detail: file + " is not there"}
	}
	var groups map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(text, &groups)
	}
	if err != nil {
		return region.Fact{Detail: fmt.Sprintf("%s: %v", file, err)}
	}
	for _, group := range groups { // by kind, then by account, then by store
		var accounts map[string]map[string]json.RawMessage
		if json.Unmarshal(group, &accounts) != nil {
			continue // that of the front
		}
		for _, stores := range accounts {
			if _, ok := stores[name]; ok {
				return region.Fact{OK: true, Detail: file + " has it"}
			}
		}
	}
	return region.Fact{Detail: file + " does not have it"}
}

// bucketFacts looks whether the bucket is there and how full it is.
func (a *app) bucketFacts(ctx context.Context, cfg *config.Config, s *config.Store) (there, filled region.Fact) {
	ctx, cancel := context.WithTimeout(ctx, regionSees)
	defer cancel()
	head, err := a.headOf(ctx, s)
	switch {
	case errors.As(err, new(bucketFault)):
		return region.Fact{Detail: cli.OneLine(err.Error())}, region.Fact{}
	case err != nil:
		return region.Fact{OK: true, Detail: s.Bucket}, region.Fact{Detail: cli.OneLine(err.Error())}
	case head == nil:
		return region.Fact{OK: true, Detail: s.Bucket}, region.Fact{Detail: "it has no inventory yet"}
	}
	has := recordsOf(head)
	filled.Detail = fmt.Sprintf("its inventory has %s", cli.Count(int64(has), "record"))
	for i := range cfg.Stores {
		n := &cfg.Stores[i]
		if n.Name == s.Name || n.Bucket == "" || n.State != config.Active {
			continue
		}
		other, err := a.headOf(ctx, n)
		if err != nil || other == nil {
			continue
		}
		of := recordsOf(other)
		filled.Detail += fmt.Sprintf("; that of %s has %s", n.Name, humanize.Comma(int64(of)))
		filled.OK = float64(has) >= filledShare*float64(of)
		return region.Fact{OK: true, Detail: s.Bucket}, filled
	}
	filled.OK = has > 0 // there is no other store to compare with
	return region.Fact{OK: true, Detail: s.Bucket}, filled
}

// bucketFault is an error about a bucket as a whole.
type bucketFault struct{ error }

// headOf reads the head of the inventory in a bucket; nil: there is none. A bucketFault is about the bucket itself.
func (a *app) headOf(ctx context.Context, s *config.Store) (*inventory.Head, error) {
	b, err := store.Open(ctx, s.Bucket, store.Options{Owner: s.Owner, Getenv: a.env})
	if err != nil {
		return nil, bucketFault{err}
	}
	if err := b.Check(ctx, ""); err != nil {
		return nil, bucketFault{err}
	}
	body, _, err := b.Get(ctx, address.InventoryPrefix+inventory.HeadName, 0, -1)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil //nolint:nilnil // as the comment says
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(body, inventory.MaxHeadBytes+1))
	if err != nil {
		return nil, err
	}
	return inventory.ParseHead(text)
}

func recordsOf(h *inventory.Head) (n uint64) {
	for _, s := range h.Segments {
		n += s.Count
	}
	return n
}

// admissionOf reads the record of store admit.
func admissionOf(file string, s *config.Store) region.Fact {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return region.Fact{Detail: file + " is not there"}
	}
	if err != nil {
		return region.Fact{Detail: err.Error()}
	}
	r, err := readAdmission(text)
	switch {
	case err != nil:
		return region.Fact{Detail: fmt.Sprintf("%s: %v", file, err)}
	case r.Subject.Store != s.Name || r.Subject.Stanza != s.Hash():
		return region.Fact{Detail: file + " is about another stanza: admit the store again"}
	case string(r.Verdict) != string(admission.Pass):
		return region.Fact{Detail: file + " says that the store is refused"}
	}
	return region.Fact{OK: true, Detail: fmt.Sprintf("admitted at %s", r.Made.UTC().Format("2006-01-02 15:04:05"))}
}

// readAdmission reads a record, signed or not. Whoever can write the file can also run the next step by hand, so the
// signature is not verified here.
func readAdmission(text []byte) (*envelope.Record, error) {
	var signed struct{ Payload []byte }
	if err := json.Unmarshal(text, &signed); err == nil && len(signed.Payload) > 0 {
		text = signed.Payload
	}
	return envelope.ParseRecord(text)
}

// quiet asks Prometheus whether clients are still sent to the store.
func (a *app) quiet(ctx context.Context, r *regional, name string, since time.Duration) (region.Fact, bool, error) {
	url := cmp.Or(r.prom, a.env(prometheusVariable))
	if url == "" {
		return region.Fact{Detail: "give --prometheus, and this command sees whether clients are still sent there"}, false, nil
	}
	client, err := prometheus.New(url, a.env)
	if err != nil {
		return region.Fact{}, false, cli.Usage("for example http://prometheus:9090", "--prometheus: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, regionSees)
	defer cancel()
	sum := func(query string) (n float64, err error) {
		samples, err := client.Query(ctx, query, time.Time{})
		if err != nil {
			return 0, cli.Fail("leave out --prometheus to see the rest", "%w", err)
		}
		for _, s := range samples {
			n += s.Value
		}
		return n, nil
	}
	seen, err := sum(fmt.Sprintf("sum(count_over_time(ociproxy_config_info[%s]))", seconds(since)))
	if err != nil {
		return region.Fact{}, false, err
	}
	if seen == 0 { // the store would look quiet, because nothing has redirects
		return region.Fact{Detail: fmt.Sprintf("Prometheus has no metrics of the servers in the last %s: does it scrape them?", since)}, true, nil
	}
	n, err := sum(fmt.Sprintf("sum(increase(ociproxy_redirects_total{candidate=%q}[%s]))", name, seconds(since)))
	if err != nil {
		return region.Fact{}, false, err
	}
	fact := region.Fact{OK: n == 0, Detail: fmt.Sprintf("%.0f redirects in the last %s", n, since)}
	return fact, true, nil
}
