package route

import (
	"testing"

	"ociproxy/internal/set"
)

// Who uses a direct name may reach nobody but those it lists: when they cannot answer, canonical does, and never another
// replica that holds the thing.
func TestWhoIsConfinedIsSentToNobodyElse(t *testing.T) {
	s := snapshot(t, Options{CostWeight: 5, Confines: true, Candidates: []Candidate{
		canonical(t, "main", "gcp/us-central1"), upstream(t, "near", "aws/us-east-1"), upstream(t, "other", "aws/us-west-2"),
	}})
	for name, tt := range map[string]struct {
		list   []string
		usable []int
		want   int
	}{
		"its candidate answers":             {[]string{"other"}, []int{0, 1, 2}, 2},
		"its candidate is out of service":   {[]string{"other"}, []int{0, 1}, 0},
		"all but a replica are":             {[]string{"main"}, []int{1}, 0},
		"everybody is":                      {[]string{"main", "other"}, nil, 0},
		"who is not confined":               {nil, []int{1}, 1},
		"who is not confined, nobody there": {nil, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := &Client{Place: at(t, "aws/us-east-1")}
			if tt.list != nil {
				var err error
				if c.Confined, err = s.Confine(tt.list); err != nil {
					t.Fatal(err)
				}
			}
			c.Ranking = s.Ranking(c)
			st := &State{}
			st.Holds = set.Set{}
			for i := range s.Candidates {
				st.Holds.Add(i)
			}
			for _, i := range tt.usable {
				st.Usable.Add(i)
			}
			for _, path := range []string{"/v2/a/manifests/v1", "/v2/a/blobs/" + digest} {
				req := parse(t, path)
				if d := Decide(req, c, s, st); d.Candidate != tt.want {
					t.Errorf("%s: to %d, want %d", path, d.Candidate, tt.want)
				}
			}
		})
	}
}
