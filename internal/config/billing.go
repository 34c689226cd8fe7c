package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ociproxy/internal/place"
	"ociproxy/internal/price"
)

// Billing says what bills have that the price lists do not: accounts, contract prices, fixed amounts. The page cost.md
// explains it. The server ignores it: it ranks candidates by `price` of stores, upstreams and places.
type Billing struct {
	// Accounts are the accounts that pay for the stores. The name of an account is what stores have as `owner`, or any
	// name if you list its stores here. Without an account, every store has the account of its `owner`, list prices,
	// and costs with a range from the first tier to the last.
	Accounts map[AccountName]Account `yaml:"accounts"`
	// Prices replace list prices. The first one that matches counts.
	Prices []ItemPrice `yaml:"prices"`
	// Stored says what the stores hold, for the cost of storage. The key is the name of a store.
	Stored map[AccountName]Stored `yaml:"stored"`
	// Fronts are what runs in front of the stores: instances of the server, load balancers, edge rules.
	Fronts []Front `yaml:"fronts"`
	// Fixed are amounts that come each month: a support plan, the minimum of a CDN.
	Fixed []Fixed `yaml:"fixed"`
	// Resources are identifiers that cost data (`report --billing`) has for a store and that do not follow from its
	// bucket: the distribution of CloudFront, the profile of Front Door. The key is the name of a store.
	Resources map[AccountName][]string `yaml:"resources"`
}

// AccountName is the name of an account or store.
type AccountName string

// Account is an account that pays for stores.
type Account struct {
	// Stores are names of stores and upstreams that this account pays for, besides those that have it as `owner`.
	Stores []string `yaml:"stores"`
	// Payer is who gets the bill: the management account of an organization, a billing account. The usage of all
	// accounts with the same payer adds up in the tiers. Default: the account itself.
	Payer string `yaml:"payer"`
	// OtherUsageTB is what the payer sends to the internet in a month besides this registry, in TB of 2⁴⁰ bytes, in each
	// region or CDN area. It says where in the tiers the registry begins. 0: nothing else.
	OtherUsageTB *float64 `yaml:"otherUsageTB"`
	// OtherUsageAt is `otherUsageTB` of single regions or areas, as the price list names them: `{us-east-1: 800}`. For
	// these it counts instead.
	OtherUsageAt map[AccountName]float64 `yaml:"otherUsageAt"`
	// OtherStorageTB is what the payer stores besides the stores of this registry, in TB of 2⁴⁰ bytes, in each region. It
	// says where the tiers of storage begin. 0: nothing else.
	OtherStorageTB *float64 `yaml:"otherStorageTB"`
	// Discount is what the payer gets off all list prices: `40%`. `100%`: a sponsor pays.
	Discount Percent `yaml:"discount"`
}

// ItemPrice replaces a list price where all of its keys match.
type ItemPrice struct {
	// Item is what is billed.
	Item BillItem `yaml:"item" rule:"required" hint:"item: internet"`
	// Account limits the price to one account.
	Account string `yaml:"account"`
	// Store limits the price to one store or upstream.
	Store string `yaml:"store"`
	// Provider limits the price to one cloud or CDN: `aws`, `cloudfront`.
	Provider string `yaml:"provider"`
	// From limits the price to a region or area of the source, as the price list names it: `us-east-1`.
	From string `yaml:"from"`
	// To limits the price to a region or area of the client, as the price list names it: `us-mx-ca`.
	To string `yaml:"to"`
	// Cents is the price in US cents per `unit`, without tiers: a committed rate, or `0` for a sponsor.
	Cents *float64 `yaml:"cents"`
	// Unit is the unit of `cents`. Default: the unit of the price list.
	Unit BillUnit `yaml:"unit"`
	// Discount is what you get off the list price, at all tiers: `40%`. It replaces the discount of the account.
	Discount *Percent `yaml:"discount"`
}

// Stored is what a store holds.
type Stored struct {
	// TB is what the store holds, in TB of 10¹² bytes.
	TB float64 `yaml:"TB" rule:"required" hint:"oci-proxyctl inventory ls prints it"`
	// NoncurrentTB is what is held besides in deleted and replaced versions of objects.
	NoncurrentTB float64 `yaml:"noncurrentTB"`
	// LogsTB is what the access logs of the store occupy.
	LogsTB float64 `yaml:"logsTB"`
}

// Front is what runs in front of the stores at one provider.
type Front struct {
	// Provider is the cloud that bills it.
	Provider string `yaml:"provider" rule:"required"`
	// Account is the account that pays.
	Account string `yaml:"account"`
	// Instances is how many instances of the server run, on average.
	Instances float64 `yaml:"instances"`
	// Balancers is how many load balancers stand before them.
	Balancers float64 `yaml:"balancers"`
	// Rules is how many rules of an edge firewall there are.
	Rules float64 `yaml:"rules"`
}

