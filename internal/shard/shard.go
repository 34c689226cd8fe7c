// Package shard knows how work is divided over processes that do not talk to each other: which part is this one's, by a
// flag or by the variables of Kubernetes and Cloud Run.
//
// It must not know the work.
package shard

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Shard is one part of the work. Each piece of work has a number, which belongs to exactly one shard. The zero value is
// all of the work.
type Shard struct {
	Index int // from 0
	Of    int // 0 and 1: there are no others
}

// Whole reports whether there are no other shards.
func (s Shard) Whole() bool { return s.Of <= 1 }

// Mine reports whether the piece of work with a number belongs to this shard.
func (s Shard) Mine(number uint64) bool { return s.Whole() || number%uint64(s.Of) == uint64(s.Index) }

// String is how --shard spells it.
func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Index, s.Of) }

const maxShards = 4096

// Parse reads "I/N", from 0/N to N-1/N.
func Parse(text string) (Shard, error) {
	i, n, ok := strings.Cut(text, "/")
	index, err1 := strconv.Atoi(i)
	of, err2 := strconv.Atoi(n)
	if !ok || err1 != nil || err2 != nil {
		return Shard{}, fmt.Errorf("shard %q: want INDEX/COUNT, such as 0/4", text)
	}
	return Shard{Index: index, Of: of}.check()
}

func (s Shard) check() (Shard, error) {
	if s.Of < 1 || s.Of > maxShards || s.Index < 0 || s.Index >= s.Of {
		return Shard{}, fmt.Errorf("shard %s: want 0/COUNT to COUNT-1/COUNT, of at most %d", s, maxShards)
	}
	return s, nil
}

// jobs are the variables that say which task of a job this is, and how many there are: those of Kubernetes (Indexed Jobs set the index
// only, the manifest has to repeat the count) and of Cloud Run.
var jobs = [][2]string{
	{"JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"},
	{"CLOUD_RUN_TASK_INDEX", "CLOUD_RUN_TASK_COUNT"},
}

// FromEnv returns the shard that the platform assigned to this process; the zero value when it assigned none. An
// index without a count is an error: each task would do everything.
func FromEnv(env func(string) string) (Shard, error) {
	for _, vars := range jobs {
		index, count := env(vars[0]), env(vars[1])
		switch {
		case index == "":
			continue
		case count == "":
			return Shard{}, fmt.Errorf("%s is set and %s is not: %w", vars[0], vars[1], errCount)
		}
		s, err := Parse(index + "/" + count)
		if err != nil {
			return Shard{}, fmt.Errorf("%s and %s: %w", vars[0], vars[1], err)
		}
		return s, nil
	}
	return Shard{}, nil
}

var errCount = errors.New("how many tasks the job has is not known")
