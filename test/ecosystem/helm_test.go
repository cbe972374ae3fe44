package ecosystem

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// helm pushes a chart, finds its newest version, and pulls what was pushed. A version
// with build metadata has a tag in which "_" stands for "+".
func TestHelm(t *testing.T) {
	for login, in := range map[string]func(w *world, host string){
		"with the login of docker": func(w *world, host string) {},
		"with a login of helm": func(w *world, host string) {
			w.pipe(w.password(), helmBin, "registry", "login", host, "--username", "AWS", "--password-stdin", "--plain-http")
			if err := os.Remove(filepath.Join(w.home, ".docker", "config.json")); err != nil {
				w.t.Fatal(err)
			}
		},
	} {
		t.Run(login, func(t *testing.T) {
			w := start(t)
			w.deploy("ecr_repositories:\n  charts/website: {}\n")
			w.chart("1.2.3+build.4", "first")
			chart := "oci://" + w.staging + "/charts/website"
			in(w, w.staging)

			// On ECR, too, the repository has to exist.
			w.fails("The repository with name 'elsewhere/website' does not exist in the registry with id '111111111111'",
				helmBin, "push", "website-1.2.3+build.4.tgz", "oci://"+w.staging+"/elsewhere", "--plain-http")
			w.ok(helmBin, "push", "website-1.2.3+build.4.tgz", "oci://"+w.staging+"/charts", "--plain-http")
			pushed := w.read("website-1.2.3+build.4.tgz")

			w.chart("1.10.0", "second")
			w.ok(helmBin, "push", "website-1.10.0.tgz", "oci://"+w.staging+"/charts", "--plain-http")
			if got := w.ok(helmBin, "show", "chart", chart, "--plain-http"); !strings.Contains(got, "version: 1.10.0\n") {
				t.Errorf("the newest version is\n%s", got)
			}
			if got := w.ok(helmBin, "template", chart, "--plain-http", "--version", "~1.2"); !strings.Contains(got, "text: first\n") {
				t.Errorf("the chart of 1.2 has\n%s", got)
			}
			w.mkdir("pulled")
			w.ok(helmBin, "pull", chart, "--plain-http", "--version", "1.2.3+build.4", "--destination", "pulled")
			if got := w.read("pulled/website-1.2.3+build.4.tgz"); !bytes.Equal(got, pushed) {
				t.Errorf("pulled %d bytes that are not the %d pushed", len(got), len(pushed))
			}

			w.chart("1.2.3+build.4", "changed")
			w.fails("The image tag '1.2.3_build.4' already exists in the 'charts/website' repository and cannot be overwritten because the tag is immutable.",
				helmBin, "push", "website-1.2.3+build.4.tgz", "oci://"+w.staging+"/charts", "--plain-http")
		})
	}
}

// chart packages a chart into a file in the folder.
func (w *world) chart(version, text string) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Join(w.home, "website", "templates"), 0o700); err != nil {
		w.t.Fatal(err)
	}
	w.write("website/Chart.yaml", "apiVersion: v2\nname: website\nversion: "+version+"\n")
	w.write("website/templates/config.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: website}\ndata:\n  text: "+text+"\n")
	w.ok(helmBin, "package", "website")
}
