package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"
)

// timesFile has the duration of each suite's last run, on this machine in this clone.
var timesFile = filepath.Join(".cache", "suites.json")

// lastTimes returns an empty map when nothing is known.
func lastTimes() map[string]time.Duration {
	took := map[string]time.Duration{}
	if text, err := os.ReadFile(timesFile); err == nil {
		_ = json.Unmarshal(text, &took) // on an error nothing is known
	}
	return took
}

// saveTimes stores the times for the next run. It ignores errors.
func saveTimes(took map[string]time.Duration) {
	text, err := json.Marshal(took)
	if err == nil {
		_ = os.MkdirAll(filepath.Dir(timesFile), 0o755)
		_ = os.WriteFile(timesFile, append(text, '\n'), 0o600)
	}
}

// startTemp is the directory of temporary files before [process.Run] changed it.
var startTemp, hadTemp = os.LookupEnv("TMPDIR")

func restoreTemp() error {
	if hadTemp {
		return os.Setenv("TMPDIR", startTemp)
	}
	return os.Unsetenv("TMPDIR")
}
