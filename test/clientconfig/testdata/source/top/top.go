// Package top is the source of a client that does not exist.
package top

import "example.org/source/other"

type Top struct {
	Meta   `yaml:",inline"`
	Name   string              `yaml:"name"`
	Map    map[string]Endpoint `yaml:"map,omitempty"`
	List   []*Endpoint         `yaml:"list"`
	Other  *other.Other        `yaml:"other"`
	Hidden string              `yaml:"-"`
}

type Meta struct {
	Kind string `yaml:"kind"`
}

type Endpoint struct {
	URL string `yaml:"url"`
}
