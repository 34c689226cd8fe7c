package mirror

import (
	"fmt"
	"testing"

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
		d := digest(t, sumOf(fmt.Sprint(i)))
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
