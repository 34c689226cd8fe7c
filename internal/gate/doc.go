// Package gate decides whether a change does harm. It knows the file of gates, asks Prometheus and runs commands as it
// says, and turns their answers into verdicts.
//
// A gate is good, bad, or has no verdict. No data is no verdict: it never lets a change pass, and never takes one back.
//
// It must not know what was changed, or what is done about a verdict.
package gate
