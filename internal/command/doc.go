// Package command runs programs of others, which may hang: each has a time, after which it is killed with all that it started, no
// input but what it is given, and a bound for what it may say.
//
// It knows processes. It must not know what a program is run for. It imports nothing of this module.
package command
