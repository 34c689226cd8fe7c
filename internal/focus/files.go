package focus

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// source is a file to read, or one that is left out.
type source struct {
	name    string
	skipped string // why it is left out
}

// expand finds the files of names: a file, a pattern, a directory with everything below it, the manifest of an export,
// or - for the standard input.
func expand(names []string) ([]source, error) {
	var out []source
	for _, name := range names {
		found, err := expandOne(name)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	seen := map[string]bool{}
	for i := range out {
		full, err := filepath.Abs(out[i].name)
		if err != nil {
			return nil, err
		}
		if seen[full] && out[i].skipped == "" {
			out[i].skipped = "named twice"
		}
		seen[full] = true
	}
	return out, nil
}

func expandOne(name string) ([]source, error) {
	if name == "-" {
		return []source{{name: name}}, nil
	}
	info, err := os.Stat(name)
	switch {
	case err == nil && info.IsDir():
		return inDirectory(name)
	case err == nil && isManifest(name):
		return ofManifest(name)
	case err == nil:
		return []source{{name: name}}, nil
	case !errors.Is(err, fs.ErrNotExist) || !strings.ContainsAny(name, "*?["):
		return nil, err
	}
	found, err := filepath.Glob(name)
	if err != nil {
		return nil, fmt.Errorf("pattern %s: %w", name, err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("pattern %s: no file fits", name)
	}
	var out []source
	for _, f := range found {
		more, err := expandOne(f)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

func isManifest(name string) bool { return strings.HasSuffix(strings.ToLower(name), "manifest.json") }

func isData(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, ".csv") || strings.HasSuffix(name, ".csv.gz") || strings.HasSuffix(name, ".parquet")
}

// inDirectory finds the data below a directory. An export that keeps its earlier runs has all of them there; only the
// last run of each billing period counts.
func inDirectory(dir string) ([]source, error) {
	var out []source
	runs := map[string][]string{} // billing period: its runs
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasPrefix(e.Name(), ".") || !isData(e.Name()) {
			return err
		}
		out = append(out, source{name: name})
		if p, run := runOf(name); run != "" && !slices.Contains(runs[p], run) {
			runs[p] = append(runs[p], run)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("directory %s: it has no files .csv, .csv.gz or .parquet", dir)
	}
	for p, all := range runs {
		last := slices.MaxFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(submitted(p, a), submitted(p, b)), cmp.Compare(a, b)) })
		for i := range out {
			if q, run := runOf(out[i].name); q == p && run != "" && run != last {
				out[i].skipped = "a newer run of the export has this billing period: " + last
			}
		}
	}
	return out, nil
}

// azurePeriod is the directory of a billing period in an export of Azure: 20261101-20261130.
var azurePeriod = regexp.MustCompile(`^\d{8}-\d{8}$`)

// runOf returns the directory of the billing period of a file, and the directory of the run below it. AWS writes
// BILLING_PERIOD=2026-11/RUN/…, or no run if each run replaces the last; Azure writes 20261101-20261130/RUN/….
func runOf(name string) (period, run string) {
	parts := strings.Split(filepath.ToSlash(name), "/")
	for i, p := range parts {
		if strings.HasPrefix(p, "BILLING_PERIOD=") || azurePeriod.MatchString(p) {
			if i+2 < len(parts) {
				run = parts[i+1]
			}
			return strings.Join(parts[:i+1], "/"), run
		}
	}
	return "", ""
}

// manifest is what we read of the manifests of AWS and Azure.
type manifest struct {
	DataFiles []string `json:"dataFiles"` // AWS: URLs s3://…
	Blobs     []struct {
		Name string `json:"blobName"`
	} `json:"blobs"` // Azure
	Run struct {
		Submitted string `json:"submittedTime"`
	} `json:"runInfo"` // Azure
}

const maxManifest = 16 << 20

func readManifest(name string) (*manifest, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", name, err)
	}
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", name, err)
	}
	return &m, nil
}

// submitted returns when a run of Azure began, or "" if no manifest says it: names of AWS's runs begin with the time.
func submitted(period, run string) string {
	m, err := readManifest(filepath.Join(filepath.FromSlash(period), run, "manifest.json"))
	if err != nil {
		return ""
	}
	return m.Run.Submitted
}

// ofManifest returns the files that a manifest lists. They lie where the export wrote them, relative to the manifest, or
// beside it.
func ofManifest(name string) ([]source, error) {
	m, err := readManifest(name)
	if err != nil {
		return nil, err
	}
	listed := m.DataFiles
	for _, b := range m.Blobs {
		listed = append(listed, b.Name)
	}
	if len(listed) == 0 {
		return nil, fmt.Errorf("manifest %s: it lists no data files (dataFiles or blobs)", name)
	}
	var out []source
	for _, file := range listed {
		found, ok := beside(name, file)
		if !ok {
			return nil, fmt.Errorf("manifest %s: the file %s that it lists is not there", name, path.Base(file))
		}
		out = append(out, source{name: found})
	}
	return out, nil
}

// beside looks for a file of a manifest: its path in the bucket, beginning at each parent directory of the manifest,
// the longest path first; at last the name alone.
func beside(manifest, file string) (string, bool) {
	_, file, _ = cutScheme(file)
	parts := strings.Split(strings.Trim(path.Clean("/"+file), "/"), "/")
	for dir := filepath.Dir(manifest); ; dir = filepath.Dir(dir) {
		for i := range parts {
			name := filepath.Join(dir, filepath.Join(parts[i:]...))
			if info, err := os.Stat(name); err == nil && !info.IsDir() {
				return name, true
			}
		}
		if up := filepath.Dir(dir); up == dir {
			return "", false
		}
	}
}

// cutScheme divides s3://bucket/key.
func cutScheme(url string) (scheme, rest string, ok bool) {
	scheme, rest, ok = strings.Cut(url, "://")
	if !ok {
		return "", url, false
	}
	return scheme, rest, true
}