// Fixed is an amount that comes each month.
type Fixed struct {
	// Name says what it is for.
	Name string `yaml:"name" rule:"required"`
	// USD is the amount a month, in US dollars.
	USD float64 `yaml:"usd" rule:"required"`
	// Account is the account that pays.
	Account string `yaml:"account"`
}

// Percent is a share: 0.4 is written 40%.
type Percent float64

func parsePercent(s string) (Percent, string, error) {
	const hint = "a discount is written 40%, in quotes or without"
	digits, ok := strings.CutSuffix(s, "%")
	n, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || !(n >= 0 && n <= 100) {
		return 0, hint, fmt.Errorf("expected a percentage from 0%% to 100%%, found %q", shorten(s))
	}
	return Percent(n / 100), "", nil
}

func formatPercent(p Percent) string { return strconv.FormatFloat(float64(p)*100, 'f', -1, 64) + "%" }

// BillItem is something that is billed.
type BillItem string

// billItems are the items whose prices can be set, with what their quantities count: see internal/bill.
var billItems = []struct{ name, base string }{
	{"internet", "bytes"}, {"same-cloud", "bytes"}, {"cdn", "bytes"}, {"fill", "bytes"},
	{"requests-write", "requests"}, {"requests-read", "requests"}, {"requests-cdn", "requests"},
	{"storage", "byte-months"}, {"storage-noncurrent", "byte-months"}, {"storage-logs", "byte-months"},
	{"front-instance", "hours"}, {"front-balancer", "hours"}, {"front-bytes", "bytes"}, {"front-rules", "months"},
	{"front-requests", "requests"}, {"front-logs", "bytes"},
}

// Values lists what may be written in the file.
func (BillItem) Values() []string {
	var out []string
	for _, i := range billItems {
		out = append(out, i.name)
	}
	return out
}

// Base returns what quantities of the item count: bytes, requests, byte-months, hours or months.
func (b BillItem) Base() string {
	for _, i := range billItems {
		if i.name == string(b) {
			return i.base
		}
	}
	return ""
}

// BillUnit is the unit of a price.
type BillUnit string

// Values lists what may be written in the file.
func (BillUnit) Values() []string { return price.Units() }

func (v *validator) billing() {
	b := v.c.Billing
	var stores []string
	for i := range v.c.Stores {
		stores = append(stores, v.c.Stores[i].Name)
	}
	senders, accounts := v.candidateNames(), v.accounts()
	paid := map[string]AccountName{}
	for _, name := range slices.Sorted(maps.Keys(b.Accounts)) {
		v.account("billing.accounts."+string(name), name, b.Accounts[name], senders, paid)
	}
	for i, p := range b.Prices {
		v.itemPrice(fmt.Sprintf("billing.prices[%d]", i), p, senders, accounts)
	}
	for name, s := range b.Stored {
		at := "billing.stored." + string(name)
		v.known(at, string(name), stores, "stores")
		for key, n := range map[string]float64{"TB": s.TB, "noncurrentTB": s.NoncurrentTB, "logsTB": s.LogsTB} {
			v.amount(at+"."+key, n)
		}
	}
	for name := range b.Resources {
		v.known("billing.resources."+string(name), string(name), stores, "stores")
	}
	for i, f := range b.Fronts {
		at := fmt.Sprintf("billing.fronts[%d]", i)
		v.cloud(at+".provider", f.Provider)
		v.known(at+".account", f.Account, accounts, "accounts")
		for key, n := range map[string]float64{"instances": f.Instances, "balancers": f.Balancers, "rules": f.Rules} {
			v.amount(at+"."+key, n)
		}
	}
	for i, f := range b.Fixed {
		v.known(fmt.Sprintf("billing.fixed[%d].account", i), f.Account, accounts, "accounts")
		v.amount(fmt.Sprintf("billing.fixed[%d].usd", i), f.USD)
	}
}

