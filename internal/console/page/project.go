package page

import "math"

// The map is Width wide and Height high in units of the drawing. It ends in the south before Antarctica, where no
// cloud has a region.
const (
	Width, Height  = 1000.0, 440.0
	north, degrees = 84.0, math.Pi / 180
)

// Project returns where a point, in degrees, lies on the map: the Natural Earth projection of T. Patterson in the
// polynomial form of B. Šavrič and others (Cartographica 46:4, 2011).
func Project(lat, lon float64) (x, y float64) {
	lambda, phi := max(-180, min(180, lon))*degrees, max(-90, min(90, lat))*degrees
	ex, ny := naturalEarth(lambda, phi)
	right, _ := naturalEarth(math.Pi, 0)
	_, top := naturalEarth(0, north*degrees)
	scale := Width / 2 / right
	return Width/2 + ex*scale, (top - ny) * scale
}

func naturalEarth(lambda, phi float64) (x, y float64) {
	p2 := phi * phi
	p4 := p2 * p2
	x = lambda * (0.8707 - 0.131979*p2 + p4*(-0.013791+p4*(0.003971*p2-0.001529*p4)))
	y = phi * (1.007226 + p2*(0.015085+p4*(-0.044475+0.028874*p2-0.005916*p4)))
	return x, y
}
