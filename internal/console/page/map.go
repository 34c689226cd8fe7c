package page

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"ociproxy/internal/console/view"
)

const (
	// arcs is how many flows the map shows, names how many candidates get their name besides those that are away.
	arcs, names = 80, 10
	// narrow and wide are the widths of the smallest and the largest flow.
	narrow, wide = 1.2, 9.0
	// near is the distance at which dots would hide each other.
	near = 11.0
)

// chart is the map.
type chart struct {
	Width, Height float64
	Arcs          []arc
	Dots          []dot
	Places        []mark // where clients are
	More          int    // flows that the map does not show
	Text          string // what it shows, for those who do not see it
}

// arc is a flow from a place of clients to a candidate.
type arc struct {
	Path, Width string
	Class       string // price-N and health
	Title       string
}

// dot is a candidate.
type dot struct {
	X, Y   string
	Class  string // health
	Title  string
	Name   string // "": it has no room
	NX, NY string // where the name is
	Anchor string
}

type mark struct {
	X, Y, Title string
	Name        string // below it; only that of clients which nothing locates
	NY          string
}

type at struct{ x, y float64 }

func newChart(v *view.View) chart {
	c := chart{Width: Width, Height: Height}
	where := positions(v)
	c.arcs(v, where)
	c.dots(v, where)
	out := 0
	for i := range v.Candidates {
		if v.Candidates[i].State == view.Out {
			out++
		}
	}
	c.Text = fmt.Sprintf("World map: %d candidates, %d of them out of service, and %d flows of bytes. The tables below say the same.",
		len(v.Candidates), out, len(v.Flows))
	return c
}

// positions says where candidates are drawn. Those of one place stand side by side, those without a place, such as
// CDNs, in a row at the lower edge.
func positions(v *view.View) map[string]at {
	where := map[string]at{}
	var taken []at
	order := make([]*view.Candidate, 0, len(v.Candidates))
	for i := range v.Candidates {
		order = append(order, &v.Candidates[i])
	}
	slices.SortFunc(order, func(a, b *view.Candidate) int { return strings.Compare(a.Name, b.Name) }) // so that dots stay
	loose := 0
	for _, c := range order {
		p := at{Width/2 + 30*float64(loose), Height - 16}
		if c.Spot.Known {
			p.x, p.y = Project(c.Spot.Lat, c.Spot.Lon)
		} else {
			loose++
		}
		p = beside(p, taken)
		taken = append(taken, p)
		where[c.Name] = p
	}
	return where
}

// beside returns the free point next to p, on rings around it.
func beside(p at, taken []at) at {
	free := func(q at) bool {
		return !slices.ContainsFunc(taken, func(t at) bool { return math.Hypot(t.x-q.x, t.y-q.y) < near })
	}
	if free(p) {
		return p
	}
	for ring := 1.0; ring < 6; ring++ {
		steps := 6 * ring
		for i := range int(steps) {
			turn := 2 * math.Pi * float64(i) / steps
			q := at{p.x + near*ring*math.Cos(turn), p.y + near*ring*math.Sin(turn)}
			if q.x > 4 && q.x < Width-4 && q.y > 4 && q.y < Height-4 && free(q) {
				return q
			}
		}
	}
	return p
}

// unplaced is where clients are drawn that nothing locates: in the south Pacific.
var unplaced = at{90, Height - 40}

func (c *chart) arcs(v *view.View, where map[string]at) {
	most := 0.0
	for i := range v.Flows {
		most = max(most, weight(v.Flows[i].Rate))
	}
	seen := map[string]bool{}
	health := healths(v)
	for i := range v.Flows {
		f := &v.Flows[i]
		to, ok := where[f.To]
		if !ok || weight(f.Rate) == 0 {
			continue
		}
		if len(c.Arcs) == arcs {
			c.More++
			continue
		}
		from := unplaced
		if f.Spot.Known {
			from.x, from.y = Project(f.Spot.Lat, f.Spot.Lon)
		}
		width := narrow + (wide-narrow)*math.Sqrt(weight(f.Rate)/most)
		c.Arcs = append(c.Arcs, arc{
			Path: curve(from, to), Width: num(width), Class: fmt.Sprintf("price-%d %s", band(f.Cents), health[f.To]),
			Title: f.From + " → " + f.To + ": " + speed(f.Rate.Bytes) + ", " + cents(f.Cents) + " a GiB",
		})
		if !seen[f.From] {
			seen[f.From] = true
			m := mark{X: num(from.x), Y: num(from.y), Title: "clients: " + f.From}
			if !f.Spot.Known {
				m.Name, m.NY = "clients in unknown places", num(from.y+16)
			}
			c.Places = append(c.Places, m)
		}
	}
	slices.Reverse(c.Arcs) // the largest are drawn last, on top
}

