package focus

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/traffic"
)

// Options say how cost data is read.
type Options struct {
	// Now is the time by which a month counts as open.
	Now time.Time
	// Rates are the US dollars that one unit of another currency is worth: "EUR": 1.08. Without a rate, data in another
	// currency is an error.
	Rates map[string]float64
	// Stdin is read for the name "-"; nil: the process's.
	Stdin io.Reader
	// Progress is told now and then how many rows were read of which file; nil: nobody is.
	Progress func(file string, rows int64)
}

// Bill is what cost data says about the buckets and CDNs of a config. Its size does not grow with the number of rows.
type Bill struct {
	opt     Options
	picker  *picker
	classes classes
	files   []File

	own     *groups[lineKey]
	shared  *groups[sharedKey]
	apart   *groups[apartKey]
	unknown *groups[unknownKey]
	foreign *groups[foreignKey]
	usage   *groups[usageKey]
	periods map[periodKey]*Period
	faults  map[string]*Fault

	payers map[periodKey]map[string]bool // of our rows

	seed   maphash.Seed
	seen   map[uint64]int // fingerprint of a row of ours: its file
	unseen int64          // rows that came after seen was full
}

type lineKey struct {
	month traffic.Day
	store int
	kind  Kind
}

type sharedKey struct {
	month    traffic.Day
	provider string
	kind     Kind
	stores   string // indices, "1,4"
	named    bool   // the rows name a resource
}

type apartKey struct {
	month    traffic.Day
	provider string
	store    string
	what     string
}

type unknownKey struct{ provider, service, meter, unit, store string }

type foreignKey struct{ provider, resource, why string }

type periodKey struct {
	month    traffic.Day
	provider string
}

// usageKey is what adds up on the way through a ladder of prices: the traffic of all services of a payer.
type usageKey struct {
	month    traffic.Day
	provider string
	payer    string
	kind     Kind
	region   string
}

// Read reads cost data from files, patterns, directories or manifests of exports, in bounded memory. Rows that make no
// sense are counted and named in the result; a file that is no cost data, or is truncated, is an error.
func Read(ctx context.Context, cfg *config.Config, names []string, opt Options) (*Bill, error) {
	files, err := expand(names)
	if err != nil {
		return nil, err
	}
	if err := leaveOutCopies(files); err != nil {
		return nil, err
	}
	b := newBill(cfg, opt)
	for _, f := range files {
		if f.skipped != "" {
			b.files = append(b.files, File{Name: f.name, Skipped: f.skipped})
			continue
		}
		if err := b.readFile(ctx, f.name); err != nil {
			return nil, fmt.Errorf("cost data %s: %w", f.name, err)
		}
	}
	return b, nil
}

func newBill(cfg *config.Config, opt Options) *Bill {
	return &Bill{
		opt: opt, picker: newPicker(cfg), classes: classes{map[classKey]*Meter{}},
		own: newGroups[lineKey](), shared: newGroups[sharedKey](), apart: newGroups[apartKey](), unknown: newGroups[unknownKey](),
		foreign: newGroups[foreignKey](), usage: newGroups[usageKey](),
		periods: map[periodKey]*Period{}, faults: map[string]*Fault{}, payers: map[periodKey]map[string]bool{}, seed: maphash.MakeSeed(), seen: map[uint64]int{},
	}
}

// askEvery is how many rows are read before somebody is told, and asked whether to go on.
const askEvery = 1 << 14

func (b *Bill) readFile(ctx context.Context, name string) error {
	o, err := open(name, b.opt.Stdin)
	if err != nil {
		return truncated(err)
	}
	defer func() { _ = o.close() }()
	f := File{Name: name, Format: o.format, Version: o.layout().version}
	p := &parser{layout: o.layout(), rates: b.opt.Rates, times: map[string]time.Time{}}
	var row Row
	for n := int64(0); ; n++ {
		if n%askEvery == 0 {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			if b.opt.Progress != nil {
				b.opt.Progress(name, n)
			}
		}
		get, line, err := o.next()
		if errors.Is(err, io.EOF) {
			if t, ok := o.table.(*csvTable); ok && f.Rows > 0 && !t.ended() {
				b.fault("the last row does not end with a newline, so the file may be truncated: counted", row.Effective, name, f.Rows+1)
			}
			break
		}
		var bad *skipped
		if errors.As(err, &bad) {
			f.Rows++
			b.fault("a row does not fit the header", 0, name, line)
			continue
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", line, truncated(err))
		}
		f.Rows++
		if err := p.row(&row, get); err != nil {
			var in *currencyError
			if errors.As(err, &in) {
				return fmt.Errorf("line %d: %w", line, err)
			}
			var wrong *fault
			if errors.As(err, &wrong) {
				b.fault(columnNames[wrong.column]+" "+wrong.err.Error(), row.Effective, name, line)
			}
			continue
		}
		if f.Provider == "" {
			f.Provider = row.Provider
		}
		if b.add(&row, o.table, len(b.files), name, line) {
			f.Picked++
		}
	}
	f.Currency = "USD"
	b.files = append(b.files, f)
	return nil
}

