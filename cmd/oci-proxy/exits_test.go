package main

import (
	"testing"

	"github.com/spf13/cobra"
)

// TestEachCommandTellsItsExitCodes: scripts depend on them, and those of other commands mislead.
func TestEachCommandTellsItsExitCodes(t *testing.T) {
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		for _, below := range cmd.Commands() {
			look(below)
		}
		if told := cmd.Annotations["exits"] != ""; told == cmd.HasSubCommands() {
			t.Errorf("%s: tells exit codes: %v", cmd.CommandPath(), told)
		}
	}
	look((&app{env: func(string) string { return "" }}).root())
}
