// Command suite runs the tests of both modules where `go test` alone does not do:
//
//	suite flaky   tests again and again beside busy cores, to find those that fail by chance
//	suite fuzz    every fuzz target, for a while
//	suite test    whole suites, one after the other, whatever fails
//
// `suite COMMAND -h` lists the flags. It is run from the project's root, by the Makefile and by what is in scripts.
//
// It knows how `go test` is called and what it prints. It must not know what any test is about.
package main
