//go:build unix

package credential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"ociproxy/internal/command"
)

// program puts a script at the beginning of PATH.
func program(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

// docker writes a config.json, and makes it the only one.
func docker(t *testing.T, text string) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("REGISTRY_AUTH_FILE", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("XDG_CONFIG_HOME", "")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", dir)
}

// resolve asks a keychain. It allows a minute.
func resolve(t *testing.T, k authn.Keychain, registry string) (*authn.AuthConfig, error) {
	t.Helper()
	reg, err := name.NewRegistry(registry)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	auth, err := authn.Resolve(ctx, k, reg.Repo("image"))
	if ctx.Err() != nil {
		t.Fatal("it hung")
	}
	if err != nil {
		return nil, err
	}
	return auth.Authorization()
}

// Docker's helpers are called as Docker calls them. A helper that hangs is killed, and the error names it.
func TestDockerHelpers(t *testing.T) {
	const config = `{"credHelpers":{"registry.test":"tester"},"auths":{"plain.test":{"auth":"dXNlcjpwYXNz"},"registry.test":{"auth":"dXNlcjpwYXNz"}}}`
	for name, tt := range map[string]struct {
		config, registry, script string
		user, password, want     string
		late                     bool
	}{
		"gives": {config, "registry.test", `read -r key; printf '{"Username":"u","Secret":"%s"}' "$1 $key"`, "u", "get registry.test", "", false},
		"gives for the host": {config, "registry.test", `read -r key; [ "$key" = registry.test ] || { echo 'credentials not found in native keychain'; exit 1; }
			printf '{"Username":"u","Secret":"s"}'`, "u", "s", "", false},
		"has none":         {config, "registry.test", `echo 'credentials not found in native keychain'; exit 1`, "", "", "", false},
		"the file's own":   {config, "plain.test", `exit 1`, "user", "pass", "", false},
		"unknown":          {config, "other.test", `exit 1`, "", "", "", false},
		"for all":          {`{"credsStore":"tester"}`, "other.test", `printf '{"Username":"u","Secret":"s"}'`, "u", "s", "", false},
		"hangs":            {config, "registry.test", `sleep 1000`, "", "", "docker-credential-tester: within 300ms", true},
		"its child hangs":  {config, "registry.test", `sleep 1000 | cat`, "", "", "docker-credential-tester: within 300ms", true},
		"fails":            {config, "registry.test", `echo 'no session: log in'; exit 1`, "", "", "no session: log in", false},
		"gives no JSON":    {config, "registry.test", `echo SECRET`, "", "", "docker-credential-tester: it gave no credentials", false},
		"is not installed": {strings.ReplaceAll(config, "tester", "nowhere"), "registry.test", `exit 1`, "", "", "docker-credential-nowhere", false},
	} {
		t.Run(name, func(t *testing.T) {
			docker(t, tt.config)
			program(t, "docker-credential-tester", tt.script)
			within := time.Minute
			if tt.late {
				within = 300 * time.Millisecond
			}
			auth, err := resolve(t, DockerKeychain(within), tt.registry)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, command.ErrLate) != tt.late || strings.Contains(err.Error(), "SECRET") {
					t.Errorf("%v; want %q", err, tt.want)
				}
				return
			}
			if err != nil || auth.Username != tt.user || !strings.Contains(auth.Password, tt.password) {
				t.Errorf("%+v, %v; want %s", auth, err, tt.user)
			}
		})
	}
}

