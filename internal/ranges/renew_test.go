package ranges

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
)

func renew(t *testing.T, cfg config.Ranges, dir string, opts RenewOptions) []Renewed {
	t.Helper()
	list, err := Renew(t.Context(), cfg, place.Embedded(), dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// outcome returns the parts of a result that a test compares.
func outcome(list []Renewed) string {
	var b strings.Builder
	for _, r := range list {
		fmt.Fprintf(&b, "%s %s %s rows=%d\n", r.Feed, r.State, r.File, r.Rows)
	}
	return b.String()
}

// A server without network and cache starts with the directory. It knows the same as a server that read the feeds
// themselves, and it knows how old that is.
func TestRenewRealFeeds(t *testing.T) {
	p := newProvider(t)
	files := realFeeds(t)
	var cfg config.Ranges
	for _, f := range files.Feeds {
		body, err := os.ReadFile(f.File)
		if err != nil {
			t.Fatal(err)
		}
		path := "/" + filepath.Base(f.File)
		p.set(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
		cfg.Feeds = append(cfg.Feeds, config.Feed{Provider: f.Provider, Cloud: f.Cloud, URL: p.URL + path})
	}
	dir := filepath.Join(t.TempDir(), "a", "seed")
	begin := time.Now().Add(-time.Second)
	for _, r := range renew(t, cfg, dir, RenewOptions{}) {
		if r.State != Added || r.Error != "" || r.Rows == 0 || r.Fetched.Before(begin) {
			t.Errorf("%+v", r)
		}
	}
	p.Close()
	cfg.Seed = dir
	r, want := mustNew(t, cfg, Options{}), mustNew(t, files, Options{})
	wanted := want.Status()
	for i, s := range r.Status() {
		if s.From != "seed" || s.Rows != wanted[i].Rows || s.NoSeed || s.LastError != "" || !s.Seed.Equal(s.LastGood) || s.Age > time.Hour {
			t.Errorf("%+v\nwant the rows of %+v", s, wanted[i])
		}
	}
	if r.Table().Len() != want.Table().Len() {
		t.Errorf("%d prefixes, want %d", r.Table().Len(), want.Table().Len())
	}
	info, err := os.Stat(filepath.Join(dir, "linode.csv"))
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("a server that runs as another user cannot read it: %v %v", info.Mode(), err)
	}
}

// One source does something wrong. Its copy stays byte by byte with its date, the other feeds are fetched, and the
// error gives the reason.
func TestRenewFaults(t *testing.T) {
	big := awsFeed(10)
	tests := []struct {
		name    string
		answer  http.HandlerFunc
		err     string
		guarded bool
	}{
		{"status", status(http.StatusNotFound), "status 404 Not Found", false},
		{"page", static("<!doctype html><title>login"), "is an HTML page", false},
		{"empty", static(""), "empty", false},
		{"no feed", static("{}"), "guard: no prefixes", false},
		{"half", static(big[:len(big)/2]), "not JSON at byte", false},
		{"private", static(`{"prefixes":[{"ip_prefix":"10.0.0.0/16","region":"us-east-1"}]}`), "guard: prefix 10.0.0.0/16 is not public", false},
		{"shrunk", static(awsFeed(5)), "guard: IPv4 space shrinks by 50 %", true},
		{"grown", static(awsFeed(20)), "guard: IPv4 space grows by 100 %", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProvider(t)
			cfg := p.config(t)
			dir := t.TempDir()
			renew(t, cfg, dir, RenewOptions{})
			was := snapshotOf(t, dir)
			p.set("/aws", tt.answer)
			p.set("/gcp", static(strings.Replace(gcpFeed, "africa-south1", "us-east4", 1)))
			got := renew(t, cfg, dir, RenewOptions{})
			if diff := cmp.Diff("aws failed aws.json rows=10\ngcp changed gcp.json rows=1\n", outcome(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if !strings.Contains(got[0].Error, tt.err) || got[0].Guarded != tt.guarded || got[0].Fetched != got[0].Before {
				t.Errorf("%+v, want %q", got[0], tt.err)
			}
			is := snapshotOf(t, dir)
			if was["aws.json"] != is["aws.json"] || was["gcp.json"] == is["gcp.json"] || len(is) != 3 {
				t.Errorf("the directory has %q, had %q", is, was)
			}
		})
	}
}

// snapshotOf returns the content of a directory.
func snapshotOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		body, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(body)
	}
	return all
}

// The copy keeps the name by which a server finds it, because the server would not read a second file of the feed. A
// damaged copy is replaced, and nothing is compared with it.
func TestRenewReplacesWhatTheServerReads(t *testing.T) {
	for _, was := range []string{"aws", "aws.json", "aws.csv"} {
		for _, content := range []string{awsFeed(9), "damaged"} {
			p := newProvider(t)
			cfg := p.config(t)
			cfg.Seed = t.TempDir()
			if err := os.WriteFile(filepath.Join(cfg.Seed, was), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			state := Changed
			if content == "damaged" {
				state = Added
			}
			got := renew(t, cfg, cfg.Seed, RenewOptions{})[0]
			if got.State != state || got.File != was || got.Rows != 10 {
				t.Errorf("%s %q: %+v", was, content, got)
			}
			cfg.Cache = ""
			if s := mustNew(t, cfg, Options{}).Status()[0]; s.From != "seed" || s.Rows != 10 {
				t.Errorf("%s %q: the server has %+v", was, content, s)
			}
		}
	}
}

func TestRenewUnchanged(t *testing.T) {
	p := newProvider(t)
	cfg, dir := p.config(t), t.TempDir()
	renew(t, cfg, dir, RenewOptions{})
	// As if both feeds were fetched long ago.
	old := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	redate(t, dir, old)
	if s := seedOf(t, cfg, dir)[0]; !s.Fetched.Equal(old) || s.Source != p.URL+"/aws" {
		t.Errorf("%+v, want %v", s, old)
	}
	before := snapshotOf(t, dir)
	dry := renew(t, cfg, dir, RenewOptions{DryRun: true})
	if diff := cmp.Diff(before, snapshotOf(t, dir)); diff != "" {
		t.Errorf("a dry run wrote (-was +is)\n%s", diff)
	}
	for _, got := range [][]Renewed{dry, renew(t, cfg, dir, RenewOptions{})} {
		if diff := cmp.Diff("aws unchanged aws.json rows=10\ngcp unchanged gcp.json rows=1\n", outcome(got)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if !got[0].Before.Equal(old) || time.Since(got[0].Fetched) > time.Hour {
			t.Errorf("%+v", got[0])
		}
	}
	if s := seedOf(t, cfg, dir)[0]; time.Since(s.Fetched) > time.Hour {
		t.Errorf("the date is still %v", s.Fetched)
	}
}

// redate gives every feed in a seed directory the date at.
func redate(t *testing.T, dir string, at time.Time) {
	t.Helper()
	file := filepath.Join(dir, RecordFile)
	var doc record
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &doc)
	}
	for i := range doc.Feeds {
		doc.Feeds[i].Fetched = at
		err = errors.Join(err, os.Chtimes(filepath.Join(dir, doc.Feeds[i].File), at, at))
	}
	text, merr := json.Marshal(doc)
	if err := errors.Join(err, merr, os.WriteFile(file, text, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func seedOf(t *testing.T, cfg config.Ranges, dir string) []Seeded {
	t.Helper()
	cfg.Seed = dir
	list, fault, err := Seed(cfg, place.Embedded())
	if err != nil || fault != nil {
		t.Fatal(err, fault)
	}
	return list
}

// A feed that is a file in the config is copied, because the other machine may not have that file. Its date is the date
// of the file.
func TestRenewFiles(t *testing.T) {
	from, dir := t.TempDir(), t.TempDir()
	file := filepath.Join(from, "own.txt")
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	err := errors.Join(os.WriteFile(file, []byte("198.51.100.0/24,aws/us-east-1\n"), 0o600), os.Chtimes(file, at, at))
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Ranges{Feeds: []config.Feed{
		{Provider: config.CSV, File: file}, {Provider: config.CSV, File: filepath.Join(from, "gone")},
	}}
	got := renew(t, cfg, dir, RenewOptions{})
	if s := seedOf(t, cfg, dir)[0]; s.Source != "own.txt" {
		t.Errorf("%+v", s)
	}
	if want := "csv new csv.csv rows=1\ncsv-2 failed  rows=0\n"; outcome(got) != want || !got[0].Fetched.Equal(at) {
		t.Errorf("got %s%+v\nwant %s", outcome(got), got[0], want)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	itself := config.Ranges{Feeds: []config.Feed{{Provider: config.CSV, File: filepath.Join(dir, "csv.csv")}}}
	if got := renew(t, itself, dir, RenewOptions{})[0]; got.State != Unchanged || !got.Fetched.Equal(at) {
		t.Errorf("the copy as its own source: %+v", got)
	}
	cfg.Feeds, cfg.Seed = cfg.Feeds[:1], dir
	r := mustNew(t, cfg, Options{})
	if s := r.Status()[0]; s.From != "seed" || !s.LastGood.Equal(at) || where(r, "198.51.100.7") != "aws/us-east-1" {
		t.Errorf("%+v", s)
	}
}

// When a file does not have the recorded content, or the record cannot be read, only the date is lost. The server uses
// the modification time instead.
func TestSeedWithoutItsRecord(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for name, spoil := range map[string]func(dir string) error{
		"replaced by hand": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "aws.json"), []byte(awsFeed(11)), 0o600)
		},
		"no record":      func(dir string) error { return os.Remove(filepath.Join(dir, RecordFile)) },
		"damaged record": func(dir string) error { return os.WriteFile(filepath.Join(dir, RecordFile), []byte(`{"feeds`), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			cfg, dir := p.config(t), t.TempDir()
			renew(t, cfg, dir, RenewOptions{})
			if err := errors.Join(spoil(dir), os.Chtimes(filepath.Join(dir, "aws.json"), at, at)); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			cfg.Cache, cfg.Seed = "", dir
			r := mustNew(t, cfg, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if s := r.Status()[0]; !s.Seed.Equal(at) || s.From != "seed" || s.LastError != "" {
				t.Errorf("%+v", s)
			}
			if said := strings.Contains(log.String(), "their modification time"); said != (name == "damaged record") {
				t.Errorf("log: %s", log.String())
			}
			if !strings.Contains(log.String(), `msg="this feed begins with ranges.seed" feed=aws fetched=2026-03-04T05:06:07.000Z age=`) {
				t.Errorf("the log does not tell the date: %s", log.String())
			}
			_, fault, err := Seed(cfg, place.Embedded())
			if err != nil || (fault != nil) != (name == "damaged record") {
				t.Errorf("fault %v, %v", fault, err)
			}
			if got := renew(t, cfg, dir, RenewOptions{})[0]; got.State == Failed {
				t.Errorf("%+v", got)
			}
			if s := seedOf(t, cfg, dir)[0]; s.Source == "" {
				t.Errorf("no record was written: %+v", s)
			}
		})
	}
}

// The record goes into public images.
func TestRenewRecordsNoCredentials(t *testing.T) {
	p := newProvider(t)
	cfg, dir := p.config(t), t.TempDir()
	cfg.Feeds[0].URL += "?sig=secret"
	got := renew(t, cfg, dir, RenewOptions{})
	if text := snapshotOf(t, dir)[RecordFile]; strings.Contains(text, "secret") || !strings.Contains(text, p.URL+"/aws?…") {
		t.Error(text)
	}
	if got[0].Source != p.URL+"/aws?…" {
		t.Errorf("%+v", got[0])
	}
}

func TestRenewDirectory(t *testing.T) {
	p := newProvider(t)
	cfg := p.config(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dry := range []bool{false, true} {
		if _, err := Renew(t.Context(), cfg, place.Embedded(), file, RenewOptions{DryRun: dry}); err == nil || !strings.Contains(err.Error(), "not a directory") {
			t.Errorf("error %v", err)
		}
	}
	gone := filepath.Join(t.TempDir(), "gone")
	if got := renew(t, cfg, gone, RenewOptions{DryRun: true}); got[0].State != Added {
		t.Errorf("%+v", got[0])
	}
	if _, err := os.Stat(gone); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a dry run made the directory: %v", err)
	}
}

// hanging is a source that never answers.
type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// A source that hangs delays Renew only for the time that its attempts may take. The end of the context ends it at
// once.
func TestRenewTimeout(t *testing.T) {
	dir := t.TempDir()
	cfg := config.Ranges{Feeds: []config.Feed{{Provider: config.AWS, URL: "https://feeds.example/aws"}}}
	synctest.Test(t, func(t *testing.T) {
		opts := RenewOptions{Client: &http.Client{Transport: hanging{}}, Timeout: 5 * time.Second}
		begin := time.Now()
		got := renew(t, cfg, dir, opts)
		if took := time.Since(begin); got[0].State != Failed || took < 15*time.Second || took > 20*time.Second {
			t.Errorf("after %v: %+v", took, got[0])
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begin = time.Now()
		list, err := Renew(ctx, cfg, place.Embedded(), dir, opts)
		if err != nil || list[0].State != Failed || time.Since(begin) > 0 {
			t.Errorf("after %v: %+v, %v", time.Since(begin), list, err)
		}
	})
}

// Renew reports every feed once, and the results are in the order of the config.
func TestRenewTells(t *testing.T) {
	p := newProvider(t)
	var told []string
	list := renew(t, p.config(t), t.TempDir(), RenewOptions{Done: func(r Renewed) { told = append(told, r.Feed) }})
	slices.Sort(told)
	if diff := cmp.Diff([]string{"aws", "gcp"}, told); diff != "" || list[0].Feed != "aws" {
		t.Errorf("%v\n%s", list, diff)
	}
}
