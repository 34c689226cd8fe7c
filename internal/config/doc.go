// Package config reads the YAML file that both binaries share.
//
// It knows the file's schema, its defaults (one constructor, [Default]), and every rule a file must keep. Reading is
// strict and tells everything at once: [Parse] returns either a config that is right as a whole, or all faults with
// line, column, excerpt and a hint. Values are parsed into validated types here, once, so that nothing behind this
// package checks them again.
//
// It must not know what the values are used for: it opens no socket, fetches nothing, reads no file but the one it is
// given, and never looks at the environment. Secrets are never in the file: a URL that carries one is a fault.
//
// The comments on the fields of [Config] are the manual. docs/config.md and docs/config.schema.json are generated from
// them (go generate ./internal/config), and a test fails when they are stale.
package config