// Docker's keychain finds the same files as the library does.
func TestDockerFiles(t *testing.T) {
	for _, where := range []string{"", "HOME/.docker/config.json", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR/containers/auth.json",
		"XDG_CONFIG_HOME/containers/auth.json", "HOME/.config/containers/auth.json", "DOCKER_CONFIG/config.json"} {
		t.Run(where, func(t *testing.T) {
			for _, name := range []string{"HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"} {
				t.Setenv(name, "")
			}
			t.Setenv("HOME", t.TempDir())
			variable, rest, _ := strings.Cut(where, "/")
			dir := t.TempDir()
			file := filepath.Join(dir, rest)
			if where == "REGISTRY_AUTH_FILE" {
				file = filepath.Join(dir, "auth.json")
				dir = file
			}
			if where != "" {
				t.Setenv(variable, dir)
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(`{"auths":{"plain.test":{"auth":"dXNlcjpwYXNz"}}}`), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			ours, err := resolve(t, DockerKeychain(time.Minute), "plain.test")
			theirs, err2 := resolve(t, authn.DefaultKeychain, "plain.test")
			if err != nil || err2 != nil || *ours != *theirs || where != "" && where != "HOME/.docker/config.json" && ours.Username != "user" {
				t.Errorf("%+v, %v; the library: %+v, %v", ours, err, theirs, err2)
			}
		})
	}
}

// Google's registries are asked with Google's identity. Neither the metadata server nor gcloud can make the caller
// hang.
func TestGoogle(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	const good = `printf '{"credential":{"access_token":"t","token_expiry":"2999-01-01T00:00:00Z"}}'`
	none := filepath.Join(t.TempDir(), "none")
	for name, tt := range map[string]struct {
		registry, metadata, script string
		password, want             string
	}{
		"gcloud":              {"gcr.io", "", good, "t", ""},
		"gcloud hangs":        {"europe-docker.pkg.dev", "", "sleep 1000 | cat", "", "gcloud: within 300ms"},
		"gcloud has none":     {"gcr.io", "", "exit 1", "", ""},
		"gcloud talks":        {"gcr.io", "", "echo SECRET", "", ""},
		"the metadata server": {"gcr.io", mute.Addr().String(), "exit 1", "", "Google's credentials: no credentials in time"},
		"another host":        {"registry.test", mute.Addr().String(), "sleep 1000", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HOME", t.TempDir())
			t.Setenv("GCE_METADATA_HOST", tt.metadata)
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
			if tt.metadata == "" {
				t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", none) // this ends the search
			}
			program(t, "gcloud", tt.script)
			var log bytes.Buffer
			k := GoogleKeychain(300*time.Millisecond, slog.New(slog.NewTextHandler(&log, nil)))
			for range 2 {
				auth, err := resolve(t, k, tt.registry)
				if tt.want != "" {
					if err == nil || !strings.Contains(err.Error(), tt.want) {
						t.Errorf("%v; want %q", err, tt.want)
					}
					continue
				}
				if err != nil || auth.Password != tt.password {
					t.Errorf("%+v, %v", auth, err)
				}
			}
			// The log reports once what failed. It does not contain the output, which may be a token.
			failed := tt.want == "" && tt.password == "" && isGoogle(tt.registry)
			if lines := strings.Count(log.String(), "\n"); failed != (lines == 1) || lines > 1 || strings.Contains(log.String(), "SECRET") || failed && !strings.Contains(log.String(), "gcloud") {
				t.Errorf("the log says %q", &log)
			}
		})
	}
}

// Within gives up on a function that ignores its context.
func TestWithin(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	hang := func() (int, error) { <-stop; return 0, nil }
	if _, err := Within(t.Context(), time.Millisecond, "who", hang); !errors.Is(err, ErrLate) || !strings.HasPrefix(err.Error(), "who: ") {
		t.Errorf("%v, want ErrLate", err)
	}
	ended, cancel := context.WithCancelCause(t.Context())
	errEnough := errors.New("enough")
	cancel(errEnough)
	if _, err := Within(ended, time.Hour, "who", hang); !errors.Is(err, errEnough) {
		t.Errorf("%v, want %v", err, errEnough)
	}
	if n, err := Within(t.Context(), time.Hour, "who", func() (int, error) { return 7, fmt.Errorf("x") }); n != 7 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
}
