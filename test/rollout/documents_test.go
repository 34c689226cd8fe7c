package rollout

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// TestSlowDocuments: what is wrong with what is published changes nothing but a metric, and no client notices. What is
// right reaches all instances within half a minute.
func TestSlowDocuments(t *testing.T) {
	if !begin(t) {
		return
	}
	w, c := deployed(t)
	good := hash(t, w.write(t, "good", w.configuration(storeUS, storeAz)))
	began := time.Now()
	head, keys := w.object("rings/canary/head.json"), w.object("keys.json")
	first := read(t, head)

	t.Run("in effect everywhere", func(t *testing.T) {
		next := w.write(t, "next", w.configuration(storeUS, storeAz).With(proxy.Map{"route": proxy.Map{"costWeight": 4}}))
		is := hash(t, next)
		w.within(t, "config publish", func() error { return w.uses(is) }, "ci", "config", "publish", next, "--ring", "canary,early,all", "--why", "next")
		w.within(t, "config rollback", func() error { return w.uses(good) }, "ci", "config", "rollback", "--ring", "canary,early,all", "--why", "back")
		w.within(t, "store off", func() error {
			for _, i := range w.instances {
				if i.deployment != production {
					continue
				}
				if err := i.has("1", "ociproxy_override_info", `candidate="`+storeUS+`"`, `action="off"`); err != nil {
					return err
				}
			}
			return nil
		}, "oncall", "store", "off", storeUS, "--for", "1h", "--why", "answers 503")
		w.ctl(t, production, "oncall", "store", "on", storeUS, "--why", "repaired")
	})

	canary := w.instance("canary-1")
	present, set := read(t, head), read(t, keys)
	foreign := read(t, w.bucket.File("config", prefix(sandbox)+"/rings/all/head.json"))
	bad := proxy.Config{"version": 1, "stores": proxy.List{}}
	file := w.write(t, "bad", bad)
	if ran := ctl.Run(t, ctl.Limit, w.env(production, "ci"), "config", "publish", file, "--ring", "canary", "--why", "bad"); ran.Code != 3 {
		t.Errorf("publish of an invalid config: %s", ran)
	}
	if ran := ctl.Run(t, ctl.Limit, w.env(production, "oncall"), "config", "publish", w.write(t, "other", w.configuration(storeUS)), "--ring", "canary", "--why", "key"); ran.Code != 1 {
		t.Errorf("publish with the override key: %s", ran)
	}
	for _, f := range []struct {
		fault, file string
		text        []byte
	}{
		{"unsigned", head, bytes.Replace(present, []byte(`"sig": "`), []byte(`"sig": "AAAA`), 1)},
		{"replayed", head, first},
		{"foreign", head, foreign},
		{"bad", head, present[:len(present)/2]},
	} {
		t.Run(f.fault, func(t *testing.T) {
			overwrite(t, f.file, f.text)
			parts.Poll(t, 2*time.Minute, "the fault is seen", func() error {
				lines, err := canary.metric("ociproxy_config_publication_refused_total", `document="head"`, `fault="`+f.fault+`"`)
				if err == nil && (len(lines) == 0 || lines[0][len(lines[0])-2:] == " 0") {
					err = fmt.Errorf("not refused: %q", lines)
				}
				return err
			})
			if err := w.uses(good); err != nil {
				t.Error(err)
			}
			overwrite(t, f.file, present)
		})
	}
	t.Run("the bucket is away", func(t *testing.T) {
		w.fault(t, "config", faultDead)
		parts.Poll(t, 2*time.Minute, "the fault is seen", func() error { return canary.has("0", "ociproxy_config_publication_ok") })
		// A restart uses the copy on the disk.
		canary.process.Signal(t, os.Kill)
		canary.process.Wait(t, time.Minute)

		w.follow(t, canary)
		if err := w.uses(good); err != nil {
			t.Error(err)
		}
		w.fault(t, "config", "")
		parts.Poll(t, 2*time.Minute, "it is well again", func() error { return canary.has("1", "ociproxy_config_publication_ok") })
	})
	if !bytes.Equal(set, read(t, keys)) {
		t.Error("the keys have changed")
	}
	if s := c.tally(began, "early-1", "all-1", "all-2"); s.first > 0 || s.pulls == 0 {
		t.Errorf("%s: %v", s, s.examples)
	} else {
		t.Logf("clients: %s", s)
	}
}

// within runs a command and logs how long it took until it was in effect everywhere. The promise is 30 s; the test fails
// only far beyond it, because this machine may be busy.
func (w *world) within(t *testing.T, what string, effect func() error, key string, args ...string) {
	t.Helper()
	w.ctl(t, production, key, args...)
	done := time.Now()
	parts.Poll(t, 2*time.Minute, what+" is in effect", effect)
	t.Logf("%s: in effect everywhere after %.1f s", what, time.Since(done).Seconds())
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// overwrite changes an object in the bucket, as somebody does who may write there.
func overwrite(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
