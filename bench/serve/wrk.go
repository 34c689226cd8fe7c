package main

import (
	"context"
	_ "embed" // load.lua
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"ociproxy/bench/process"
)

// clientAddr is one of the clients that the load claims to be. The proxy locates 3.0.0.0/8 in aws/us-east-1.
const clientAddr = "3.0.0.7"

//go:embed load.lua
var script []byte

// result is one run of wrk.
type result struct {
	rps float64
	p99 time.Duration
}

var (
	rpsLine   = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	p99Line   = regexp.MustCompile(`99%\s+([0-9.]+(?:us|ms|s))`)
	errorLine = regexp.MustCompile(`Non-2xx or 3xx responses: \d+|Socket errors: [^\n]*`)
)

// load runs wrk on the second core.
func load(ctx context.Context, lua string, t target, seconds, connections int) (result, error) {
	out, err := process.Command(ctx, "taskset", "-c", "1", "wrk", "-t", "1", "-c", strconv.Itoa(connections),
		"-d", fmt.Sprintf("%ds", seconds), "--latency", "-s", lua, "http://"+t.addr, "--", t.kind, strconv.Itoa(digests)).CombinedOutput()
	if err != nil {
		return result{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	if bad := errorLine.Find(out); bad != nil {
		return result{}, fmt.Errorf("wrk: %s", bad)
	}
	rps, p99 := rpsLine.FindSubmatch(out), p99Line.FindSubmatch(out)
	if rps == nil || p99 == nil {
		return result{}, errors.New("wrk: no figures in its output")
	}
	var r result
	if r.rps, err = strconv.ParseFloat(string(rps[1]), 64); err != nil {
		return result{}, err
	}
	if r.p99, err = time.ParseDuration(string(p99[1])); err != nil {
		return result{}, err
	}
	return r, nil
}
