// Package cli holds what every command of both binaries says alike: errors with a hint, exit codes
// of one scheme, --version, the flags --config and --output, aligned tables, colour on a terminal only.
//
// It knows writers, flags and exit codes. It must not know any command, the config file or
// anything else of ours: it imports nothing of this module.
package cli
