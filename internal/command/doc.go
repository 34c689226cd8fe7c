// Package command runs external programs, which may hang. Each has a time limit, after which the package kills it and
// every process that it started. A program gets only the input that the caller passes, and its output is bounded.
//
// The package knows processes. It must not know what a program is for. It imports nothing of this module.
package command
