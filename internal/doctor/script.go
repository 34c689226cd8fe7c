package doctor

import _ "embed"

// Script is the doctor for machines on which no binary may run: it needs a POSIX shell and curl. It knows less, and says
// what it knows in the same sentences.
//
//go:embed oci-doctor.sh
var Script string
