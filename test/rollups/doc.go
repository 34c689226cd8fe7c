// Package rollups tests roll-ups with the built program, a real bucket and a real query engine.
package rollups
