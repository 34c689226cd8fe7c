package dashboards

import (
	"bytes"
	"encoding/json"
)

// dashboard is one file.
type dashboard struct {
	uid, title, about string
	rows              []row
}

// row is a group of panels with a title.
type row struct {
	title  string
	panels []panel
}

// Kinds of panels, as Grafana names them.
const (
	graph  = "timeseries"
	number = "stat"
	list   = "table"
)

// panel shows some expressions.
type panel struct {
	kind, title string
	about       string // what it says, and what is good
	unit        string // Grafana's name of the unit
	width       int    // of 24; 0: 8
	stack       bool   // of a graph
	queries     []query
	// red and amber are from where on a number is bad; amber 0: no such step. If low is set, lower is worse.
	red, amber float64
	low        bool
}

// query is an expression and the name of its series.
type query struct{ expr, name string }

const (
	columns = 24
	high    = 8 // of a panel, in Grafana's units
	flat    = 4 // of a number
)

// JSON returns the dashboard as Grafana reads it.
func (d *dashboard) JSON() []byte {
	type object = map[string]any
	source := object{"type": "prometheus", "uid": "${datasource}"}
	var panels []object
	id, y := 0, 0
	for _, r := range d.rows {
		id++
		panels = append(panels, object{"id": id, "type": "row", "title": r.title, "collapsed": false, "panels": []object{},
			"gridPos": object{"x": 0, "y": y, "w": columns, "h": 1}})
		y++
		x, tall := 0, 0
		for _, p := range r.panels {
			w, h := p.width, high
			if w == 0 {
				w = 8
			}
			if p.kind == number {
				h = flat
			}
			if x+w > columns {
				x, y, tall = 0, y+tall, 0
			}
			tall = max(tall, h)
			id++
			one := object{"id": id, "type": p.kind, "title": p.title, "description": p.about, "datasource": source,
				"gridPos": object{"x": x, "y": y, "w": w, "h": h}, "fieldConfig": object{"defaults": p.field(), "overrides": []object{}}, "options": p.options()}
			var targets []object
			for i, q := range p.queries {
				t := object{"refId": string(rune('A' + i)), "expr": q.expr, "datasource": source, "legendFormat": q.name, "range": p.kind != list, "instant": p.kind == list}
				if p.kind == list {
					t["format"] = "table"
				}
				targets = append(targets, t)
			}
			one["targets"] = targets
			panels = append(panels, one)
			x += w
		}
		y += tall
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	// Maps of texts and numbers always encode.
	_ = enc.Encode(object{
		"uid": d.uid, "title": d.title, "description": d.about, "tags": []string{"oci-proxy"}, "timezone": "utc", "editable": true, "schemaVersion": 39,
		"refresh": "30s", "graphTooltip": 1, "time": object{"from": "now-6h", "to": "now"}, "panels": panels, "annotations": object{"list": []object{}},
		"templating": object{"list": []object{{"name": "datasource", "type": "datasource", "label": "Prometheus", "query": "prometheus", "refresh": 1}}},
		"links":      []object{{"title": "Dashboards of oci-proxy", "type": "dashboards", "tags": []string{"oci-proxy"}, "asDropdown": true, "icon": "external link", "tooltip": "", "url": "", "targetBlank": false, "includeVars": true, "keepTime": true}},
	})
	return out.Bytes()
}

// field says how values are written and coloured.
func (p *panel) field() map[string]any {
	type object = map[string]any
	steps := []object{{"color": "green", "value": nil}}
	color := object{"mode": "palette-classic"}
	if p.kind == number {
		color = object{"mode": "thresholds"}
		switch {
		case p.red == 0 && !p.low:
			steps[0]["color"] = "text"
		case p.low:
			steps = []object{{"color": "red", "value": nil}}
			if p.amber != 0 {
				steps = append(steps, object{"color": "orange", "value": p.red})
			}
			steps = append(steps, object{"color": "green", "value": max(p.red, p.amber)})
		default:
			if p.amber != 0 {
				steps = append(steps, object{"color": "orange", "value": p.amber})
			}
			steps = append(steps, object{"color": "red", "value": p.red})
		}
	}
	out := object{"unit": p.unit, "color": color, "thresholds": object{"mode": "absolute", "steps": steps}}
	if p.kind == graph {
		custom := object{"fillOpacity": 10, "lineWidth": 1, "showPoints": "never"}
		if p.stack {
			custom["fillOpacity"] = 40
			custom["stacking"] = object{"mode": "normal", "group": "A"}
		}
		out["custom"], out["min"] = custom, 0
	}
	return out
}

func (p *panel) options() map[string]any {
	type object = map[string]any
	switch p.kind {
	case graph:
		return object{"legend": object{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}},
			"tooltip": object{"mode": "multi", "sort": "desc"}}
	case number:
		return object{"reduceOptions": object{"calcs": []string{"lastNotNull"}, "values": false, "fields": ""}, "colorMode": "value", "graphMode": "area",
			"textMode": "auto", "justifyMode": "auto", "orientation": "auto", "wideLayout": true, "showPercentChange": false,
			"percentChangeColorMode": "standard"}
	}
	return object{"showHeader": true, "cellHeight": "sm", "frameIndex": 0}
}

// Files returns the texts of all files by their names below deploy/grafana.
func Files() map[string][]byte {
	out := map[string][]byte{}
	for name, d := range all() {
		out[name] = d.JSON()
	}
	return out
}

// Expressions returns every expression of every dashboard, by dashboard and panel: "overview/Requests".
func Expressions() map[string][]string {
	out := map[string][]string{}
	for _, d := range all() {
		for _, r := range d.rows {
			for _, p := range r.panels {
				name := d.uid + "/" + p.title
				for _, q := range p.queries {
					out[name] = append(out[name], q.expr)
				}
			}
		}
	}
	return out
}

func all() map[string]dashboard {
	return map[string]dashboard{"overview.json": overview(), "money.json": money(), "fleet.json": fleet()}
}
