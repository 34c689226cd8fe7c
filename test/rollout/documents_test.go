package rollout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ociproxy/internal/cli"
	"ociproxy/internal/envelope"
	"ociproxy/internal/key"
	"ociproxy/internal/publication"
	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// TestSlowDocuments: what is right reaches all instances within half a minute, also those whose disks fail. What is wrong
// with what is published changes nothing but a metric. No client notices any of that.
func TestSlowDocuments(t *testing.T) {
	if !begin(t) {
		return
	}
	w, c := deployed(t)
	good := hash(t, w.write(t, "good", w.configuration(storeUS, storeAz)))
	began := time.Now()
	canary, early := w.instance("canary-1"), w.instance("early-1")
	old := w.head(t, "early")

	block := filepath.Join(w.lastGood(canary), "block") // its last-good is a file system of its own
	if err := os.WriteFile(block, make([]byte, diskBytes), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := os.RemoveAll(w.lastGood(early)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.lastGood(early), nil, 0o600); err != nil { // a file where the directory should be
		t.Fatal(err)
	}
	t.Run("in effect everywhere", func(t *testing.T) { w.effects(t, c, good) })
	for _, i := range []*instance{canary, early} {
		if err := i.has("1", "ociproxy_config_copy_failing"); err != nil {
			t.Error(err)
		}
		if err := os.Remove(map[*instance]string{canary: block, early: w.lastGood(early)}[i]); err != nil {
			t.Fatal(err)
		}
	}
	w.asks(t, "the copies are on the disks", func() error {
		return errors.Join(canary.has("0", "ociproxy_config_copy_failing"), early.has("0", "ociproxy_config_copy_failing"))
	})

	for name, refused := range map[string]struct {
		key, ring string
		file      proxy.Config
		code      int
	}{
		"an invalid config": {"ci", "canary", proxy.Config{"version": 1, "stores": proxy.List{}}, cli.CodeInvalid},
		"the override key":  {"oncall", "canary", w.configuration(storeUS), cli.CodeFailure},
		"an unknown key":    {"stranger", "canary", w.configuration(storeUS), cli.CodeFailure},
	} {
		file := w.write(t, "refused", refused.file)
		if ran := ctl.Run(t, ctl.Limit, w.env(production, refused.key), "config", "publish", file, "--ring", refused.ring, "--why", "no"); ran.Code != refused.code {
			t.Errorf("publish with %s: %s", name, ran)
		}
	}

	t.Run("documents", func(t *testing.T) { w.faults(t, good, old) })
	t.Run("the bucket is away", func(t *testing.T) { w.away(t, good) })
	if s := c.tally(began, "all-2"); s.first > 0 || s.pulls == 0 { // it was never restarted
		t.Errorf("%s: %v", s, s.examples())
	} else {
		t.Logf("clients: %s", s)
	}
}

// effects measures how long commands take until they are in effect: at all instances, and as clients see it.
func (w *world) effects(t *testing.T, c *crowd, good string) {
	next := w.write(t, "next", w.configuration(storeUS))
	is := hash(t, next)
	by := func(store string) func(string) bool { return func(name string) bool { return name == store+domain } }
	not := func(store string) func(string) bool { return func(name string) bool { return name != store+domain } }
	for _, e := range []struct {
		what   string
		effect func() error
		from   place
		wanted func(by string) bool
		key    string
		args   []string
	}{
		{"config publish", func() error { return w.uses(is) }, amsterdam, not(storeAz), "ci",
			[]string{"config", "publish", next, "--ring", "canary,early,all", "--why", "no store there"}},
		{"config rollback", func() error { return w.uses(good) }, amsterdam, by(storeAz), "ci",
			[]string{"config", "rollback", "--ring", "canary,early,all", "--why", "back"}},
		{"store off", func() error { return w.off(storeUS) }, virginia, not(storeUS), "oncall",
			[]string{"store", "off", storeUS, "--for", "1h", "--why", "answers 503"}},
	} {
		began := time.Now()
		w.ctl(t, production, e.key, e.args...)
		ran := time.Since(began)
		parts.Poll(t, 2*time.Minute, e.what+" is in effect", e.effect) // the promise is 30 s; this machine may be busy
		took := time.Since(began)
		parts.Poll(t, 2*time.Minute, "clients notice "+e.what, func() error { return c.sent(e.from, e.wanted) })
		last := c.last(e.from, func(by string) bool { return !e.wanted(by) }).Sub(began)
		t.Logf("%s: at all instances %.1f s after its start (the command took %.1f s); the last client that went elsewhere came after %.1f s",
			e.what, took.Seconds(), ran.Seconds(), max(0, last).Seconds())
	}
	w.ctl(t, production, "oncall", "store", "on", storeUS, "--why", "repaired")
}

// off reports why not all instances have switched a store off; nil if they have.
func (w *world) off(store string) error {
	for _, i := range w.instances {
		if i.deployment != production {
			continue
		}
		if err := i.has("1", "ociproxy_override_info", `candidate="`+store+`"`, `action="off"`); err != nil {
			return err
		}
	}
	return nil
}

// asks makes all instances ask for what is published, until check returns nil.
func (w *world) asks(t *testing.T, what string, check func() error) {
	t.Helper()
	parts.Poll(t, time.Minute, what, func() error {
		for _, i := range w.instances {
			i.hangup()
		}
		return check()
	})
}

// faults puts wrong documents into the bucket, another one for each ring at the same time.
func (w *world) faults(t *testing.T, good string, old []byte) {
	sandboxHead, err := os.ReadFile(w.bucket.File("config", prefix(sandbox)+"/"+publication.HeadName("all")))
	if err != nil {
		t.Fatal(err)
	}
	invalid := []byte("version: 1\nstores: []\n")
	w.overwrite(t, publication.ContentName(publication.Hash(invalid)), invalid)
	tampered := w.head(t, "canary")
	at := bytes.Index(tampered, []byte(`"payload"`)) + 200
	tampered[at] = map[bool]byte{true: 'A', false: 'B'}[tampered[at] != 'A']
	half := w.head(t, "canary")
	type wrong struct {
		ring     string
		document string // as in the metric
		fault    publication.Fault
		text     []byte
	}
	for _, round := range [][]wrong{
		{
			{"canary", "head", publication.Unsigned, tampered},
			{"early", "head", publication.Replayed, old},
			{"all", "head", publication.Foreign, sandboxHead},
		},
		{
			{"canary", "head", publication.Unsigned, w.signed(t, "canary", "stranger", func(*publication.Head) {})},
			{"early", "head", publication.Clock, w.signed(t, "early", "ci", func(h *publication.Head) { h.SignedAt = h.SignedAt.Add(time.Hour) })},
			{"all", "head", publication.Stale, w.signed(t, "all", "ci", func(h *publication.Head) { h.SignedAt = h.SignedAt.Add(-8 * 24 * time.Hour) })},
		},
		{
			{"canary", "head", publication.Bad, half[:len(half)/2]},
			{"early", "content", publication.Missing, w.signed(t, "early", "ci", func(h *publication.Head) { h.SHA256 = strings.Repeat("a", 64) })},
			{"all", "content", publication.Refused, w.signed(t, "all", "ci", func(h *publication.Head) {
				h.SHA256, h.Bytes = publication.Hash(invalid), int64(len(invalid))
			})},
		},
		{
			{"canary", "head", publication.Unsigned, w.signed(t, "canary", "oncall", func(*publication.Head) {})},
		},
	} {
		before, present := map[string]float64{}, map[string][]byte{}
		for _, f := range round {
			present[f.ring] = w.head(t, f.ring)
			before[f.ring] = w.refused(t, f.ring, f.document, f.fault)
		}
		for _, f := range round {
			w.overwrite(t, publication.HeadName(f.ring), f.text)
		}
		for _, f := range round {
			w.asks(t, fmt.Sprintf("%s: %s", f.document, f.fault), func() error {
				if n := w.refused(t, f.ring, f.document, f.fault); n <= before[f.ring] {
					return fmt.Errorf("ring %s: counted %v times, as before", f.ring, n)
				}
				return nil
			})
		}
		if err := w.uses(good); err != nil {
			t.Error(err)
		}
		for ring, text := range present {
			w.overwrite(t, publication.HeadName(ring), text)
		}
		w.asks(t, "it is well again", w.well)
	}
}

// head returns the head of a ring of production.
func (w *world) head(t *testing.T, ring string) []byte {
	t.Helper()
	return w.read(t, publication.HeadName(ring))
}

// signed returns the next head of a ring with a change, signed by a key.
func (w *world) signed(t *testing.T, ring, by string, change func(h *publication.Head)) []byte {
	t.Helper()
	c, err := envelope.Peek(w.head(t, ring))
	var h publication.Head
	if err == nil {
		err = json.Unmarshal(c.Payload, &h)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.Generation++
	h.SignedAt = time.Now().UTC()
	change(&h)
	payload, err := json.Marshal(&h)
	if err != nil {
		t.Fatal(err)
	}
	private, err := key.Read(w.key(by))
	if err != nil {
		t.Fatal(err)
	}
	text, err := envelope.Sign(private, publication.HeadType, payload)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// refused returns how often an instance of the ring has refused a document because of a fault.
func (w *world) refused(t *testing.T, ring, document string, fault publication.Fault) (n float64) {
	t.Helper()
	for _, i := range w.instances {
		if i.deployment != production || i.ring != ring {
			continue
		}
		lines, err := i.metric("ociproxy_config_publication_refused_total", `document="`+document+`"`, `fault="`+string(fault)+`"`)
		if err != nil || len(lines) != 1 {
			t.Fatalf("%q: %v", lines, err)
		}
		if _, err := fmt.Sscan(lines[0][strings.LastIndexByte(lines[0], ' '):], &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	panic("no ring " + ring)
}

// well reports why not all instances believe what is published; nil if they do.
func (w *world) well() error { return w.all("1", "ociproxy_config_publication_ok") }

// all returns nil if the metric of all production instances has the value.
func (w *world) all(value, metric string) error {
	for _, i := range w.instances {
		if i.deployment != production {
			continue
		}
		if err := i.has(value, metric); err != nil {
			return err
		}
	}
	return nil
}

// away takes the bucket away: connections end at once, or nobody answers. Instances go on, and start on what their disk
// or their image has. Then the bucket comes back with something new.
func (w *world) away(t *testing.T, good string) {
	image := filepath.Join(w.dir, "image")
	w.ctl(t, production, "ci", "config", "export", image)
	for n, fault := range []string{faultDead, faultHole} {
		w.fault(t, "config", fault)
		w.asks(t, "the fault is seen", func() error { return w.all("0", "ociproxy_config_publication_ok") })
		began := time.Now()
		restarted := w.instance([]string{"canary-1", "all-1"}[n])
		restarted.kill(t)
		w.follow(t, restarted)
		took := time.Since(began)
		began = time.Now()
		fresh := w.instance("early-1")
		fresh.kill(t)
		if err := os.RemoveAll(w.lastGood(fresh)); err != nil {
			t.Fatal(err)
		}
		w.follow(t, fresh, "--config-fallback", image)
		t.Logf("%s: an instance with its disk was ready after %.1f s, one with only its image after %.1f s", fault, took.Seconds(), time.Since(began).Seconds())
		if err := w.uses(good); err != nil {
			t.Error(err)
		}
		if fault == faultDead { // in a hole it takes half a minute
			if ran := ctl.Run(t, ctl.Limit, w.env(production, "ci"), "config", "status"); ran.Code != cli.CodeFailure {
				t.Errorf("config status: %s", ran)
			}
		}
		w.fault(t, "config", "")
		began = time.Now()
		parts.Poll(t, 2*time.Minute, "it is well again", w.well) // by themselves
		t.Logf("%s: all instances believe the publication again after %.1f s", fault, time.Since(began).Seconds())
	}
}
