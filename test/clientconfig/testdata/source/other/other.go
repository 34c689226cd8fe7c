// Package other is another package of that source.
package other

type Other struct {
	Deep int `yaml:"deep"`
}
