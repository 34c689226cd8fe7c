package ranges

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
	"ociproxy/internal/strictjson"
)

// RecordFile is the file of a seed directory that says when each feed in it was fetched, and from where. No feed can
// have this name, because names of providers and clouds have no underscore.
const RecordFile = "_fetched.json"

// maxRecord is much more than the record of a hundred feeds needs.
const maxRecord = 1 << 20

// record is the content of [RecordFile]. New versions only add fields.
type record struct {
	Feeds []recorded `json:"feeds"`
}

// recorded describes a feed's file in a seed directory.
type recorded struct {
	Feed    string    `json:"feed"`
	File    string    `json:"file"`
	Source  string    `json:"source"`  // URL, or the file it was copied from
	Fetched time.Time `json:"fetched"` // the last time when the source was known to have it
	SHA256  string    `json:"sha256"`  // of the content that the other fields describe
}

// seed is a directory of feed files. The name of a file begins with the name of its feed: aws, aws.json, linode.csv.
// The zero seed has no directory.
type seed struct {
	dir    string
	record map[string]recorded // by file
	fault  error               // why the record cannot be used, although its file exists
}

// openSeed reads the record of a seed directory. With "" there is no directory.
func openSeed(dir string) seed {
	s := seed{dir: dir, record: map[string]recorded{}}
	if dir == "" {
		return s
	}
	r, err := readRecord(filepath.Join(dir, RecordFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.fault = fmt.Errorf("read %s: %w", filepath.Join(dir, RecordFile), err)
	}
	for _, f := range r.Feeds {
		s.record[f.File] = f
	}
	return s
}

func readRecord(file string) (r record, err error) {
	f, err := os.Open(file)
	if err != nil {
		return record{}, err
	}
	defer f.Close()
	if err := strictjson.Read(f, &r, strictjson.Bounds{Bytes: maxRecord}); err != nil {
		return record{}, err
	}
	return r, nil
}

// seeded is a feed's file in a seed directory.
type seeded struct {
	parsed  *parsed
	file    string    // its name in the directory
	source  string    // where it was fetched from; "" when there is no record of it
	fetched time.Time // as recorded; when the record is not of this content, the file's modification time
}

// suffixes are the endings that a feed's file may have after the feed's name. The first file that exists counts.
var suffixes = []string{"", ".json", ".csv"}

// find returns the name of the feed's file in the directory. Without such a file the error is fs.ErrNotExist.
func (s seed) find(feed string) (file string, err error) {
	if s.dir == "" {
		return "", fs.ErrNotExist
	}
	for _, suffix := range suffixes {
		if _, err := os.Stat(filepath.Join(s.dir, feed+suffix)); !errors.Is(err, fs.ErrNotExist) {
			return feed + suffix, err
		}
	}
	return "", fs.ErrNotExist
}

// read reads the feed's file in the directory. Without such a file the error is fs.ErrNotExist.
func (s seed) read(f *feed) (seeded, error) {
	file, err := s.find(f.name)
	if err != nil {
		return seeded{}, err
	}
	path := filepath.Join(s.dir, file)
	body, err := os.ReadFile(path)
	if err != nil {
		return seeded{file: file}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return seeded{file: file}, err
	}
	out := seeded{file: file, fetched: info.ModTime()}
	if r := s.record[file]; r.SHA256 == digest(body) {
		out.source, out.fetched = r.Source, r.Fetched
	}
	if out.parsed, err = f.parse(body); err != nil {
		return out, fmt.Errorf("read %s: %w", path, err)
	}
	return out, nil
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// Seeded is what a seed directory has of a feed.
type Seeded struct {
	Feed    string    `json:"feed"`
	File    string    `json:"file,omitempty"`    // its name in the directory
	Source  string    `json:"source,omitempty"`  // where it was fetched from, when the record says it
	Fetched time.Time `json:"fetched,omitzero"`  // the last time when its source was known to have it
	Rows    int       `json:"prefixes"`          // how many the server would use
	Missing bool      `json:"missing,omitempty"` // there is no file here, and the config names none for the feed
	Error   string    `json:"error,omitempty"`   // why the server cannot use the file
}

// Seed says what the directory cfg.Seed has of each feed, in the order of the config. fault says why the directory's
// record of the dates cannot be used; the dates are modification times then. An err means that cfg does not fit the
// map.
func Seed(cfg config.Ranges, m *place.Map) (list []Seeded, fault, err error) {
	s := openSeed(cfg.Seed)
	feeds, err := newFeeds(cfg, m, Options{})
	if err != nil {
		return nil, nil, err
	}
	for _, f := range feeds {
		got, err := s.read(f)
		one := Seeded{Feed: f.name, File: got.file, Source: got.source, Fetched: got.fetched.UTC()}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			one.Missing, one.Fetched = !f.local(), time.Time{}
		case err != nil:
			one.Error = err.Error()
		default:
			one.Rows = len(got.parsed.entries)
		}
		list = append(list, one)
	}
	return list, s.fault, nil
}