// truncated adds to an error what it means.
func truncated(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the file is truncated: %w", err)
	}
	return err
}

// fault counts a row that is left out, wholly or in part.
func (b *Bill) fault(what string, usd float64, file string, line int64) {
	f := b.faults[what]
	if f == nil {
		if len(b.faults) >= maxFaults {
			what = "other faults"
		}
		if f = b.faults[what]; f == nil {
			f = &Fault{What: what}
			b.faults[what] = f
		}
	}
	f.Rows++
	f.USD += usd
	if len(f.First) < 3 {
		f.First = append(f.First, file+":"+strconv.FormatInt(line, 10))
	}
}

const maxFaults = 200

// add adds a row, and reports whether it is for something of ours.
func (b *Bill) add(r *Row, t table, file int, name string, line int64) bool {
	meter := b.classes.of(r)
	var kind Kind
	if meter != nil {
		kind = meter.Kind
	}
	who, stores := b.picker.find(r, kind)
	month := b.month(r)
	regular := r.Category == Usage && !r.Correction
	quantity, fits := b.quantity(r, meter, month)
	if regular && meter != nil && ladder(kind) && fits {
		b.usage.add(usageKey{month, r.Provider, r.Payer, kind, r.Region}, ownUsage, r, quantity)
	}
	service := meter != nil || storageService(r.Service)
	if who == others && (!service || r.Resource == "" && regular) {
		return false // another service of the account, or a region in which nothing of ours is
	}
	b.period(r, month)
	if who == others || who == stranger {
		why := "the config has no store with this resource"
		if who == stranger {
			why = "paid by account " + account(r.Account) + ", not by the owner in the config"
		}
		b.foreign.add(foreignKey{r.Provider, r.Resource, why}, ownForeign, r, 0)
		return false
	}
	if b.twice(t, r, file, name, line) {
		return false
	}
	if who == ours && !b.payers[periodKey{month, r.Provider}][r.Payer] {
		b.pays(periodKey{month, strings.Clone(r.Provider)}, strings.Clone(r.Payer))
	}
	switch {
	case !regular:
		what, store := string(r.Category), ""
		if r.Correction {
			what = "Correction"
		}
		if who == ours {
			store = b.picker.stores[stores[0]].name
		}
		b.apart.add(apartKey{month, r.Provider, store, what}, ownApart, r, quantity)
	case meter == nil && (r.Resource != "" || storageService(r.Service)):
		k := unknownKey{r.Provider, r.Service, "", r.Consumed.Unit, b.names(stores)}
		if len(r.Meters) > 0 {
			k.meter = r.Meters[0]
		}
		b.unknown.add(k, ownUnknown, r, r.Consumed.N)
	case meter == nil:
		return false
	default:
		if !fits && kind != Management {
			b.fault(fmt.Sprintf("the unit %q of %s is not known: its costs count, its quantity does not", shorten(r.Consumed.Unit), kind), r.Effective, name, line)
		}
		if who == ours {
			b.own.add(lineKey{month, stores[0], kind}, same, r, quantity)
			break
		}
		b.shared.add(sharedKey{month, r.Provider, kind, indices(stores), r.Resource != ""}, ownShared, r, quantity)
	}
	return true
}

// ladder reports whether the prices of a kind fall with the traffic of a whole payer.
func ladder(k Kind) bool { return k == Internet || k == Edge || k == SameCloud }