// accounts lists the names of accounts: those of the stanza, and the owners of stores.
func (v *validator) accounts() []string {
	set := map[string]bool{}
	for name := range v.c.Billing.Accounts {
		set[string(name)] = true
	}
	for i := range v.c.Stores {
		if o := v.c.Stores[i].Owner; o != "" {
			set[o] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

func (v *validator) account(at string, name AccountName, a Account, senders []string, paid map[string]AccountName) {
	used := len(a.Stores) > 0
	for i := range v.c.Stores {
		used = used || v.c.Stores[i].Owner == string(name)
	}
	for i, s := range a.Stores {
		item := fmt.Sprintf("%s.stores[%d]", at, i)
		v.known(item, s, senders, "stores and upstreams")
		if other, dup := paid[s]; dup {
			v.fail(item, "name it once", "the account %s pays for %s already", other, shorten(s))
		}
		paid[s] = name
		if j := slices.IndexFunc(v.c.Stores, func(t Store) bool { return t.Name == s }); j >= 0 {
			if o := v.c.Stores[j].Owner; o != "" && o != string(name) {
				v.fail(item, "name the account "+o+", or remove the store here", "the store %s has another owner, %s", shorten(s), shorten(o))
			}
		}
	}
	if !used && !slices.ContainsFunc(v.c.Billing.Fronts, func(f Front) bool { return f.Account == string(name) }) {
		v.fail(at, "the name of an account is the `owner` of its stores; or list them under `stores`", "no store belongs to the account %s", shorten(string(name)))
	}
	if a.OtherUsageTB != nil {
		v.amount(at+".otherUsageTB", *a.OtherUsageTB)
	}
	if a.OtherStorageTB != nil {
		v.amount(at+".otherStorageTB", *a.OtherStorageTB)
	}
	for scope, n := range a.OtherUsageAt {
		v.amount(at+".otherUsageAt."+string(scope), n)
	}
}

// ends lists the regions and areas that price lists of transfer have.
func (v *validator) ends() []string {
	set := map[string]bool{}
	for c := range v.m.Tiers {
		set[c.From], set[c.To] = true, true
	}
	delete(set, "")
	return slices.Sorted(maps.Keys(set))
}

// warnBilling warns of amounts that count for nothing, and of those that add up although nobody meant it: the amounts of
// all accounts with the same payer.
func (v *validator) warnBilling() {
	usage, storage := map[string]AccountName{}, map[string]AccountName{}
	for _, name := range slices.Sorted(maps.Keys(v.c.Billing.Accounts)) {
		a := v.c.Billing.Accounts[name]
		at, payer := "billing.accounts."+string(name), cmp.Or(a.Payer, string(name))
		if of, ok := v.c.Billing.Accounts[AccountName(a.Payer)]; ok && of.Payer != "" && of.Payer != a.Payer {
			v.warn(at+".payer", "name the payer of both", "%s is an account that %s pays for: their usage does not add up", shorten(a.Payer), shorten(of.Payer))
		}
		for scope := range a.OtherUsageAt {
			if ends := v.ends(); !slices.Contains(ends, string(scope)) {
				v.warn(at+".otherUsageAt."+string(scope), suggestion(string(scope), ends, "regions and areas"),
					"no price list has the region or area %s: the amount counts for nothing", shorten(string(scope)))
			}
		}
		for _, f := range []struct {
			key    string
			amount *float64
			first  map[string]AccountName
		}{{"otherUsageTB", a.OtherUsageTB, usage}, {"otherStorageTB", a.OtherStorageTB, storage}} {
			if f.amount == nil || *f.amount == 0 {
				continue
			}
			if other, twice := f.first[payer]; twice {
				v.warn(at+"."+f.key, "give the payer's amount in one account", "the account %s has %s of the payer %s, too: the two are added", other, f.key, shorten(payer))
			}
			f.first[payer] = name
		}
	}
}

func (v *validator) itemPrice(at string, p ItemPrice, senders, accounts []string) {
	v.known(at+".store", p.Store, senders, "stores and upstreams")
	v.known(at+".account", p.Account, accounts, "accounts")
	v.known(at+".provider", p.Provider, append(v.m.Clouds(), place.CDNs()...), "providers")
	switch {
	case v.broken(at):
		return
	case p.Cents == nil && p.Discount == nil:
		v.fail(at, "cents: 2.5, or discount: '40%'", "a price needs cents or discount")
	case p.Cents != nil && p.Discount != nil:
		v.fail(at, "keep one of them", "a price has cents or discount, not both")
	case p.Cents != nil && !(*p.Cents >= 0 && *p.Cents <= maxItemCents):
		v.fail(at+".cents", "2.5 is two and a half cents", "cents must be between 0 and %d", maxItemCents)
	}
	if base := price.Unit(p.Unit).Base(); p.Unit != "" && base != p.Item.Base() {
		v.fail(at+".unit", "leave it out for the unit of the price list", "%s is billed by %s, not by %s", p.Item, p.Item.Base(), base)
	}
	if p.Unit != "" && p.Cents == nil {
		v.fail(at+".unit", "remove it", "only cents have a unit")
	}
}

// maxItemCents is 10,000 dollars: who writes more has mistaken the unit.
const maxItemCents = 1_000_000

// known reports a name that is not in a list. An empty name is no name.
func (v *validator) known(at, name string, names []string, what string) {
	if name != "" && !slices.Contains(names, name) {
		v.fail(at, suggestion(name, names, what), "%q is none of the %s", shorten(name), what)
	}
}

func (v *validator) amount(at string, n float64) {
	switch {
	case n < 0:
		v.fail(at, "", "the amount is negative")
	case n > maxAmount:
		v.fail(at, "mind the unit", "the amount is larger than %d", maxAmount)
	}
}

// maxAmount is more than anybody has of anything: of TB a thousand exabytes, of dollars a billion a month. Larger
// amounts would make sums infinite.
const maxAmount = 1_000_000_000
