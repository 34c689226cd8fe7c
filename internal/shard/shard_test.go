package shard

import "testing"

func TestParse(t *testing.T) {
	for text, want := range map[string]Shard{
		"0/1": {0, 1}, "0/4": {0, 4}, "3/4": {3, 4}, "4095/4096": {4095, 4096},
		"4/4": {}, "-1/4": {}, "0/0": {}, "0": {}, "": {}, "a/b": {}, "0/4097": {}, "1/2/3": {},
	} {
		got, err := Parse(text)
		if bad := want == (Shard{}); bad != (err != nil) || !bad && got != want {
			t.Errorf("Parse(%q) = %v, %v", text, got, err)
		}
	}
}

func TestFromEnv(t *testing.T) {
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
		got, err := FromEnv(func(k string) string { return tt.env[k] })
		if (err != nil) != tt.bad || !tt.bad && got != tt.want {
			t.Errorf("%v: %v, %v", tt.env, got, err)
		}
	}
}
