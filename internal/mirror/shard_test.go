package mirror

import (
	"fmt"
	"slices"
	"testing"

	"ociproxy/internal/config"
	"ociproxy/internal/oci"
)

func TestParseShard(t *testing.T) {
	for text, want := range map[string]Shard{
		"0/1": {0, 1}, "0/4": {0, 4}, "3/4": {3, 4}, "4095/4096": {4095, 4096},
		"4/4": {}, "-1/4": {}, "0/0": {}, "0": {}, "": {}, "a/b": {}, "0/4097": {}, "1/2/3": {},
	} {
		got, err := ParseShard(text)
		if bad := want == (Shard{}); bad != (err != nil) || !bad && got != want {
			t.Errorf("ParseShard(%q) = %v, %v", text, got, err)
		}
	}
}

func TestShardFromEnv(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		want Shard
		bad  bool
	}{
		{nil, Shard{}, false},
		{map[string]string{"JOB_COMPLETION_INDEX": "2", "JOB_COMPLETIONS": "5"}, Shard{2, 5}, false},
		{map[string]string{"JOB_COMPLETION_INDEX": "2"}, Shard{}, true},
		{map[string]string{"JOB_COMPLETIONS": "5"}, Shard{}, false},
		{map[string]string{"CLOUD_RUN_TASK_INDEX": "0", "CLOUD_RUN_TASK_COUNT": "1"}, Shard{0, 1}, false},
		{map[string]string{"CLOUD_RUN_TASK_INDEX": "9", "CLOUD_RUN_TASK_COUNT": "3"}, Shard{}, true},
	} {
		got, err := ShardFromEnv(func(k string) string { return tt.env[k] })
		if (err != nil) != tt.bad || !tt.bad && got != tt.want {
			t.Errorf("%v: %v, %v", tt.env, got, err)
		}
	}
}

// Each blob is one shard's, and shards are about as large as each other.
func TestShardsPartition(t *testing.T) {
	const shards, blobs = 7, 7000
	var sizes [shards]int
	for i := range blobs {
		d := digest(t, ocispecDigest(fmt.Sprint(i)))
		owners := 0
		for s := range shards {
			if (Shard{s, shards}).Mine(d) {
				owners++
				sizes[s]++
			}
		}
		if owners != 1 {
			t.Fatalf("%s has %d owners", d, owners)
		}
	}
	for s, n := range sizes {
		if n < 850 || n > 1150 {
			t.Errorf("shard %d has %d of %d", s, n, blobs)
		}
	}
	if !(Shard{}).Mine(oci.Digest{}) {
		t.Error("without shards something is not ours")
	}
}

func TestSelection(t *testing.T) {
	w := newWorld(t, 0)
	for _, repo := range []string{"app", "team/a", "team/b", "team/b/c", "lib/x"} {
		w.image(repo, "v1", repo)
	}
	for _, tt := range []struct {
		name string
		sel  config.MirrorRepositories
		only []string
		want string
	}{
		{"list", config.MirrorRepositories{List: []string{"app", "app", "lib/x"}}, nil, "[app lib/x]"},
		{"glob", config.MirrorRepositories{Include: []string{"team/*"}}, nil, "[team/a team/b]"},
		{"regexp", config.MirrorRepositories{Include: []string{"/team/.+/"}, Exclude: []string{"team/a"}}, nil, "[team/b team/b/c]"},
		{"both", config.MirrorRepositories{List: []string{"team/b"}, Include: []string{"team/*", "a*"}}, nil, "[app team/a team/b]"},
		{"only", config.MirrorRepositories{Include: []string{"*"}, Exclude: []string{"app"}}, []string{"lib/x", "app"}, "[lib/x]"},
		{"part of a name", config.MirrorRepositories{Include: []string{"/team/"}}, nil, "[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src, err := NewSource(w.config0(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			sel, err := newSelection(tt.sel, tt.only, src.Registry.String())
			if err != nil {
				t.Fatal(err)
			}
			names := []string{}
			for target, err := range sel.targets(t.Context(), src.Registry) {
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, target.name)
			}
			slices.Sort(names) // the catalog's order is the registry's
			if got := fmt.Sprint(names); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}
