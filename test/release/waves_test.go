package release

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ociproxy/test/parts"
)

// tool records its calls. It fails when FAILS is a part of the call.
const tool = `#!/bin/sh
call="${0##*/} $*"
echo "$call" >>"$CALLS"
case "$call" in *"${FAILS:-nothing fails}"*) exit 1 ;; esac
`

// judge says what the next line of VERDICTS says: an exit code, or "wait" for a judge that does not end. 0 after the last.
const judgeScript = `#!/bin/sh
echo "judge $PERCENT in $PLACES" >>"$CALLS"
verdict=$(sed -n 1p "$VERDICTS"); sed -i 1d "$VERDICTS"
if [ "$verdict" = wait ]; then exec sleep 600; fi
exit "${verdict:-0}"
`

const imageDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// waves is a run of deploy/rollout/waves.sh with a gcloud and a helm that record their calls. The real gcloud cannot be
// had here, so the test shows the calls and their order, not what Google makes of them.
type waves struct {
	process *parts.Process
	calls   string
}

func startWaves(t *testing.T, platform, verdicts string, env ...string) *waves {
	t.Helper()
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, name := range []string{"gcloud", "helm"} {
		file(name, tool, 0o700)
	}
	w := &waves{calls: file("calls", "", 0o600)}
	w.process = parts.Start(t, parts.Spec{
		Path: filepath.Join(parts.Root(), "deploy", "rollout", "waves.sh"),
		Args: []string{platform, "registry.example.org/oci-proxy@" + imageDigest,
			file("waves", "one # the first\n\ntwo three\n", 0o600), "--", file("judge", judgeScript, 0o700)},
		Env: append([]string{"PATH=" + dir + ":" + os.Getenv("PATH"), "CALLS=" + w.calls, "SOAK=0", "STEPS=10 100",
			"VERDICTS=" + file("verdicts", verdicts, 0o600), "RELEASE=registry", "NAMESPACE=images", "CHART=./chart", "VALUES=values.yaml"}, env...),
		Quiet: true,
	})
	return w
}

// made returns the calls so far, in short.
func (w *waves) made(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(w.calls)
	if err != nil {
		t.Fatal(err)
	}
	calls := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i, call := range calls {
		calls[i] = strings.TrimSpace(strings.NewReplacer("gcloud run services update-traffic oci-proxy ", "traffic ", " --region", "", " --quiet", "",
			"registry.example.org/oci-proxy@"+imageDigest, "IMAGE", imageDigest, "DIGEST", "registry.example.org/oci-proxy", "REPOSITORY",
			" --kube-context", "", " --namespace images", "", "exposure.gateway.canary.", "", " --set exposure.gateway.canary.service=registry-canary-oci-proxy", "",
			" ./chart --reset-then-reuse-values", "", " --wait --timeout 10m", " --wait").Replace(call))
	}
	return calls
}

func TestWavesOnCloudRun(t *testing.T) {
	t.Parallel()
	begun := []string{"traffic --to-tags=stable=100 one", "traffic --to-tags=stable=100 two", "traffic --to-tags=stable=100 three", "judge 0 in one  two three"}
	stage := func(place string) []string {
		return []string{"gcloud run revisions describe oci-proxy-0123456789ab " + place,
			"gcloud run deploy oci-proxy --image IMAGE --revision-suffix 0123456789ab --no-traffic --tag next " + place}
	}
	first := slices.Concat(begun, stage("one"), []string{"traffic --to-tags=next=10,stable=90 one", "judge 10 in one",
		"traffic --to-tags=next=100 one", "judge 100 in one"})
	second := slices.Concat(first, stage("two"), stage("three"), []string{"traffic --to-tags=next=10,stable=90 two",
		"traffic --to-tags=next=10,stable=90 three", "judge 10 in two three"})
	back := func(places ...string) (calls []string) {
		for _, place := range places {
			calls = append(calls, "traffic --to-tags=stable=100 "+place)
		}
		return calls
	}
	const noRevision = "FAILS=revisions describe"
	for name, tt := range map[string]struct {
		verdicts string
		env      []string
		code     int
		calls    []string
		said     string
	}{
		"all green": {verdicts: "0\n4\n", env: []string{noRevision}, code: 0, calls: slices.Concat(second, []string{
			"traffic --to-tags=next=100 two", "traffic --to-tags=next=100 three", "judge 100 in two three",
			"traffic --update-tags=stable=oci-proxy-0123456789ab one", "traffic --to-tags=stable=100 one",
			"traffic --update-tags=stable=oci-proxy-0123456789ab two", "traffic --to-tags=stable=100 two",
			"traffic --update-tags=stable=oci-proxy-0123456789ab three", "traffic --to-tags=stable=100 three"})},
		"red before": {verdicts: "1\n", env: []string{noRevision}, code: 1, calls: begun, said: "before anything was changed"},
		"red in the second wave": {verdicts: "0\n0\n0\n1\n", env: []string{noRevision}, code: 1,
			calls: slices.Concat(second, back("three", "two", "one")), said: "the judge says no at 10 % in two three"},
		"no stable code": {env: []string{"FAILS=stable=100 --region two"}, code: 1, calls: begun[:2], said: "two has no stable code"},
		"a region cannot be changed": {env: []string{"FAILS=next=10,stable=90 --region one"}, code: 1,
			calls: slices.Concat(begun, []string{stage("one")[0], "traffic --update-tags=next=oci-proxy-0123456789ab one",
				"traffic --to-tags=next=10,stable=90 one"}, back("one")), said: "cannot send 10 % to one"},
		"not finished": {env: []string{"FAILS=--update-tags=stable=oci-proxy-0123456789ab --region two"}, code: 3, said: "not the stable code in: two"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := startWaves(t, "cloud-run", tt.verdicts, tt.env...)
			if code := w.process.Wait(t, time.Minute); code != tt.code {
				t.Errorf("exit code %d, want %d\n%s", code, tt.code, w.process.Output)
			}
			if diff := cmp.Diff(tt.calls, w.made(t)); diff != "" && tt.calls != nil {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if !strings.Contains(w.process.Output.String(), tt.said) {
				t.Errorf("it does not say %q:\n%s", tt.said, w.process.Output)
			}
		})
	}
}

