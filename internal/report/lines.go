package report

import (
	"strings"

	"ociproxy/internal/bill"
)

func linesOf(b *bill.Bill) []Line {
	out := make([]Line, 0, len(b.Lines))
	for _, l := range b.Lines {
		out = append(out, Line{
			Account: l.Account, Store: l.Store, Provider: l.Provider, Item: l.Item, From: l.From, To: l.To,
			Quantity: l.Quantity, Unit: string(l.Unit), Money: Money{l.USD, l.Low, l.High}, Estimate: l.Estimate,
			Source: strings.TrimSpace(l.Source + " " + l.Date),
		})
	}
	return out
}

func moneyOf(b *bill.Bill) Money { return Money{b.USD, b.Low, b.High} }

func itemOf(i bill.Item) Item { return Item{i.Name, i.What, string(i.State), i.Why} }
