// Package storetest says in tests what package store promises: one suite for every kind of bucket, and contents that arrive late,
// broken, or never.
//
// It knows the contract only. What is special to a kind of bucket, and how a server is started, is for that bucket's own tests.
package storetest
