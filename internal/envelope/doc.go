// Package envelope knows signed records: JSON documents in DSSE envelopes
// (https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md), signed with the ed25519 keys of operators.
//
// The signature covers the bytes of the record and its type. So a reader verifies first and parses later, and a record
// of one kind cannot pass for one of another kind. [Open] is the only way to a record that may be believed. [Peek] is
// for showing a record to a person.
//
// It must not know what a record is used for.
package envelope
