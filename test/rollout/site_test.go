package rollout

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ociproxy/internal/publication"
	"ociproxy/internal/wait"
	"ociproxy/test/ctl"
	"ociproxy/test/parts"
	"ociproxy/test/proxy"
)

// begin runs a test as on a machine of its own, and reports whether this is that machine.
func begin(t *testing.T) bool {
	t.Helper()
	parts.Slow(t)
	t.Parallel()
	return parts.Apart(t, 8*time.Minute, func() []string {
		parts.Find(t, "haproxy")
		parts.Find(t, "prometheus")
		return []string{"OCIPROXY_BINARY=" + proxy.Binary(t), "OCIPROXYCTL_BINARY=" + ctl.Binary(t)}
	})
}

// keys are the keys of both deployments: the public keys of files in world.dir.
var keyNames = []string{"root", "ci", "oncall", "stranger"}

// prefix is where the publication of a deployment lies in the bucket.
func prefix(deployment string) string { return "publication/" + deployment }

// publish makes the keys and the sets of keys of both deployments, and publishes a configuration to all rings.
func (w *world) publish(t *testing.T, file string) {
	t.Helper()
	w.keys = map[string]string{}
	for _, name := range keyNames {
		w.keys[name] = newKey(t, w.key(name))
	}
	for _, deployment := range []string{sandbox, production} {
		w.ctl(t, deployment, "root", "config", "keys", "add", "--config-key", "ci="+w.keys["ci"], "--override-key", "oncall="+w.keys["oncall"], "--why", "first")
		rings := "canary,early,all"
		if deployment == sandbox {
			rings = "all"
		}
		w.ctl(t, deployment, "ci", "config", "publish", file, "--ring", rings, "--why", "first")
	}
}

func (w *world) key(name string) string { return filepath.Join(w.dir, name+".key") }

// env is the environment of an operator of a deployment, who has a key.
func (w *world) env(deployment, key string) []string {
	env := []string{
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test-secret", w.authority.Trust(),
		"OCI_PROXY_PUBLICATION=s3://config/" + prefix(deployment) + "?region=us-east-1&pathStyle=true&endpoint=https://" + configName,
		"OCI_PROXY_DEPLOYMENT=" + deployment, "OCI_PROXY_CONFIG_KEYS=" + w.keys["root"], "OCI_PROXY_KEY=" + w.key(key),
	}
	if w.prometheus != nil {
		env = append(env, "OCI_PROXY_PROMETHEUS="+w.prometheus.URL)
	}
	return env
}

// ctl runs oci-proxyctl as an operator. It must succeed.
func (w *world) ctl(t *testing.T, deployment, key string, args ...string) ctl.Ran {
	t.Helper()
	ran := ctl.Run(t, ctl.Limit, w.env(deployment, key), args...)
	if ran.Code != 0 {
		t.Fatalf("%q: %s", args, ran)
	}
	return ran
}

// follow starts an instance on its publication, with more arguments.
func (w *world) follow(t *testing.T, i *instance, more ...string) {
	t.Helper()
	w.serve(t, i, append([]string{"--config", "https://" + configName + "/config/" + prefix(i.deployment) + "/", "--deployment", i.deployment,
		"--ring", i.ring, "--config-key", w.keys["root"], "--last-good", w.lastGood(i)}, more...)...)
}

// deployed starts a world in which everything follows a configuration with the stores, and clients pull.
func deployed(t *testing.T) (*world, *crowd) {
	t.Helper()
	w := newWorld(t)
	w.publish(t, w.write(t, "good", w.configuration(storeUS, storeAz)))
	for _, i := range w.instances {
		w.follow(t, i)
	}
	w.watch(t)
	return w, w.gather(t)
}

// hash returns the hash of a file, as instances show it.
func hash(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}

// uses reports why not all instances of the rings use the configuration in a file; nil if they do.
func (w *world) uses(hash string, rings ...string) error {
	for _, i := range w.instances {
		if i.deployment != production || len(rings) > 0 && !strings.Contains(strings.Join(rings, " "), i.ring) {
			continue
		}
		if err := i.has("1", "ociproxy_config_info", `hash="`+hash+`"`); err != nil {
			return err
		}
	}
	return nil
}

