package region

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/store/address"
)

// Wish is the store that a person asks for. Only Place is required.
type Wish struct {
	Place  place.Place
	Name   string
	Bucket string // its name, or its URL
	URL    string // of a blob, with {digest}
	Owner  string
	Now    time.Time
}

// Draft is a stanza of a store in the state `filling`.
type Draft struct {
	Name string
	Text string // its keys in YAML, from the first column on
	Like string // the store from which the values come; "" when there is none
	// Store has the values of the stanza. Keys that it leaves out are not filled with their defaults.
	Store config.Store
	Site  place.Site
	// From is the date that the stanza announces; zero when nobody was promised one.
	From time.Time
	// Notes are what the person should know, as sentences.
	Notes []string
}

// Refusal says why there is no draft.
type Refusal struct {
	Reason string
	Hint   string // what to do
}

func (r *Refusal) Error() string { return r.Reason }

func refuse(hint, format string, args ...any) error {
	return &Refusal{Reason: fmt.Sprintf(format, args...), Hint: hint}
}

// Site returns the place on the map of the config. Its error is a [*Refusal].
func Site(cfg *config.Config, p place.Place) (place.Site, error) {
	site, ok := cfg.Map().Find(p)
	if ok {
		return site, nil
	}
	var names []string
	for _, s := range cfg.Map().Sites() {
		names = append(names, s.Place.String())
	}
	hint := fmt.Sprintf("add it to the config, with the coordinates of its city: places: {%s: {lat: 53.5, lon: 10.0, country: DE}}; docs/places.md explains the keys", p)
	if near := config.Suggest(p.String(), names); near != "" {
		hint = fmt.Sprintf("did you mean %q? Otherwise %s", near, hint)
	}
	return place.Site{}, refuse(hint, "%s is not on the map", p)
}

// At returns the stores that the config has at a place.
func At(cfg *config.Config, p place.Place) (out []*config.Store) {
	for i := range cfg.Stores {
		if s := &cfg.Stores[i]; s.Place == p && s.CDN == "" {
			out = append(out, s)
		}
	}
	return out
}

// Make drafts the stanza. The values come from the nearest store of the same cloud and partition that has a bucket: the
// region is replaced wherever a name spells it. The error is a [*Refusal].
func Make(cfg *config.Config, w Wish) (*Draft, error) {
	site, err := Site(cfg, w.Place)
	if err != nil {
		return nil, err
	}
	w.Place = site.Place // w may have an alias
	d := &Draft{Site: site}
	s := config.Store{Place: w.Place, State: config.Filling}
	switch like := nearest(cfg, site); {
	case like != nil:
		d.Like = like.Name
		err = follow(&s, like, w)
	case w.Bucket == "" || !strings.Contains(w.Bucket, "://") || w.URL == "":
		err = refuse("say where it is: --bucket 's3://NAME?region=…' --url 'https://HOST/…/{digest}'; docs/adding-a-cloud.md is the walk",
			"no store of the cloud %s has a bucket to follow", w.Place.Cloud)
	default:
		s.Name = cmp.Or(w.Name, strings.ReplaceAll(w.Place.String(), "/", "-"))
		s.Bucket, s.URL, s.Owner = w.Bucket, w.URL, w.Owner
		s.Inventory.URL = beside(w.URL)
	}
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(cfg.Stores, func(o config.Store) bool { return o.Name == s.Name || o.Bucket == s.Bucket || o.URL == s.URL }); i >= 0 {
		return nil, refuse("give this one a --name, a --bucket and a --url of its own", "the store %s has the same name, bucket or URL", cfg.Stores[i].Name)
	}
	d.Name = s.Name
	d.date(cfg, &s, w.Now)
	d.note(cfg, &s)
	d.Store, d.Text = s, d.stanza(&s)
	return d, nil
}

// nearest returns the store to follow; nil: there is none.
func nearest(cfg *config.Config, site place.Site) (best *config.Store) {
	m, least := cfg.Map(), 0.0
	for i := range cfg.Stores {
		s := &cfg.Stores[i]
		at, known := m.Find(s.Place)
		if s.CDN != "" || s.Bucket == "" || s.State == config.Off || !known || at.Cloud != site.Cloud || !m.OneCloud(s.Place, site.Place) {
			continue
		}
		if rtt := m.RTT(at.Spot, site.Spot); best == nil || rtt < least {
			best, least = s, rtt
		}
	}
	return best
}

