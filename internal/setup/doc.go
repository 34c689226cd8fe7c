// Package setup makes a first config from a few answers: where the instance runs, the registry, the buckets, the front.
//
// It knows the questions and their grammar, what follows from the answers (names, URLs, feeds, who is served), and the
// comments that a new operator needs. Package config judges every answer, by the rules for the file. It must not know
// flags, terminals, or where the file lies.
package setup
