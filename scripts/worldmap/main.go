// Command worldmap makes the map of the console, internal/console/page/world.path, from the land of world-atlas (npm,
// ISC licence), which is the public-domain data of Natural Earth:
//
//	go run ./scripts/worldmap [.bin/world-atlas/node_modules/world-atlas/land-110m.json] >internal/console/page/world.path
//
// It knows TopoJSON (https://github.com/topojson/topojson-specification) as far as that file uses it. It must not know
// what is drawn on the map.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"ociproxy/internal/console/page"
)

const (
	file = ".bin/world-atlas/node_modules/world-atlas/land-110m.json"
	// south is where the map ends: Antarctica is left out.
	south = -60
	// tolerance is how far a coast may be off, and smallest the area of an island that is drawn; in units of the map.
	tolerance, smallest = 0.7, 3.0
)

func main() {
	name := file
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	if err := run(os.Stdout, name); err != nil {
		fmt.Fprintln(os.Stderr, "worldmap:", err)
		fmt.Fprintln(os.Stderr, "worldmap: hint: scripts/parts.sh slow installs world-atlas")
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

func run(w io.Writer, name string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	rings, err := rings(data)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var out strings.Builder
	for _, ring := range rings {
		draw(&out, ring)
	}
	out.WriteByte('\n')
	_, err = io.WriteString(w, out.String())
	return err
}

// topology is the part of TopoJSON that the file uses.
type topology struct {
	Arcs      [][][2]float64 `json:"arcs"`
	Transform struct {
		Scale     [2]float64 `json:"scale"`
		Translate [2]float64 `json:"translate"`
	} `json:"transform"`
	Objects struct {
		Land struct {
			Geometries []struct {
				Type string          `json:"type"`
				Arcs json.RawMessage `json:"arcs"`
			} `json:"geometries"`
		} `json:"land"`
	} `json:"objects"`
}

type point struct{ lat, lon float64 }

// rings returns the borders of all land.
func rings(data []byte) ([][]point, error) {
	var t topology
	if err := json.Unmarshal(data, &t); err != nil {
		return nil, err
	}
	var all [][]int
	for _, g := range t.Objects.Land.Geometries {
		var polygons [][][]int
		switch g.Type {
		case "MultiPolygon":
			if err := json.Unmarshal(g.Arcs, &polygons); err != nil {
				return nil, err
			}
		case "Polygon":
			polygons = make([][][]int, 1)
			if err := json.Unmarshal(g.Arcs, &polygons[0]); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("a %q, want polygons", g.Type)
		}
		for _, p := range polygons {
			all = append(all, p...)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no land")
	}
	var out [][]point
	for _, arcs := range all {
		var ring []point
		for _, i := range arcs {
			part, err := t.arc(i)
			if err != nil {
				return nil, err
			}
			ring = append(ring, part...)
		}
		out = append(out, split(ring)...)
	}
	return out, nil
}

// split cuts a border that crosses 180° of longitude into one for each side.
func split(ring []point) (out [][]point) {
	turn := 0.0
	for i := 1; i < len(ring); i++ {
		switch d := ring[i].lon + turn - ring[i-1].lon; {
		case d > 180:
			turn -= 360
		case d < -180:
			turn += 360
		}
		ring[i].lon += turn
	}
	for _, shift := range []float64{-360, 0, 360} {
		moved := make([]point, len(ring))
		for i, p := range ring {
			moved[i] = point{p.lat, p.lon + shift}
		}
		if part := clip(clip(moved, 180, 1), -180, -1); len(part) > 2 {
			out = append(out, append(part, part[0]))
		}
	}
	return out
}

// clip returns the part of a border on one side of a meridian: west of it if side is 1, else east of it.
func clip(ring []point, meridian, side float64) (out []point) {
	for i, p := range ring {
		q := ring[(i+1)%len(ring)]
		in, next := side*(p.lon-meridian) <= 0, side*(q.lon-meridian) <= 0
		if in {
			out = append(out, p)
		}
		if in != next {
			out = append(out, point{p.lat + (q.lat-p.lat)*(meridian-p.lon)/(q.lon-p.lon), meridian})
		}
	}
	return out
}

// arc returns arc i; the complement of i is the arc backwards.
func (t *topology) arc(i int) ([]point, error) {
	back := i < 0
	if back {
		i = ^i
	}
	if i >= len(t.Arcs) {
		return nil, fmt.Errorf("arc %d of %d", i, len(t.Arcs))
	}
	var x, y float64
	out := make([]point, 0, len(t.Arcs[i]))
	for _, d := range t.Arcs[i] {
		x, y = x+d[0], y+d[1]
		out = append(out, point{y*t.Transform.Scale[1] + t.Transform.Translate[1], x*t.Transform.Scale[0] + t.Transform.Translate[0]})
	}
	if back {
		slices.Reverse(out)
	}
	return out, nil
}

type xy struct{ x, y float64 }

// draw writes a border as a part of an SVG path, in whole units and relative steps.
func draw(out *strings.Builder, ring []point) {
	var at []xy
	for _, p := range ring {
		if p.lat < south {
			return
		}
		x, y := page.Project(p.lat, p.lon)
		at = append(at, xy{x, y})
	}
	if area(at) < smallest {
		return
	}
	// A ring has no ends to hold on to: the two halves between its first point and the one farthest from it have.
	far := 0
	for i := range at {
		if math.Hypot(at[i].x-at[0].x, at[i].y-at[0].y) > math.Hypot(at[far].x-at[0].x, at[far].y-at[0].y) {
			far = i
		}
	}
	line := append(simple(at[:far+1]), simple(at[far:])[1:]...)
	var px, py int
	for i, p := range line {
		x, y := int(math.Round(p.x)), int(math.Round(p.y))
		switch {
		case i == 0:
			fmt.Fprintf(out, "M%d %dl", x, y)
		case x == px && y == py, i == len(line)-1:
			continue
		default:
			fmt.Fprintf(out, "%d %d ", x-px, y-py)
		}
		px, py = x, y
	}
	out.WriteString("z")
}

// simple leaves out the points of a line that are nearer than the tolerance to what is left (Douglas and Peucker, 1973).
func simple(line []xy) []xy {
	if len(line) < 3 {
		return line
	}
	a, b := line[0], line[len(line)-1]
	far, most := 0, 0.0
	for i, p := range line[1 : len(line)-1] {
		if d := away(p, a, b); d > most {
			far, most = i+1, d
		}
	}
	if most <= tolerance {
		return []xy{a, b}
	}
	return append(simple(line[:far+1]), simple(line[far:])[1:]...)
}

// away is the distance of p from the line through a and b, or from a if they are the same.
func away(p, a, b xy) float64 {
	dx, dy := b.x-a.x, b.y-a.y
	if dx == 0 && dy == 0 {
		return math.Hypot(p.x-a.x, p.y-a.y)
	}
	return math.Abs(dx*(a.y-p.y)-dy*(a.x-p.x)) / math.Hypot(dx, dy)
}

func area(ring []xy) float64 {
	sum := 0.0
	for i, p := range ring {
		q := ring[(i+1)%len(ring)]
		sum += p.x*q.y - q.x*p.y
	}
	return math.Abs(sum) / 2
}
