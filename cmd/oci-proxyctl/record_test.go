package main

import (
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"ociproxy/internal/envelope"
	"ociproxy/internal/key"
)

// admitted FILE [KEY] writes a record about a store, as store admit does, signed with the private key in the file KEY.
func admitted(ts *testscript.TestScript, _ bool, args []string) {
	r := envelope.Record{
		Kind: envelope.Admission, Version: envelope.RecordVersion, Made: time.Date(2026, 11, 30, 1, 2, 3, 0, time.UTC),
		By:      envelope.Tool{Name: program, Version: "v1.2.3"},
		Subject: envelope.Subject{Store: "s3-use1", URL: "https://a.example/{digest}", Stanza: "00ff"},
		Verdict: envelope.Fail, Findings: []envelope.Finding{{Check: "range", Result: "fault", Detail: "status 200"}},
	}
	text, err := r.Encode()
	if len(args) > 1 {
		private, kerr := key.Read(ts.MkAbs(args[1]))
		ts.Check(kerr)
		text, err = r.Sign(private)
	}
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o600))
}
