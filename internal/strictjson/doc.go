// Package strictjson reads JSON that strangers wrote: with bounds on its bytes, its depth and the number of its values, and with
// keys compared exactly.
//
// encoding/json alone bounds none of these well. A token reader keeps a stack as deep as the text is nested; a list of a million
// empty objects of three bytes each becomes a hundred bytes each before anybody can count them; and the key "SIZE" is taken for
// "size", which other readers of the same text do not do.
//
// It knows JSON. It must not know what a document means. It imports nothing of this module.
package strictjson
