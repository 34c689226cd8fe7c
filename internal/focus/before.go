package focus

import (
	"slices"

	"ociproxy/internal/bill"
	"ociproxy/internal/traffic"
)

// pays notes that a payer has rows of ours.
func (b *Bill) pays(k periodKey, payer string) {
	if b.payers[k] == nil {
		b.payers[k] = map[string]bool{}
	}
	if len(b.payers[k]) < maxGroups {
		b.payers[k][payer] = true
	}
}

// Before returns what the payers of our buckets sent to the internet in a month besides our buckets, by the bill itself:
// it says on which step of its ladder the registry begins. If the configuration names a payer as the bill does, only its
// rows count. Only ladders of a region can be told from a bill; the regions or areas of the client, by which others count,
// are not on it.
func (b *Bill) Before(book *bill.Book, month traffic.Day) bill.Before {
	out := bill.Before{}
	var scopes []bill.ScopeKey
	for _, s := range b.picker.stores {
		account, _ := book.Account(s.name)
		scopes = append(scopes, book.ScopeOf(bill.Meter{Account: account, Store: s.name, Provider: s.provider, Item: bill.Internet, From: s.region}))
	}
	for i, s := range b.picker.stores {
		k := scopes[i]
		payers := b.payers[periodKey{month, s.provider}]
		if _, done := out[k]; done || s.region == "" || k.From != s.region || k.To != "" || len(payers) == 0 {
			continue
		}
		ours := func(i int) bool {
			return b.picker.stores[i].provider == s.provider && b.picker.stores[i].region == s.region
		}
		if k.Payer != "" && payers[k.Payer] {
			payers = map[string]bool{k.Payer: true}
			ours = func(i int) bool { return scopes[i] == k }
		}
		var all float64
		for u, sums := range b.usage.of {
			if u.month == month && u.provider == s.provider && payers[u.payer] && u.kind == Internet && inRegion(u.region, s.region) {
				all += sums.quantity.value()
			}
		}
		if all == 0 {
			continue // the bill writes the region in a way of its own: the configuration may know
		}
		out[k] = max(0, all-b.sent(month, ours))
	}
	return out
}

// sent returns what some of our buckets sent to the internet.
func (b *Bill) sent(month traffic.Day, in func(store int) bool) float64 {
	var all float64
	for k, sums := range b.own.of {
		if k.month == month && k.kind == Internet && in(k.store) {
			all += sums.quantity.value()
		}
	}
	for k, sums := range b.shared.of {
		// Rows without a bucket can be of anything in the account: only those of a resource of ours count as ours.
		if k.month == month && k.kind == Internet && k.named && !slices.ContainsFunc(fromIndices(k.stores), func(i int) bool { return !in(i) }) {
			all += sums.quantity.value()
		}
	}
	return all
}
