package region

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/place"
)

// State says where a step stands.
type State string

// The states of steps.
const (
	Done  State = "done"
	Next  State = "next"  // do this now
	Waits State = "waits" // it is next, and cannot be done yet
	Later State = "later"
)

// Step is a part of a walk. Only add fields; never remove one.
type Step struct {
	Name     string    `json:"step"`
	State    State     `json:"state"`
	Detail   string    `json:"detail"` // what is there, or why it waits
	Commands []Command `json:"commands"`
}

// Command is what a person types for a step.
type Command struct {
	Program string   `json:"program"` // "" is the program itself
	Args    []string `json:"args"`
}

// Shell returns the command as a person types it. self is the name of the program itself.
func (c Command) Shell(self string) string {
	words := []string{self}
	if c.Program != "" {
		words[0] = c.Program
	}
	for _, a := range c.Args {
		if a == "" || strings.ContainsAny(a, " \t\n\"'`$&|;<>()*?[]{}!#~\\") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// Fact is what was seen of one thing.
type Fact struct {
	OK     bool
	Detail string
}

// Ring is what a ring has of the store.
type Ring struct {
	Name  string
	Store *config.Store // nil: its config does not have the store
}

// state shows what the ring has.
func (r Ring) state() string { return r.Name + ": " + stateOf(r.Store) }

func stateOf(s *config.Store) string {
	switch {
	case s == nil:
		return "not there"
	case s.State == config.Active:
		return fmt.Sprintf("active, %d %%", s.Rollout)
	}
	return string(s.State)
}

// Facts are what is there.
type Facts struct {
	File   string // of the config
	Name   string // of the store
	Site   place.Site
	Store  *config.Store // of the file; nil: the file does not have it
	Amazon bool          // the bucket is one of Amazon's own service
	Notice time.Duration // that users were promised, if the hosts of the store need one
	Now    time.Time

	Published bool // instances follow a publication
	Rings     []Ring
	Infra     string // the directory of the modules of OpenTofu; "": the bucket is made without them
	Exported  Fact
	Bucket    Fact
	Filled    Fact
	Admitted  Fact
	Quiet     Fact // no client is sent to the store any more

	// How is what the commands need besides.
	How How
}

// How is what commands need besides the names.
type How struct {
	Write    []string // the arguments of the command that changes the file
	Gates    string   // file
	Record   string   // file of the admission
	Why      string
	Percents []int // growing, the last is 100
	Images   []string
	Rollout  []string // more arguments of rollout
}

// walk is a list of steps under construction.
type walk struct{ steps []Step }

// add adds a step. wait says why it cannot be done yet, when it is next.
func (w *walk) add(name string, fact Fact, wait string, commands ...Command) {
	s := Step{Name: name, State: Later, Detail: fact.Detail, Commands: commands}
	first := true
	for _, o := range w.steps {
		first = first && o.State == Done
	}
	switch {
	case fact.OK:
		s.State = Done
	case first && wait != "":
		s.State, s.Detail = Waits, wait
	case first:
		s.State = Next
	}
	w.steps = append(w.steps, s)
}

func self(args ...string) Command { return Command{Args: args} }

func program(name string, args ...string) Command { return Command{Program: name, Args: args} }

// Add returns the steps by which a store comes into its region.
func Add(f *Facts) []Step {
	var w walk
	has := f.Store != nil
	w.add("stanza", Fact{has, map[bool]string{true: f.File + " has " + f.Name + ": " + stateOf(f.Store), false: f.File + " does not have it"}[has]}, "", self(f.How.Write...))
	if f.Notice > 0 && f.Published {
		w.add("announce", f.everyRing(func(s *config.Store) bool { return s != nil }), "", f.rollout())
	}
	if f.Amazon && OptIn(f.Site) && !f.Bucket.OK {
		w.add("enable", Fact{Detail: f.Site.Region + " is off in an account until you switch it on"}, "",
			program("aws", "account", "enable-region", "--region-name", f.Site.Region))
	}
	if f.Infra != "" {
		w.add("export", f.Exported, "", self("infra", "export", "--config", f.File, "--out", f.Infra+"/"+ExportName))
		w.add("apply", f.Bucket, "", program("tofu", "-chdir="+f.Infra, "apply"))
	} else {
		w.add("create", f.Bucket, "", self("store", "create", f.Name, "--config", f.File, "--confirm"))
	}
	w.add("fill", f.Filled, "", self("mirror", "--config", f.File, "--store", f.Name, "--dry-run"), self("mirror", "--config", f.File, "--store", f.Name))
	admit := []string{"store", "admit", f.Name, "--config", f.File}
	for _, image := range f.How.Images {
		admit = append(admit, "--image", image)
	}
	w.add("admit", f.Admitted, "", self(append(admit, "--record", f.How.Record)...))
	f.addRollout(&w)
	return w.steps
}

// ExportName is the file of infra export in the directory of the modules.
const ExportName = "stores.auto.tfvars.json"

// addRollout adds the steps that give the store its clients.
func (f *Facts) addRollout(w *walk) {
	full := func(s *config.Store) bool { return s != nil && s.State == config.Active && s.Rollout == 100 }
	wait := ""
	if f.Store != nil && f.Notice > 0 && f.Now.Before(f.Store.Announce.From) {
		wait = fmt.Sprintf("announced for %s: wait until then, or all its clients come at once on that day", f.Store.Announce.From.Format(time.DateOnly))
	}
	inFile := Fact{full(f.Store), f.File + ": " + stateOf(f.Store)}
	if !f.Published {
		var commands []Command
		for _, p := range f.How.Percents {
			if f.Store == nil || f.Store.State != config.Active || p > f.Store.Rollout {
				commands = append(commands, self("store", "set", f.Name, "--config", f.File, "--state", "active", "--rollout", fmt.Sprint(p)))
			}
		}
		w.add("rollout", inFile, wait, commands...)
		return
	}
	percents := strings.Trim(strings.ReplaceAll(fmt.Sprint(f.How.Percents), " ", ","), "[]")
	w.add("rollout", f.everyRing(full), wait, f.rollout("--store", f.Name, "--steps", percents))
	w.add("file", inFile, "", self("store", "set", f.Name, "--config", f.File, "--state", "active", "--rollout", "100"))
}

// everyRing is the fact that something holds of the store in each ring.
func (f *Facts) everyRing(holds func(*config.Store) bool) Fact {
	out := Fact{OK: len(f.Rings) > 0}
	var all []string
	for _, r := range f.Rings {
		out.OK = out.OK && holds(r.Store)
		all = append(all, r.state())
	}
	if out.Detail = strings.Join(all, "; "); out.Detail == "" {
		out.Detail = "nothing is published"
	}
	return out
}

func (f *Facts) ringNames() string {
	var names []string
	for _, r := range f.Rings {
		names = append(names, r.Name)
	}
	return strings.Join(names, ",")
}

// rollout is the command that gives the file to all the rings.
func (f *Facts) rollout(more ...string) Command {
	return self(slices.Concat([]string{"rollout", f.File}, more, []string{"--rings", f.ringNames(), "--gates", f.How.Gates, "--why", f.How.Why}, f.How.Rollout)...)
}

// Remove returns the steps by which a store goes. bucket are the commands that a person may type at the end.
func Remove(f *Facts, bucket ...Command) []Step {
	var w walk
	gone := func(s *config.Store) bool { return s == nil }
	drained := func(s *config.Store) bool { return s == nil || s.State == config.Draining || s.State == config.Off }
	if f.Notice > 0 && f.Store != nil && !drained(f.Store) {
		f.addEnd(&w)
	}
	w.add("drain", Fact{drained(f.Store), f.File + ": " + stateOf(f.Store)}, "", self("store", "set", f.Name, "--config", f.File, "--state", "draining"))
	if f.Published {
		w.add("publish", f.everyRing(drained), "", f.rollout())
	}
	if f.Store != nil {
		wait := ""
		if !f.Quiet.OK {
			wait = cmp.Or(f.Quiet.Detail, "clients may still be sent there")
		}
		w.add("quiet", f.Quiet, wait)
	}
	w.add("remove", Fact{f.Store == nil, map[bool]string{true: f.File + " does not have it", false: f.File + " still has it"}[f.Store == nil]}, "", self(f.How.Write...))
	if f.Published {
		w.add("rollout", f.everyRing(gone), "", f.rollout())
	}
	w.add("bucket", Fact{Detail: "this program never deletes it: do it when no client needs it any more"}, "", bucket...)
	return w.steps
}

// addEnd adds the steps that tell users in advance that a host goes.
func (f *Facts) addEnd(w *walk) {
	day := 24 * time.Hour
	until, set := f.Store.Announce.Until, !f.Store.Announce.Until.IsZero()
	if !set {
		until = f.Now.UTC().Add(f.Notice).Add(day - 1).Truncate(day)
	}
	detail := fmt.Sprintf("announce: {until: %s} in the stanza of %s: today plus a notice of %s", until.Format(time.DateOnly), f.Name, days(f.Notice))
	if set {
		detail = "announced until " + until.Format(time.DateOnly)
	}
	w.add("announce", Fact{set, detail}, "")
	if f.Published {
		w.add("tell", f.everyRing(func(s *config.Store) bool { return s == nil || !s.Announce.Until.IsZero() }), "", f.rollout())
	}
	over := set && !f.Now.Before(until)
	w.add("date", Fact{over, detail}, "announced until "+until.Format(time.DateOnly)+": users may still need it until then")
}
