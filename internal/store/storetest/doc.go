// Package storetest tests what package store promises. It has one suite for every kind of bucket, and contents that
// arrive late, broken, or never.
//
// It knows the contract only. The tests of a kind of bucket cover what is special to it, and how to start its server.
package storetest
