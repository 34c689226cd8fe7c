package credential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/types"
	"github.com/docker/docker-credential-helpers/client"
	"github.com/docker/docker-credential-helpers/credentials"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"ociproxy/internal/command"
)

// DockerKeychain reads credentials where [authn.DefaultKeychain] does: in Docker's config.json, else in Podman's
// auth.json, or from the programs docker-credential-NAME that these files name. When such a program runs longer than
// within, it is killed together with everything that it started.
func DockerKeychain(within time.Duration) authn.Keychain {
	return &dockerKeychain{within: within, turn: make(chan struct{}, 1)}
}

type dockerKeychain struct {
	within time.Duration
	turn   chan struct{} // helpers run one at a time: some ask the user's keyring
}

// Resolve implements [authn.Keychain].
func (k *dockerKeychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), target)
}

// ResolveContext implements [authn.ContextKeychain].
func (k *dockerKeychain) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	file, err := dockerFile()
	if err != nil || file == nil {
		return authn.Anonymous, err
	}
	for _, key := range []string{target.String(), target.RegistryStr()} {
		if key == name.DefaultRegistry {
			key = authn.DefaultAuthKey
		}
		found, err := k.get(ctx, file, key)
		if err != nil {
			return nil, err
		}
		if found.ServerAddress = ""; found != (types.AuthConfig{}) {
			return authn.FromConfig(authn.AuthConfig{Username: found.Username, Password: found.Password, Auth: found.Auth,
				IdentityToken: found.IdentityToken, RegistryToken: found.RegistryToken}), nil
		}
	}
	return authn.Anonymous, nil
}

// dockerFile returns the file that has credentials, or names the programs that have them; nil when there is none.
func dockerFile() (*configfile.ConfigFile, error) {
	home, err := os.UserHomeDir()
	docker := err == nil && isFile(filepath.Join(home, ".docker/config.json"))
	if dir := os.Getenv("DOCKER_CONFIG"); docker || dir != "" && isFile(filepath.Join(dir, "config.json")) {
		return config.Load(dir)
	}
	places := []string{os.Getenv("REGISTRY_AUTH_FILE")}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		places = append(places, filepath.Join(dir, "containers/auth.json"))
	}
	if dir := os.Getenv("XDG_CONFIG_HOME"); dir != "" {
		places = append(places, filepath.Join(dir, "containers/auth.json"))
	} else if home != "" {
		places = append(places, filepath.Join(home, ".config/containers/auth.json"))
	}
	for _, place := range places {
		if !isFile(place) {
			continue
		}
		f, err := os.Open(place) //nolint:gosec // the environment names it
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return config.LoadFromReader(f)
	}
	return nil, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return path != "" && err == nil && !info.IsDir()
}

// get does what [configfile.ConfigFile.GetAuthConfig] does, but its helpers cannot hang.
func (k *dockerKeychain) get(ctx context.Context, file *configfile.ConfigFile, key string) (types.AuthConfig, error) {
	helper, named := file.CredentialHelpers[key]
	if !named {
		helper = file.CredentialsStore
	}
	if helper == "" {
		return file.GetAuthConfig(key)
	}
	select {
	case k.turn <- struct{}{}:
	case <-ctx.Done():
		return types.AuthConfig{}, context.Cause(ctx)
	}
	defer func() { <-k.turn }()
	run := &helperRun{ctx: ctx, name: "docker-credential-" + helper, within: k.within}
	found, err := client.Get(func(args ...string) client.Program {
		run.args = args
		return run
	}, key)
	switch {
	case run.failed != nil && credentials.IsErrCredentialsNotFound(err):
		return types.AuthConfig{}, nil
	case run.failed != nil:
		return types.AuthConfig{}, fmt.Errorf("credential helper for %s: %w", key, run.failed)
	case err != nil:
		// The error does not contain err, whose text may have credentials.
		return types.AuthConfig{}, fmt.Errorf("credential helper for %s: %s: it gave no credentials", key, run.name)
	}
	if found.Username == "<token>" {
		return types.AuthConfig{IdentityToken: found.Secret}, nil
	}
	return types.AuthConfig{Username: found.Username, Password: found.Secret}, nil
}

// helperRun is a run of a helper. It is a [client.Program].
type helperRun struct {
	ctx    context.Context
	name   string
	args   []string
	within time.Duration
	input  bytes.Buffer
	failed error
}

// Input implements [client.Program].
func (h *helperRun) Input(in io.Reader) { _, _ = h.input.ReadFrom(in) }

// Output implements [client.Program]. Helpers write the reason for a failure to their standard output.
func (h *helperRun) Output() ([]byte, error) {
	out, err := command.Run(h.ctx, command.Command{Name: h.name, Args: h.args, Stdin: &h.input, Within: h.within})
	if h.failed = err; err != nil && !errors.Is(err, command.ErrLate) {
		if text := strings.TrimSpace(string(out[:min(len(out), 256)])); text != "" {
			h.failed = fmt.Errorf("%w: %q", err, text)
		}
	}
	return out, err
}
