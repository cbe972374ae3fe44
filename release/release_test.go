package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		args string
		want string // the platforms, or part of the error
		bad  bool
	}{
		{args: "-dist d", want: "[linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64]"},
		{args: "-image i -platforms linux/arm64,darwin/arm64 -version v1", want: "[linux/arm64 darwin/arm64]"},
		{args: "", want: "nothing to do", bad: true},
		{args: "-dist d more", want: `unknown argument "more"`, bad: true},
		{args: "-dust d", want: "-dust", bad: true},
		{args: "-dist d -platforms linux", want: "want OS/ARCH", bad: true},
		{args: "-dist d -platforms linux/arm/v7", want: "want OS/ARCH", bad: true},
		{args: "-dist d -platforms linux/arm64,linux/arm64", want: "twice", bad: true},
		{args: "-image i -platforms darwin/arm64", want: "-image needs a linux platform", bad: true},
		{args: "-dist d -version a/b", want: `version "a/b"`, bad: true},
		{args: "-dist d -version -X", want: `version "-X"`, bad: true},
	} {
		t.Run(c.args, func(t *testing.T) {
			o, err := parse(strings.Fields(c.args), io.Discard)
			if c.bad {
				if !errors.Is(err, errUsage) || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("error %v, want wrong usage: %s", err, c.want)
				}
				return
			}
			if got := fmt.Sprint(o.platforms); err != nil || got != c.want {
				t.Errorf("platforms %s, %v, want %s", got, err, c.want)
			}
		})
	}
	var help strings.Builder
	if _, err := parse([]string{"-h"}, &help); !errors.Is(err, flag.ErrHelp) || !strings.Contains(help.String(), "-platforms LIST") {
		t.Errorf("-h: %v, %s", err, &help)
	}
}

func TestDescribe(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	a, err := describe(context.Background(), "v1.2.3")
	if err != nil || a.version != "v1.2.3" || a.created != testAbout.created || a.created.Location() != time.UTC {
		t.Errorf("described as %+v, %v", a, err)
	}
	for _, bad := range []string{"yesterday", "-1", "1.5"} {
		t.Run(bad, func(t *testing.T) {
			t.Setenv("SOURCE_DATE_EPOCH", bad)
			if _, err := describe(context.Background(), "v1.2.3"); err == nil || !strings.Contains(err.Error(), bad) {
				t.Errorf("SOURCE_DATE_EPOCH=%s: error %v", bad, err)
			}
		})
	}
	t.Setenv("SOURCE_DATE_EPOCH", "")
	t.Chdir(t.TempDir()) // no checkout
	if _, err := describe(context.Background(), "v1.2.3"); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
		t.Errorf("without git: error %v, want one that names SOURCE_DATE_EPOCH", err)
	}
	if _, err := describe(context.Background(), ""); err == nil || !strings.Contains(err.Error(), "-version") {
		t.Errorf("without git: error %v, want one that names -version", err)
	}
}

func TestDist(t *testing.T) {
	dir := t.TempDir()
	t.Chdir("..") // to where the documents are
	if err := writeDist(dir, testAbout, allStandIns()); err != nil {
		t.Fatal(err)
	}
	files := tree(t, dir)
	want := []string{
		"SHA256SUMS", "kontor_v1.2.3.spdx.json", "kontor_v1.2.3_darwin_arm64.tar.gz", "kontor_v1.2.3_linux_amd64.tar.gz",
		"kontor_v1.2.3_linux_arm64.tar.gz", "kontor_v1.2.3_windows_amd64.zip",
	}
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
		t.Fatalf("files %q, want %q", got, want)
	}
	var sums strings.Builder // the form of sha256sum -c
	for _, name := range want[1:] {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256([]byte(files[name])), name)
	}
	if files["SHA256SUMS"] != sums.String() {
		t.Errorf("SHA256SUMS:\n%s\nwant\n%s", files["SHA256SUMS"], &sums)
	}

	unpacked := map[string]string{}
	if err := unpack([]byte(files["kontor_v1.2.3_darwin_arm64.tar.gz"]), "", unpacked); err != nil {
		t.Fatal(err)
	}
	base := "kontor_v1.2.3_darwin_arm64/"
	if got := unpacked[base+"kontor"]; got != "755 0:0 "+strings.Repeat("darwin/arm64", 10_000) {
		t.Errorf("the archive's program is %.40q", got)
	}
	if !strings.Contains(unpacked[base+"LICENSE"], "Apache License") {
		t.Errorf("the archive has no license: %q", slices.Sorted(maps.Keys(unpacked)))
	}

	zipped := files["kontor_v1.2.3_windows_amd64.zip"]
	z, err := zip.NewReader(strings.NewReader(zipped), int64(len(zipped)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := z.Open("kontor_v1.2.3_windows_amd64/kontor.exe")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(f); err != nil || !bytes.Equal(b, allStandIns()[3].data) {
		t.Errorf("the zip's program is %.40q, %v", b, err)
	}
}

func TestSBOM(t *testing.T) {
	b, err := sbom(testAbout, allStandIns())
	if err != nil {
		t.Fatal(err)
	}
	var doc spdxDocument
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	var got []string
	ids := map[string]bool{"SPDXRef-DOCUMENT": true}
	for _, p := range doc.Packages {
		if ids[p.SPDXID] {
			t.Errorf("%s is there twice", p.SPDXID)
		}
		ids[p.SPDXID] = true
		got = append(got, p.ExternalRefs[0].Locator)
	}
	want := []string{
		"pkg:golang/github.com/kontor-registry/kontor@v1.2.3",
		"pkg:golang/example.org/both@v1.0.0",
		"pkg:golang/example.org/instead@v0.2.0",
		"pkg:golang/example.org/only-darwin/arm64@v2.0.0%2Bincompatible",
		"pkg:golang/example.org/only-linux/amd64@v2.0.0%2Bincompatible",
		"pkg:golang/example.org/only-linux/arm64@v2.0.0%2Bincompatible",
		"pkg:golang/example.org/only-windows/amd64@v2.0.0%2Bincompatible",
		"pkg:golang/stdlib@1.26.0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("packages\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(doc.Relationships) != len(doc.Packages) {
		t.Errorf("%d relationships of %d packages", len(doc.Relationships), len(doc.Packages))
	}
	for _, r := range doc.Relationships {
		if !ids[r.Element] || !ids[r.Related] {
			t.Errorf("relationship %+v names what is not there", r)
		}
	}
	other, err := sbom(testAbout, standIns("linux/amd64"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(other), doc.DocumentNamespace) || doc.DocumentNamespace == "" {
		t.Errorf("two documents have the namespace %q", doc.DocumentNamespace)
	}
	if _, err := sbom(testAbout, []binary{{}}); err == nil {
		t.Error("a binary without modules is no error")
	}
}

// The variables that the linker is told to set must be there: it is silent
// about others.
func TestStampsExist(t *testing.T) {
	for _, stamp := range stamps {
		name, variable := stamp[:strings.LastIndex(stamp, ".")], stamp[strings.LastIndex(stamp, ".")+1:]
		dir := filepath.Join("..", filepath.FromSlash(strings.TrimPrefix(name, module+"/")))
		sources, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(sources, func(path string) bool {
			b, err := os.ReadFile(path)
			return err == nil && bytes.Contains(b, []byte("\nvar "+variable+" "))
		}) {
			t.Errorf("%s declares no variable %s", name, variable)
		}
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Path != "" && info.Main.Path != module {
		t.Errorf("the module is %s, not %s", info.Main.Path, module)
	}
}