// weight is by what flows are compared: bytes, or a little for each redirect to a blob of unknown size.
func weight(r view.Rate) float64 {
	const unknown = 1000
	w := max(r.Bytes, r.Redirects*unknown)
	if math.IsNaN(w) || math.IsInf(w, 0) || w < 0 {
		return 0
	}
	return w
}

// curve is the path from a to b: an arc that bends more the longer it is, or a loop if they are in one place.
func curve(a, b at) string {
	d := math.Hypot(b.x-a.x, b.y-a.y)
	if d < near/2 {
		return fmt.Sprintf("M%s %sc-9 -24 9 -24 0 0", num(a.x), num(a.y))
	}
	bend := 0.22
	mx, my := (a.x+b.x)/2+(b.y-a.y)*bend, (a.y+b.y)/2-math.Abs(b.x-a.x)*bend
	if d < 4*near { // neighbours: a clear bow
		my -= near
	}
	return fmt.Sprintf("M%s %sQ%s %s %s %s", num(a.x), num(a.y), num(mx), num(max(2, my)), num(b.x), num(b.y))
}

// bands are the prices, in US cents a GiB, up to which a flow has the colour of its index.
var bands = []float64{0, 1, 4, 9}

// band returns the colour of a price: 0 for free, len(bands) for the dearest, one more for one that is not known.
func band(price float64) int {
	if !(price >= 0) || math.IsInf(price, 0) {
		return len(bands) + 1
	}
	for i, most := range bands {
		if price <= most {
			return i
		}
	}
	return len(bands)
}

func (c *chart) dots(v *view.View, where map[string]at) {
	var boxes []box
	for _, p := range where {
		boxes = append(boxes, box{p.x - 5, p.y - 5, p.x + 5, p.y + 5})
	}
	named := 0
	for i := range v.Candidates {
		k := &v.Candidates[i]
		p := where[k.Name]
		d := dot{X: num(p.x), Y: num(p.y), Class: health(k), Title: k.Name + ": " + string(k.State) + ", " + speed(k.Rate.Bytes)}
		if k.State.Away() || named < names {
			if x, y, anchor, b, ok := label(p, k.Name, boxes); ok {
				d.Name, d.NX, d.NY, d.Anchor = k.Name, num(x), num(y), anchor
				boxes = append(boxes, b)
				named++
			}
		}
		c.Dots = append(c.Dots, d)
	}
	slices.Reverse(c.Dots) // those that are out come first in the view, and here on top
}

type box struct{ x0, y0, x1, y1 float64 }

func (b box) over(c box) bool { return b.x0 < c.x1 && c.x0 < b.x1 && b.y0 < c.y1 && c.y0 < b.y1 }

// label finds room for the name of a dot at p: to its right, left, above or below.
func label(p at, name string, taken []box) (x, y float64, anchor string, b box, ok bool) {
	const letter, high, gap = 5.6, 11, 8 // of the font of the names
	width := letter * float64(len([]rune(name)))
	for _, try := range []struct {
		dx, dy float64
		anchor string
	}{{gap, 4, "start"}, {-gap, 4, "end"}, {0, -gap, "middle"}, {0, gap + high, "middle"}, {gap, -gap, "start"}, {gap, gap + high, "start"}, {-gap, -gap, "end"}, {-gap, gap + high, "end"}} {
		x, y = p.x+try.dx, p.y+try.dy
		left := x
		switch try.anchor {
		case "end":
			left -= width
		case "middle":
			left -= width / 2
		}
		b = box{left, y - high, left + width, y + 3}
		if b.x0 < 0 || b.x1 > Width || b.y0 < 0 || b.y1 > Height {
			continue
		}
		if !slices.ContainsFunc(taken, b.over) {
			return x, y, try.anchor, b, true
		}
	}
	return 0, 0, "", box{}, false
}

// num writes a coordinate.
func num(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "0"
	}
	return strconv.FormatFloat(math.Round(x*10)/10, 'f', -1, 64)
}
