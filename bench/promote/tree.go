package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"ociproxy/internal/manifest"
)

// The shape of the tree.
const (
	projects     = 100
	destinations = 20
	images       = 5
)

// generate writes a thin tree. Every digest has one tag.
func generate(dir string, digests int) error {
	rng := rand.NewChaCha8([32]byte{1})
	for p := range projects {
		project := fmt.Sprintf("staging-%03d", p)
		err := write(filepath.Join(dir, manifest.ManifestsDir, project, manifest.ManifestFile), func(w *bufio.Writer) {
			fmt.Fprintf(w, "# owners: team-%03d\nregistries:\n- name: staging.example/%s\n  src: true\n\n", p, project)
			for d := range destinations {
				fmt.Fprintf(w, "- name: region-%02d.production.example/images/%s\n  service-account: promoter@production.example\n", d, project)
			}
		})
		if err != nil {
			return err
		}
		err = write(filepath.Join(dir, manifest.ImagesDir, project, manifest.ImagesFile), func(w *bufio.Writer) {
			for i := range images {
				fmt.Fprintf(w, "- name: component-%d\n  dmap:\n", i)
				for n := range digests {
					var sum [32]byte
					_, _ = rng.Read(sum[:]) // never fails
					fmt.Fprintf(w, "    \"sha256:%s\": [\"v1.%d.%d\"]\n", hex.EncodeToString(sum[:]), n/10, n%10)
				}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func write(name string, fill func(*bufio.Writer)) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	fill(w)
	err = w.Flush()
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