// storageService reports whether a service of a bill is about buckets or CDNs.
func storageService(s string) bool {
	s = strings.ToLower(s)
	for _, w := range []string{"simple storage", "amazons3", "cloudfront", "cloud storage", "cloud cdn", "storage accounts", "front door", "content delivery", "r2"} {
		if strings.Contains(s, w) {
			return true
		}
	}
	return s == "storage"
}

// month returns the month that a row counts in: of the billing period if that is a month of the calendar, as logs count;
// else of the charge.
func (b *Bill) month(r *Row) traffic.Day {
	if t := r.PeriodStart.Add(12 * time.Hour); r.PeriodStart.IsZero() || t.Day() == 1 {
		return r.Month()
	}
	return MonthOf(r.Start)
}

// quantity returns how much a row is of, in the base of its kind. The last result is false if its units do not fit.
func (b *Bill) quantity(r *Row, m *Meter, month traffic.Day) (float64, bool) {
	if m == nil {
		return 0, false
	}
	// Google's view has the block of the price in PricingQuantity, so what was consumed comes first.
	for _, q := range []Quantity{r.Consumed, r.Priced} {
		if !q.Set {
			continue
		}
		unit, ok := parseUnit(q.Unit, m.GB)
		if base := m.Kind.Base(); !ok || unit.base != base && !(base == baseByteMonths && unit.base == baseBytes) {
			continue
		}
		return unit.quantity(q.N, monthHours(month)), true
	}
	return 0, false
}

// period notes how far the data of a billing period goes.
func (b *Bill) period(r *Row, month traffic.Day) {
	k := periodKey{month, r.Provider}
	p := b.periods[k]
	if p == nil {
		if len(b.periods) >= maxGroups {
			return
		}
		p = &Period{Month: month, Provider: strings.Clone(r.Provider), End: month.Time().AddDate(0, 1, 0)}
		b.periods[periodKey{month, p.Provider}] = p
	}
	if end := r.End; end.After(p.Until) {
		p.Until = end
	}
	p.invoiced = p.invoiced || r.Invoiced
}

// maxSeen bounds the memory of rows that were read: about 80 MB.
const maxSeen = 2 << 20

// twice reports whether a row was in an earlier file, with all its columns: two exports overlap. Equal rows in one file
// are as the provider wrote them; they count, and are named.
func (b *Bill) twice(t table, r *Row, file int, name string, line int64) bool {
	var h maphash.Hash
	h.SetSeed(b.seed)
	t.fingerprint(&h)
	k := h.Sum64()
	first, known := b.seen[k]
	switch {
	case known && first != file:
		b.fault("rows that an earlier file has too, with the same values: left out", r.Effective, name, line)
		return true
	case known:
		b.fault("rows that are twice in one file, with the same values: counted as often", r.Effective, name, line)
	case len(b.seen) < maxSeen:
		b.seen[k] = file
	default:
		b.unseen++
	}
	return false
}

func (b *Bill) names(stores []int) string {
	var out []string
	for _, i := range stores {
		out = append(out, b.picker.stores[i].name)
	}
	return strings.Join(out, ", ")
}

func indices(stores []int) string {
	var out []string
	for _, i := range stores {
		out = append(out, strconv.Itoa(i))
	}
	return strings.Join(out, ",")
}

func fromIndices(s string) []int {
	var out []int
	for part := range strings.SplitSeq(s, ",") {
		if n, err := strconv.Atoi(part); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// Files returns what was read.
func (b *Bill) Files() []File { return slices.Clone(b.files) }

// The rows' strings lie in a buffer that is read into again: what is kept is copied.

func same[K any](k K) K { return k }

func ownUsage(k usageKey) usageKey {
	k.provider, k.payer, k.region = strings.Clone(k.provider), strings.Clone(k.payer), strings.Clone(k.region)
	return k
}

func ownForeign(k foreignKey) foreignKey {
	return foreignKey{strings.Clone(k.provider), strings.Clone(k.resource), strings.Clone(k.why)}
}

func ownApart(k apartKey) apartKey {
	k.what = strings.Clone(k.what)
	return k
}

func ownUnknown(k unknownKey) unknownKey {
	return unknownKey{k.provider, strings.Clone(k.service), strings.Clone(k.meter), strings.Clone(k.unit), k.store}
}

func ownShared(k sharedKey) sharedKey { return k }