// follow fills s with the values of another store, in the spelling of the new region.
func follow(s, like *config.Store, w Wish) error {
	was, err := address.Parse(like.Bucket)
	if err != nil {
		return refuse("repair it first", "bucket of %s: %v", like.Name, err)
	}
	to := func(text string) string { return respell(text, like.Place, w.Place) }
	bucket := bucketName(was)
	name := to(bucket)
	if w.Bucket != "" {
		name = w.Bucket
		if b, err := address.Parse(w.Bucket); strings.Contains(w.Bucket, "://") {
			if err != nil {
				return refuse("for example --bucket 's3://NAME?region=…'", "--bucket: %v", err)
			}
			name = bucketName(b)
		}
	}
	// The bucket's name is replaced as a whole: it may have parts that look like the region and mean something else.
	swap := func(text string) string {
		if bucket == "" {
			return to(text)
		}
		parts := strings.Split(text, bucket)
		for i := range parts {
			parts[i] = to(parts[i])
		}
		return strings.Join(parts, name)
	}
	s.Bucket, s.URL = swap(like.Bucket), cmp.Or(w.URL, swap(like.URL))
	if strings.Contains(w.Bucket, "://") {
		s.Bucket = w.Bucket
	}
	s.Name, s.Owner = cmp.Or(w.Name, to(like.Name)), cmp.Or(w.Owner, like.Owner)
	if like.Inventory.Enabled() {
		s.Inventory = like.Inventory
		if s.Inventory.URL = swap(like.Inventory.URL); w.URL != "" {
			s.Inventory.URL = beside(w.URL)
		}
	}
	if like.Check != like.URL {
		s.Check = swap(like.Check)
	}
	for _, host := range like.RedirectsTo {
		s.RedirectsTo = append(s.RedirectsTo, swap(host))
	}
	s.Serves, s.Families, s.Insecure = like.Serves, like.Families, like.Insecure
	for _, k := range []struct{ flag, what, is, was string }{
		{"--bucket", "bucket", s.Bucket, like.Bucket}, {"--url", "URL", s.URL, like.URL}, {"--name", "name", s.Name, like.Name},
	} {
		if k.is == k.was {
			return refuse("give it with "+k.flag, "the %s of %s does not spell its region, so that of the new store does not follow from it: %s", k.what, like.Name, k.was)
		}
	}
	return nil
}

// bucketName is the part of a bucket's URL that is the operator's own name for it.
func bucketName(b address.Bucket) string { return cmp.Or(b.Name, b.Dir) }

// beside returns the URL of the inventory that lies in the same bucket as the blobs; "" when the URL does not tell.
func beside(blob string) string {
	if base, ok := strings.CutSuffix(blob, address.BlobPrefix+"{digest}"); ok {
		return base + address.InventoryPrefix
	}
	return ""
}

// date gives the store the first date that the notice of the published list allows.
func (d *Draft) date(cfg *config.Config, s *config.Store, now time.Time) {
	notice := cfg.Endpoints.Notice
	if notice == 0 {
		return
	}
	day := 24 * time.Hour
	from := now.UTC().Add(notice).Add(day - 1).Truncate(day)
	// The config itself knows which hosts need no notice, because published wildcards cover them.
	trial := *cfg
	active := *s
	active.State, active.Announce.From = config.Active, from
	trial.Stores = []config.Store{active}
	if trial.At(now).Stores[0].State == config.Active {
		d.Notes = append(d.Notes, "The published wildcards cover its hosts, so it needs no notice.")
		return
	}
	s.Announce.From, d.From = from, from
	d.Notes = append(d.Notes, fmt.Sprintf("Users must allow its hosts: %s plus a notice of %s is %s. No client is sent there before 00:00 UTC of that day.",
		now.UTC().Format(time.DateOnly), days(notice), from.Format(time.DateOnly)))
}

func days(d time.Duration) string {
	if n := d / (24 * time.Hour); d%(24*time.Hour) == 0 && n != 1 {
		return fmt.Sprintf("%d days", n)
	}
	return d.String()
}

// note says what the map knows about the region, and what the stanza does not take over.
func (d *Draft) note(cfg *config.Config, s *config.Store) {
	switch d.Site.Status {
	case "unreleased", "internal":
		d.Notes = append(d.Notes, fmt.Sprintf("%s is not open to customers as far as the map knows.", d.Site.Place))
	case "restricted":
		d.Notes = append(d.Notes, fmt.Sprintf("%s is for customers who asked %s for it.", d.Site.Place, d.Site.Cloud))
	}
	if i := slices.IndexFunc(cfg.Stores, func(o config.Store) bool { return o.Name == d.Like }); i >= 0 && cfg.Stores[i].Price != (place.Override{}) {
		d.Notes = append(d.Notes, fmt.Sprintf("%s has a price of its own, which was not taken over: regions have different prices.", d.Like))
	}
	if !s.Inventory.Enabled() {
		d.Notes = append(d.Notes, "It has no inventory: set inventory: {url: …} if the mirror fills it.")
	}
}

// stanza writes the stanza with the keys that are not the default, in the order of the reference.
func (d *Draft) stanza(s *config.Store) string {
	var b strings.Builder
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", key, value)
		}
	}
	quoted := func(text string) string {
		if text == "" {
			return ""
		}
		return strconv.Quote(text)
	}
	list := func(names []string) string { return "[" + strings.Join(names, ", ") + "]" }
	fmt.Fprintf(&b, "name: %s\n", s.Name)
	line("place", s.Place.String())
	line("url", quoted(s.URL))
	line("check", quoted(s.Check))
	if s.Inventory.Enabled() {
		line("inventory", "{url: "+quoted(s.Inventory.URL)+"}")
	}
	line("bucket", quoted(s.Bucket))
	line("owner", quoted(s.Owner))
	serves := s.Serves.Names()
	if d.Like == "" {
		serves = []string{s.Place.Cloud}
	}
	line("serves", list(serves))
	line("state", string(s.State))
	if names := s.Families.Names(); len(names) == 1 {
		line("families", list(names))
	}
	if len(s.RedirectsTo) > 0 {
		line("redirectsTo", list(quoteAll(s.RedirectsTo)))
	}
	if !s.Announce.From.IsZero() {
		line("announce", "{from: "+s.Announce.From.Format(time.DateOnly)+"}")
	}
	if s.Insecure {
		line("insecure", "true")
	}
	return b.String()
}

func quoteAll(list []string) (out []string) {
	for _, s := range list {
		out = append(out, strconv.Quote(s))
	}
	return out
}
