package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"
)

// timesFile has how long each suite took the last time, on this machine in this clone.
var timesFile = filepath.Join(".cache", "suites.json")

// lastTimes is empty when nothing is known.
func lastTimes() map[string]time.Duration {
	took := map[string]time.Duration{}
	if text, err := os.ReadFile(timesFile); err == nil {
		_ = json.Unmarshal(text, &took) // then nothing is known
	}
	return took
}

// saveTimes keeps them for the next time; that it cannot is no reason to fail.
func saveTimes(took map[string]time.Duration) {
	text, err := json.Marshal(took)
	if err == nil {
		_ = os.MkdirAll(filepath.Dir(timesFile), 0o755)
		_ = os.WriteFile(timesFile, append(text, '\n'), 0o600)
	}
}

// startTemp is where temporary files were before [process.Run] changed it.
var startTemp, hadTemp = os.LookupEnv("TMPDIR")

func restoreTemp() error {
	if hadTemp {
		return os.Setenv("TMPDIR", startTemp)
	}
	return os.Unsetenv("TMPDIR")
}
