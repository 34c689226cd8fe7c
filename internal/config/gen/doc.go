// Command gen writes docs/config.md and docs/config.schema.json from the field comments of package config.
// It runs by go generate in internal/config; its test fails when the files are stale.
package main
