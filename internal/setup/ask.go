package setup

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"ociproxy/internal/check"
	"ociproxy/internal/cli"
)

// Given says which answers were given before the questions: these are not asked for.
type Given struct{ Location, Registry, Bucket, Image, Front, Clients, Listen bool }

// Talk is a conversation with a person. [NewTalk] makes one.
type Talk struct {
	ctx   context.Context
	out   io.Writer
	probe *check.Options
	lines chan string // closed at the end of the input
}

// NewTalk begins a conversation: in has the answers, one a line, and out gets the questions. probe says how to ask the
// registry, to check an answer at once; nil: it is not asked. When ctx ends, the conversation ends, and a read of in that
// is under way is abandoned.
func NewTalk(ctx context.Context, in io.Reader, out io.Writer, probe *check.Options) *Talk {
	t := &Talk{ctx: ctx, out: out, probe: probe, lines: make(chan string)}
	go t.read(in)
	return t
}

// ErrEnded says that the answers ended before the questions.
var ErrEnded = errors.New("the answers ended before the questions: nothing was written")

// Location asks where the instance runs. Other answers default to that place, so it comes first.
func (t *Talk) Location(d *Draft) error {
	return t.ask(question{label: "location", set: d.SetLocation,
		why: "Where does this instance run? aws/us-east-1; for a data centre of your own onprem/berlin@52.5,13.4."})
}

// Rest asks for everything else that was not given before, one short question at a time. A wrong answer gets its reason,
// and the question again. The error is [ErrEnded], or that of the context.
func (t *Talk) Rest(d *Draft, given Given) error {
	for _, q := range t.questions(d, given) {
		if q.given || q.when != nil && !q.when() {
			continue
		}
		if err := t.ask(q); err != nil {
			return err
		}
	}
	return nil
}

// question is one question.
type question struct {
	given    bool
	when     func() bool // nil: always
	why      string      // in one line
	label    string
	preset   string // what an empty answer stands for; "" with optional: nothing
	optional bool
	none     string // what an empty answer to an optional question means; "" is "none"
	many     bool   // ask again until the answer is empty
	set      func(answer string) error
}

func (t *Talk) questions(d *Draft, given Given) []question {
	return []question{
		{given: given.Registry, label: "registry", set: t.tried(d, (*Draft).AddRegistry),
			why: "Which registry has all images? https://HOST[/PATH]. Clients must be able to pull from it without a login."},
		{given: given.Image, label: "image", optional: true, set: t.tried(d, (*Draft).AddImage),
			why: "Which of its images may be asked for in tests? For example team/app:1.0."},
		{given: given.Bucket, label: "bucket", optional: true, many: true, set: d.AddBucket,
			why: "Which bucket gets copies of the layers? s3://NAME?region=…, gs://NAME or azblob://ACCOUNT/CONTAINER. " +
				"For a server of your own s3://NAME?region=…&endpoint=https://HOST."},
		{given: given.Clients, label: "network", optional: true, none: d.noClients(), many: true, set: d.AddClients, when: d.unrecognised,
			why: "Which networks are your clients in? CIDR=PLACE, for example 10.20.0.0/16=onprem/berlin."},
		{given: given.Front, label: "front", preset: d.front, set: d.SetFront,
			why: "What stands in front of the server? " + strings.Join(Fronts(), ", ") + "."},
		{given: given.Listen, label: "listen", preset: d.listen, set: d.SetListen,
			why: "At which address does the server listen for clients?"},
	}
}

// noClients says what it means when no network is named.
func (d *Draft) noClients() string {
	if list, assumed := d.clients(); assumed {
		return "private addresses are in " + list[0].place.String()
	}
	return ""
}

// unrecognised reports whether no feed tells the clients of some cloud.
func (d *Draft) unrecognised() bool {
	_, missing := d.feeds()
	return len(missing) > 0 || d.own(d.location)
}

func (t *Talk) read(in io.Reader) {
	defer close(t.lines)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		select {
		case t.lines <- lines.Text():
		case <-t.ctx.Done():
			return
		}
	}
}

// tried makes a setter that also asks the registry, and leaves the draft unchanged if that fails.
func (t *Talk) tried(d *Draft, set func(*Draft, string) error) func(string) error {
	return func(answer string) error {
		next := d.clone()
		if err := set(next, answer); err != nil {
			return err
		}
		if t.probe != nil {
			fmt.Fprintln(t.out, "  asking the registry …")
			if err := next.tryRegistry(t.ctx, *t.probe); err != nil {
				return err
			}
			fmt.Fprintln(t.out, "  it works for clients")
		}
		*d = *next
		return nil
	}
}

func (t *Talk) ask(q question) error {
	fmt.Fprintf(t.out, "\n%s\n", q.why)
	for again := false; ; {
		label := q.label
		switch {
		case q.preset != "":
			label += " [" + q.preset + "]"
		case again && q.many:
			label = "another " + label + " [none]"
		case q.optional:
			label += " [" + cmp.Or(q.none, "none") + "]"
		}
		fmt.Fprintf(t.out, "%s: ", label)
		answer, err := t.line()
		if err != nil {
			fmt.Fprintln(t.out)
			return err
		}
		if answer == "" || q.optional && answer == "none" {
			if q.optional {
				return nil
			}
			answer = q.preset
		}
		if err := q.set(answer); err != nil {
			if t.ctx.Err() != nil {
				return t.ctx.Err()
			}
			t.reason(err)
			continue
		}
		if again = true; !q.many {
			return nil
		}
	}
}

// line is the next answer, without blanks around it.
func (t *Talk) line() (string, error) {
	select {
	case <-t.ctx.Done():
		return "", t.ctx.Err()
	case text, ok := <-t.lines:
		if !ok {
			return "", ErrEnded
		}
		return strings.TrimSpace(text), nil
	}
}

// reason says why an answer is not taken.
func (t *Talk) reason(err error) {
	fmt.Fprintf(t.out, "  %s\n", cli.OneLine(err.Error()))
	if e, ok := errors.AsType[*cli.Error](err); ok && e.Hint != "" {
		fmt.Fprintf(t.out, "  hint: %s\n", cli.OneLine(e.Hint))
	}
}