func TestWavesWithHelm(t *testing.T) {
	t.Parallel()
	w := startWaves(t, "helm", "0\n0\n0\n1\n")
	if code := w.process.Wait(t, time.Minute); code != 1 {
		t.Errorf("exit code %d\n%s", code, w.process.Output)
	}
	stage := "helm upgrade --install registry-canary ./chart --values values.yaml --set image.repository=REPOSITORY --set image.digest=DIGEST --wait "
	weigh := func(weight, place string) string { return "helm upgrade registry --set weight=" + weight + " " + place }
	want := []string{weigh("0", "one"), weigh("0", "two"), weigh("0", "three"), "judge 0 in one  two three",
		stage + "one", weigh("10", "one"), "judge 10 in one", weigh("100", "one"), "judge 100 in one",
		stage + "two", stage + "three", weigh("10", "two"), weigh("10", "three"), "judge 10 in two three",
		weigh("0", "three"), weigh("0", "two"), weigh("0", "one")}
	if diff := cmp.Diff(want, w.made(t)); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// TestWavesGoBackOnASignal: the script does not wait for a judge that does not end.
func TestWavesGoBackOnASignal(t *testing.T) {
	t.Parallel()
	w := startWaves(t, "cloud-run", "0\nwait\n")
	parts.Poll(t, time.Minute, "the judge is asked", func() error {
		if calls := w.made(t); calls[len(calls)-1] != "judge 10 in one" {
			return os.ErrNotExist
		}
		return nil
	})
	w.process.Signal(t, syscall.SIGTERM)
	if code := w.process.Wait(t, time.Minute); code != 1 {
		t.Errorf("exit code %d\n%s", code, w.process.Output)
	}
	if calls := w.made(t); calls[len(calls)-1] != "traffic --to-tags=stable=100 one" {
		t.Errorf("the last call: %s", calls[len(calls)-1])
	}
}

// TestWavesSayWhatIsLeft: a place that cannot go back is named, with the command for it, and the others go back.
func TestWavesSayWhatIsLeft(t *testing.T) {
	t.Parallel()
	w := startWaves(t, "cloud-run", "0\n0\n0\nwait\n")
	parts.Poll(t, time.Minute, "the judge is asked", func() error {
		if calls := w.made(t); calls[len(calls)-1] != "judge 10 in two three" {
			return os.ErrNotExist
		}
		return nil
	})
	broken := filepath.Join(filepath.Dir(w.calls), "gcloud")
	if err := os.WriteFile(broken, []byte(strings.Replace(tool, "${FAILS:-nothing fails}", "--region two", 1)), 0o700); err != nil {
		t.Fatal(err)
	}
	w.process.Signal(t, syscall.SIGTERM)
	if code := w.process.Wait(t, time.Minute); code != 3 {
		t.Errorf("exit code %d\n%s", code, w.process.Output)
	}
	if calls := w.made(t); calls[len(calls)-1] != "traffic --to-tags=stable=100 one" {
		t.Errorf("the last call: %s", calls[len(calls)-1])
	}
	if want := "NOT back: two; hint: gcloud run services update-traffic oci-proxy --to-tags=stable=100 --region two"; !strings.Contains(w.process.Output.String(), want) {
		t.Errorf("it does not say %q:\n%s", want, w.process.Output)
	}
}

func TestWavesNeedADigest(t *testing.T) {
	t.Parallel()
	p := parts.Start(t, parts.Spec{Path: filepath.Join(parts.Root(), "deploy", "rollout", "waves.sh"),
		Args: []string{"cloud-run", "registry.example.org/oci-proxy:v1", "waves", "--", "true"}, Quiet: true})
	if code := p.Wait(t, time.Minute); code != 2 || !strings.Contains(p.Output.String(), "has no digest") {
		t.Errorf("exit code %d: %s", code, p.Output)
	}
}
