package gate

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// At is what is judged: a step of a change.
type At struct {
	// New are the generations that this change has published so far. Without any, the instances of Rings are the new ones.
	New []uint64
	// Want is the generation that the instances of each ring must have.
	Want map[string]uint64
	// Published is when the step was published.
	Published time.Time
}

// variables are the variables of expressions.
var variables = []string{"instances", "offset", "new", "old", "window", "soak", "before"}

// variable finds them. A $ before anything but a letter is left alone: it may end a regular expression.
var variable = regexp.MustCompile(`\$([a-z]+)`)

func joined(words []string) string { return strings.Join(words, ", $") }

// expander writes expressions for one evaluation.
type expander struct {
	file *File
	at   At
	now  time.Time
}

// side chooses whose value an expression has.
type side int

const (
	changed side = iota // the instances with the change
	others              // those without it
	earlier             // those with it, as they were before
)

// expand replaces the variables of an expression.
func (x *expander) expand(expr string, who side) string {
	before := seconds(max(x.now.Sub(x.at.Published), time.Second))
	values := map[string]string{
		"new": x.join(true), "old": x.join(false), "window": seconds(x.file.Window), "before": before,
		"soak": seconds(max(x.now.Sub(x.at.Published), x.file.Window)), "instances": x.join(who != others), "offset": "",
	}
	if who == earlier {
		values["offset"] = "offset " + before
	}
	return variable.ReplaceAllStringFunc(expr, func(name string) string { return values[name[1:]] })
}

func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10) + "s"
}

// join is the right side of a multiplication that keeps the series of the instances with, or without, the change.
func (x *expander) join(with bool) string {
	op := map[bool]string{true: "=~", false: "!~"}[with]
	label, values := "generation", []string{}
	for _, g := range x.at.New {
		values = append(values, strconv.FormatUint(g, 10))
	}
	if len(values) == 0 {
		label = "ring"
		values = slices.Sorted(maps.Keys(x.at.Want))
	}
	by := strings.Join(x.file.Instances.By, ", ")
	return fmt.Sprintf("on (%s) group_left () (max by (%s) (%s))", by, by, x.info(fmt.Sprintf("%s%s%q", label, op, strings.Join(values, "|"))))
}

// info selects the metric that tells what instances use.
func (x *expander) info(more ...string) string {
	if m := strings.Trim(strings.TrimSpace(x.file.Instances.Match), ","); m != "" {
		more = append(more, m)
	}
	return "ociproxy_config_info{" + strings.Join(more, ",") + "}"
}
