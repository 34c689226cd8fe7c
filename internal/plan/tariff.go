package plan

import (
	"ociproxy/internal/place"
)

// tariff has the prices of a world.
type tariff struct {
	w *World
	// byte has for each client and candidate the USD of a byte at the cheapest step.
	byte  [][]float64
	site_ []Money
	fill  []float64
}

func newTariff(w *World, scale float64) (*tariff, error) {
	t := &tariff{w: w, fill: make([]float64, len(w.Candidates)), site_: make([]Money, len(w.Candidates))}
	m := w.cfg.Map()
	for k := range w.clients {
		c := &w.clients[k]
		row := make([]float64, len(w.Candidates))
		for i := range w.Candidates {
			row[i] = m.CentsPerGB(w.Candidates[i].source(), c.real.Place, c.real.Spot, 0).Cents / 100 / 1e9 * scale
		}
		t.byte = append(t.byte, row)
	}
	for i := range w.Candidates {
		t.site_[i].Storage = w.opt.Stored / 1e9 * 0.023
		if !w.Candidates[i].Exists {
			t.fill[i] = w.opt.Stored / 1e9 * 0.02
			t.site_[i].Filling = t.fill[i] / w.opt.Months
		}
	}
	return t, nil
}

func (c *Candidate) source() place.Source {
	if c.upstream != nil {
		return place.Source{Place: c.upstream.Place, Override: c.upstream.Price}
	}
	return place.Source{Place: c.store.Place, CDN: c.store.CDN, Override: c.store.Price}
}

func (t *tariff) low(k, i int) float64 { return t.byte[k][i] * t.w.clients[k].Bytes }

func (t *tariff) site(i int) float64 { return t.site_[i].Total() }

// bill prices an outcome.
func (t *tariff) bill(o *Outcome) {
	o.usd = make([]float64, len(o.by))
	for k, i := range o.by {
		o.usd[k] = t.low(k, i)
		o.Egress += o.usd[k]
	}
	for _, i := range o.Open {
		o.Storage += t.site_[i].Storage
		o.Money.Filling += t.site_[i].Filling
		o.Fill += t.fill[i]
	}
	o.Low, o.High = o.Total(), o.Total()
}
