package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"ociproxy/internal/audit"
	"ociproxy/internal/promote/apply"
	"ociproxy/internal/promote/prove"
)

// A store's error must name the store only once, wherever it is shown.
func TestFaultNamesStoreOnce(t *testing.T) {
	const fault = "store s1: the inventory cannot be used: refused"
	for name, show := range map[string]func(*app, *bytes.Buffer) error{
		"promote": func(_ *app, b *bytes.Buffer) error {
			return applyTables(b, &apply.Report{Stores: []apply.StoreReport{{Name: "s1", Error: fault}}})
		},
		"verify": func(a *app, _ *bytes.Buffer) error {
			return a.writeProof(&prove.Report{Findings: []prove.Finding{{Class: prove.Unreadable, Store: "s1", Detail: fault}}}, "")
		},
		"audit": func(a *app, _ *bytes.Buffer) error {
			return a.writeAudit(&audit.Report{Stores: []audit.StoreReport{{Name: "s1", Error: fault}}})
		},
		"mirror": func(_ *app, b *bytes.Buffer) error {
			_, err := fmt.Fprintln(b, "s1  "+faultOf("s1", fault, nil))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			a := &app{stdout: &b, stderr: &b, env: func(string) string { return "" }}
			if err := show(a, &b); err != nil {
				t.Fatal(err)
			}
			if text := b.String(); !strings.Contains(text, "refused") || strings.Contains(text, "store s1") {
				t.Error(text)
			}
		})
	}
}