// read returns an object of production's publication.
func (w *world) read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(w.file(name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (w *world) file(name string) string { return w.bucket.File("config", prefix(production)+"/"+name) }

// overwrite changes an object in the bucket, as somebody does who may write there.
func (w *world) overwrite(t *testing.T, name string, text []byte) {
	t.Helper()
	_, err := w.bucket.Client().PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("config"), Key: aws.String(prefix(production) + "/" + name), Body: bytes.NewReader(text), CacheControl: aws.String("no-store"),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// remove removes an object of production's publication.
func (w *world) remove(t *testing.T, name string) {
	t.Helper()
	_, err := w.bucket.Client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("config"), Key: aws.String(prefix(production) + "/" + name)})
	if err != nil {
		t.Fatal(err)
	}
}

// hurry makes instances ask at once when something is published: for tests that are not about how long that takes.
func (w *world) hurry(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		known := map[string]string{}
		for wait.For(ctx, 200*time.Millisecond) == nil {
			for _, i := range w.instances {
				text, err := os.ReadFile(w.bucket.File("config", prefix(i.deployment)+"/"+publication.HeadName(i.ring)))
				if err != nil || known[i.name] == string(text) {
					continue
				}
				known[i.name] = string(text)
				i.hangup()
			}
		}
	}()
}

// gates writes a file of gates. They are those of the documentation with the times of a test. changes are pairs of old
// and new texts.
func (w *world) gates(t *testing.T, name, gates string, changes ...string) string {
	t.Helper()
	file := filepath.Join(w.dir, name+".yaml")
	text := `version: 1
every: 2s
window: 10s
soak: 20s
limit: 3m
good: 2
bad: 2
of: 5
instances: {match: 'job="oci-proxy",deployment="production"', stale: 20s, within: 45s, rings: {all: 2}}
` + gates
	if err := os.WriteFile(file, []byte(strings.NewReplacer(changes...).Replace(text)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// The gates that find what a store does to clients: what a probe of the canary sees, how often clients ask again, what
// the store's own servers answered, and what the instances' own probes say.
const (
	gateProbe   = "probe"
	gateRepeats = "repeats"
	gateStore   = "store errors"
	gateUsable  = "usable"
)

// judges returns the named gates; none: all.
func (w *world) judges(t *testing.T, names ...string) string {
	t.Helper()
	if names == nil {
		names = []string{gateProbe, gateRepeats, gateStore, gateUsable}
	}
	all := map[string]string{
		gateProbe: `command: [` + ctl.Binary(t) + `, probe, canary-1.example.org, --image, 'app:1.0', --identity, ` + w.probeKey +
			`, --ca, ` + w.authority.File + `, --max-rate, '100', --output, json], every: 10s, bad: 1, of: 5`,
		gateRepeats: `expr: 'sum by (candidate) (rate(ociproxy_retries_total[$window]) * $instances) or 0 * sum(rate(ociproxy_requests_total{kind!="probe"}[$window]) * $instances)', max: 0.2`,
		gateStore:   `expr: 'sum by (proxy) (rate(haproxy_backend_http_responses_total{proxy=~"cdn.*",code="4xx"}[$window]))', max: 0.2`,
		gateUsable:  `expr: 'min by (candidate) (ociproxy_candidate_usable * $instances)', min: 1, bad: 6, of: 8`, // a new store is usable after a good probe
	}
	text := "traffic:\n- {name: requests, expr: 'sum(increase(ociproxy_requests_total{kind!=\"probe\"}[$window]) * $new)', min: 5}\ngates:\n"
	for _, name := range names {
		text += "- {name: " + name + ", " + all[name] + "}\n"
	}
	return text
}

// begun waits until the instances of a ring use what a rollout publishes.
func (w *world) begun(t *testing.T, hash, ring string) {
	t.Helper()
	parts.Poll(t, 2*ctl.Limit, "the step of the ring "+ring, func() error { return w.uses(hash, ring) })
}
