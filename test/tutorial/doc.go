// Package tutorial runs the pages that a newcomer follows, as they are printed.
//
// It knows how to read the commands and their output from a page, how to run them in one shell, and what of the output
// differs from run to run. The shell has a network of its own, so that the ports of the page are free.
//
//	go test ./tutorial -run TestTutorial -update    writes what the commands print into docs/tutorial.md
package tutorial
