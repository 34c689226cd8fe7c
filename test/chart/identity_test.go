package chart

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
	"testing"
)

// TestIdentities: the environment for the clouds' libraries fits the files of the pod. The test does this for all three
// clouds at once and for each alone, and in each kind of job.
func TestIdentities(t *testing.T) {
	const provider = "projects/1/locations/global/workloadIdentityPools/p/providers/k"
	clouds := map[string]Values{
		"aws":    {"roleARN": "arn:aws:iam::111122223333:role/writer"},
		"azure":  {"clientID": "client", "tenantID": "tenant"},
		"google": {"provider": provider},
	}
	together := Values{}
	for name, identity := range clouds {
		together[name] = identity
		for _, kind := range []string{"Deployment", "CronJob", "Job"} {
			v := writer(Values{"mirror": Values{"kind": kind, "identity": Values{name: identity}}})
			if got := identities(t, v, "mirror"); !slices.Equal(got, []string{name}) {
				t.Errorf("mirror as %s has the identities %v, want %s", kind, got, name)
			}
		}
	}
	jobs := Values{
		"identity": together, "auditor": Values{"enabled": true},
		"promoter": Values{"enabled": true, "manifests": Values{"emptyDir": Values{}}, "identity": Values{"aws": Values{"roleARN": "arn:aws:iam::1:role/promoter"}}},
	}
	for _, component := range []string{"mirror", "auditor", "promoter"} {
		if got := identities(t, writer(jobs), component); !slices.Equal(got, []string{"aws", "azure", "google"}) {
			t.Errorf("%s has the identities %v", component, got)
		}
	}
	if got := identities(t, writer(jobs), "server"); got != nil {
		t.Errorf("the server has the identities %v", got)
	}
}

// identities returns the clouds for which a component's pod has tokens. It checks first that the parts of the pod fit
// together.
func identities(t *testing.T, v Values, component string) []string {
	t.Helper()
	text, err := Template(t, "", v)
	if err != nil {
		t.Fatal(err)
	}
	all := Objects(t, text)
	at := slices.IndexFunc(all, func(o Object) bool {
		pod, metadata := o.Pod()
		return pod != nil && Get(metadata, "labels", "app.kubernetes.io/component") == component
	})
	pod, _ := all[at].Pod()
	tokens := map[string]string{} // audiences by the path of the file
	var files []string
	volumes, _ := pod["volumes"].([]any)
	mounts, _ := Get(pod, "containers", 0, "volumeMounts").([]any)
	for _, v := range volumes {
		sources, _ := Get(v, "projected", "sources").([]any)
		for _, source := range sources {
			mount := mounts[slices.IndexFunc(mounts, func(m any) bool { return asObject(m)["name"] == asObject(v)["name"] })]
			dir := asObject(mount).Text("mountPath")
			if token := asObject(Get(source, "serviceAccountToken")); token != nil {
				tokens[path.Join(dir, token.Text("path"))] = token.Text("audience")
			}
			if item := asObject(Get(source, "configMap", "items", 0)); item != nil {
				files = append(files, path.Join(dir, item.Text("path")))
				google(t, Find(t, all, "ConfigMap", asObject(source).Text("configMap", "name")).Text("data", item.Text("key")), tokens)
			}
		}
	}
	var found []string
	env, _ := Get(pod, "containers", 0, "env").([]any)
	for _, e := range env {
		value := asObject(e).Text("value")
		switch name := asObject(e).Text("name"); name {
		case "AWS_WEB_IDENTITY_TOKEN_FILE":
			found = append(found, "aws")
			if tokens[value] != "sts.amazonaws.com" {
				t.Errorf("%s is %s, of the tokens %v", name, value, tokens)
			}
		case "AZURE_FEDERATED_TOKEN_FILE":
			found = append(found, "azure")
			if tokens[value] != "api://AzureADTokenExchange" {
				t.Errorf("%s is %s, of the tokens %v", name, value, tokens)
			}
		case "GOOGLE_APPLICATION_CREDENTIALS":
			found = append(found, "google")
			if !slices.Contains(files, value) {
				t.Errorf("%s is %s, of the files %v", name, value, files)
			}
		}
	}
	if len(found) != len(tokens) {
		t.Errorf("%s: the environment names %v, there are tokens %v", component, found, tokens)
	}
	return found
}

// google checks that the configuration of a federated identity fits the tokens.
func google(t *testing.T, text string, tokens map[string]string) {
	t.Helper()
	var account struct {
		Type     string
		Audience string
		Source   struct{ File string } `json:"credential_source"`
	}
	if err := json.Unmarshal([]byte(text), &account); err != nil {
		t.Fatal(err)
	}
	if account.Type != "external_account" || tokens[account.Source.File] != "https:"+account.Audience || !strings.HasPrefix(account.Audience, "//iam.googleapis.com/projects/") {
		t.Errorf("%+v, tokens %v", account, tokens)
	}
}
