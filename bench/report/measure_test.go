package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// TestPeak: the peak of a measurement is that of its own process, also if the process that began it needs more memory.
func TestPeak(t *testing.T) {
	if os.Getenv("PEAK") != "" {
		most, err := peak()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("peak %f\n", most)
		return
	}
	const large = 192
	memory := make([]byte, large<<20)
	for i := 0; i < len(memory); i += 4096 {
		memory[i] = 1
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPeak$")
	cmd.Env = append(os.Environ(), "PEAK=1")
	out, err := cmd.Output()
	if err != nil || memory[4096] != 1 {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(out), "peak ")
	most, err := strconv.ParseFloat(strings.Fields(rest + " -")[0], 64)
	if err != nil || most < 1 || most > large/2 {
		t.Errorf("the peak of a small process is %g MiB: %v\n%s", most, err, out)
	}
}
