package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ociproxy/bench/process"
	"ociproxy/internal/mirror"
)

// pass is what one run of `oci-proxyctl mirror --once` did.
type pass struct {
	took          time.Duration
	rss           float64 // the process's peak, in MiB
	requests      int     // to the registry, from its access log
	blobBytes     int64   // bytes of blobs that the registry sent, from its access log
	blobs         int     // written to stores
	storeRequests int64
}

// pass runs the mirror once and returns what it did.
func (b *bench) pass(ctx context.Context, bucket string, repositories []string) (pass, error) {
	file := filepath.Join(b.dir, bucket+".yaml")
	if err := writeConfig(file, b.url, bucket, filepath.Join(b.dir, "spool"), b.stores, repositories); err != nil {
		return pass{}, err
	}
	logged, err := os.Stat(b.log)
	if err != nil {
		return pass{}, err
	}
	cmd := process.Command(ctx, b.program, "mirror", "--config", file, "--once", "--output", "json", "--progress", "none")
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY="+secretKey, "AWS_EC2_METADATA_DISABLED=true")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return pass{}, fmt.Errorf("oci-proxyctl mirror: %w\n%s%s", err, stdout.String(), stderr.String())
	}
	p := pass{took: time.Since(start)}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		p.rss = float64(usage.Maxrss) / 1024 // KiB on Linux
	}
	if p.requests, p.blobBytes, err = readLog(b.log, logged.Size()); err != nil {
		return pass{}, err
	}
	return p, p.read(stdout.Bytes())
}

// read takes the figures that the program reports.
func (p *pass) read(summary []byte) error {
	var r mirror.Report
	if err := json.Unmarshal(summary, &r); err != nil {
		return err
	}
	if r.Result != mirror.Done {
		return fmt.Errorf("the pass ended as %q: %s", r.Result, summary)
	}
	p.blobs = int(r.Blobs.Copied)
	for _, s := range r.Stores {
		p.storeRequests += s.Requests
	}
	return nil
}

var accessLine = regexp.MustCompile(`"(\S+) (\S+) [^"]*" (\d+) (\d+) "`)

// readLog counts the requests in the access log after offset off, and the bytes of blobs.
func readLog(file string, off int64) (requests int, blobBytes int64, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(data[off:])) {
		m := accessLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		requests++
		if m[1] == "GET" && strings.Contains(m[2], "/blobs/sha256:") {
			n, err := strconv.ParseInt(m[4], 10, 64)
			if err != nil {
				return 0, 0, err
			}
			blobBytes += n
		}
	}
	return requests, blobBytes, nil
}
