// Command suite runs the tests of both modules in ways that `go test` alone does not offer:
//
//	suite flaky   runs tests many times while the cores are busy, to find those that fail by chance
//	suite fuzz    runs every fuzz target for a while
//	suite test    runs complete suites, one after the other, even if one fails
//
// `suite COMMAND -h` lists the flags. The Makefile and the scripts run it from the project's root.
//
// It knows how to call `go test` and what that prints. It must not know what any test is about.
package main
