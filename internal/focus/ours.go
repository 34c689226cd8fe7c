package focus

import (
	"ociproxy/internal/bill"
	"ociproxy/internal/traffic"
)

// OfBill returns what a bill of our own says, for [Bill.Compare]. The bill is of one month, and of what one source counted.
func OfBill(month traffic.Day, source traffic.Source, b *bill.Bill) []Ours {
	var out []Ours
	for _, l := range b.Lines {
		if l.Store == "" {
			continue // the front, which is on no bill of a bucket
		}
		out = append(out, Ours{Month: month, Store: l.Store, Kind: Kind(l.Item), Source: source, Side: Side{l.Quantity, l.ListUSD, l.USD}})
	}
	return out
}
