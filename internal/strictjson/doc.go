// Package strictjson reads JSON from untrusted sources. It bounds the bytes, the depth and the number of values, and
// compares keys exactly.
//
// encoding/json alone bounds none of these well. A token reader keeps a stack as deep as the text is nested. A list
// of a million empty objects of three bytes each becomes a hundred bytes each before a program can count them. And it
// takes the key "SIZE" for "size"; other readers of the same text do not.
//
// It knows JSON. It must not know what a document means. It imports nothing of this module.
package strictjson
