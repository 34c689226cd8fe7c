// Package cli has the parts that all commands of both binaries share: errors with a hint, one scheme of exit codes,
// --version, the flags --config and --output, aligned tables, and colour on terminals only.
//
// It knows writers, flags and exit codes. It must not know any command or the config file, and imports nothing of
// this module.
package cli
