package images_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/lifecycle"
)

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// The forms of the AWS CLI: version 2 with ISO 8601 and an offset, version 1
// and cli_timestamp_format=wire with seconds; --query for the list alone.
func TestParse(t *testing.T) {
	at := time.Date(2024, 5, 1, 10, 0, 0, 123e6, time.UTC)
	want := []lifecycle.Image{
		{
			Digest: "sha256:a", Tags: []string{"b", "a"}, PushedAt: at, LastPulledAt: at, LastActivatedAt: at, LastArchivedAt: at,
			Status: lifecycle.StatusArchived, MediaType: "application/vnd.oci.image.manifest.v1+json", SizeBytes: 7, Subject: "sha256:s",
		},
		{Digest: "sha256:b"},
	}
	const iso, wire = `"2024-05-01T12:00:00.123000+02:00"`, `1714557600.123`
	list := func(when string) string {
		return strings.ReplaceAll(`[{"registryId": "000000000000", "repositoryName": "x", "imageDigest": "sha256:a", "imageTags": ["b", "a"],
			"imageSizeInBytes": 7, "imagePushedAt": AT, "lastRecordedPullTime": AT, "lastActivatedAt": AT, "lastArchivedAt": AT,
			"imageStatus": "ARCHIVED", "imageManifestMediaType": "application/vnd.oci.image.manifest.v1+json", "subjectManifestDigest": "sha256:s", "imageScanStatus": {"status": "x"}},
			{"registryId": "000000000000", "repositoryName": "x", "imageDigest": "sha256:b", "imagePushedAt": null}]`, "AT", when)
	}
	for name, text := range map[string]string{
		"version 2":  `{"imageDetails": ` + list(iso) + `}`,
		"version 1":  `{"imageDetails": ` + list(wire) + `, "nextToken": null}`,
		"list alone": " \n" + list(iso),
	} {
		t.Run(name, func(t *testing.T) {
			s, err := images.Parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			got, unread := s.Images()
			if diff := cmp.Diff(want, got); diff != "" || len(unread) > 0 || s.Repository != "x" || !s.Kontor {
				t.Errorf("%v %v %v (-want +got):\n%s", unread, s.Repository, s.Kontor, diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		``:                                       "not what `aws ecr describe-images` prints",
		`{}`:                                     "imageDetails is missing",
		`null`:                                   "imageDetails is missing",
		`{"imageDetails": {}}`:                   "not what",
		`{"imageDetails": [{}]}`:                 "imageDetails[0] has no imageDigest",
		`{"imageDetails": [], "NextToken": "x"}`: "one page of several",
		`[{"imageDigest": "a"}, {"imageDigest":"a"}]`:                                                "image a is listed twice",
		`[{"imageDigest": "a", "repositoryName": "x"}, {"imageDigest": "b", "repositoryName": "y"}]`: "more than one repository: x and y",
		`[{"imageDigest": "a", "imagePushedAt": "yesterday"}]`:                                       `"yesterday" is not a time`,
		`[{"imageDigest": "a", "imagePushedAt": 1e300}]`:                                             "is not a time",
		`[{"imageDigest": "a", "imagePushedAt": {}}]`:                                                "is not a time",
	} {
		if _, err := images.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"imageDetails": [{"imageDigest": "sha256:a", "imageTags": ["a"], "imagePushedAt": 1.5E9}]}`), []byte(`{"manifests": [{"digest": "sha256:b"}], "subject": {"digest": "sha256:c"}}`))
	f.Add([]byte(`[{"imageDigest": "sha256:a", "imagePushedAt": "2024-05-01T12:00:00+02:00"}]`), []byte(`[]`))
	f.Fuzz(func(t *testing.T, text, manifest []byte) {
		s, err := images.Parse(text)
		if err != nil {
			return
		}
		if len(s.Details) > 0 {
			s.Manifests = map[string][]byte{s.Details[0].Digest: manifest}
		}
		if all, _ := s.Images(); len(all) != len(s.Details) {
			t.Errorf("%d images of %d", len(all), len(s.Details))
		}
	})
}

// snapshot is one with an index, its two children, one of them a referrer, and
// an index without a manifest.
func snapshot() images.Snapshot {
	index := `{"manifests": [{"digest": "` + digestOf("1") + `"}, {"digest": "` + digestOf("2") + `"}, {"digest": "` + digestOf("2") + `"}], "subject": {"digest": "` + digestOf("3") + `"}}`
	const ociIndex = "application/vnd.oci.image.index.v1+json"
	return images.Snapshot{
		Taken: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Registry: ecr.RegistryID{Account: "111111111111", Region: "eu-west-1"},
		Repository: "team/app", Policy: `{"rules": []}`,
		Details: []images.Detail{
			{Digest: digestOf(index), Tags: []string{"v1"}, MediaType: ociIndex, PushedAt: images.Time{Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)}},
			{Digest: digestOf("1"), SizeBytes: 5}, {Digest: digestOf("2"), Subject: digestOf("1")},
			{Digest: digestOf("lost"), MediaType: ociIndex},
		},
		Manifests: map[string][]byte{digestOf(index): []byte(index)},
	}
}

func TestReferences(t *testing.T) {
	s := snapshot()
	all, unread := s.Images()
	if diff := cmp.Diff([]string{digestOf("lost")}, unread); diff != "" {
		t.Errorf("unread (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{digestOf("1"), digestOf("2")}, all[0].Children); diff != "" || all[0].Subject != digestOf("3") || all[2].Subject != digestOf("1") {
		t.Errorf("children (-want +got):\n%s\nsubjects %q %q", diff, all[0].Subject, all[2].Subject)
	}
}

func TestSaveAndOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	want := snapshot()
	if err := want.Save(dir); err != nil {
		t.Fatal(err)
	}
	got, err := images.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := want.Save(dir); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("saved twice: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "manifests", "odd"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := images.Open(dir); err == nil || !strings.Contains(err.Error(), "odd is not the manifest") {
		t.Errorf("a strange file: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "snapshot.json"), []byte(`{"version": 2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := images.Open(dir); err == nil || !strings.Contains(err.Error(), "version 2, but this kontor reads version 1") {
		t.Errorf("another version: %v", err)
	}
	for _, bad := range []string{"../../evil", "sha256:x/../y"} {
		s := images.Snapshot{Manifests: map[string][]byte{bad: nil}}
		if err := s.Save(filepath.Join(t.TempDir(), "new")); err == nil {
			t.Errorf("a manifest named %q was saved", bad)
		}
	}
}

// Manifests come as they were pushed, with a line's end, by name when somebody
// formatted them, or in an answer of the API.
func TestAddManifests(t *testing.T) {
	for name, text := range map[string]string{
		"x.json":      `{"a": 1}`,
		"deep/y":      "{\"a\": 1}\n",
		"answer.json": `{"images": [{"imageId": {"imageDigest": "` + digestOf(`{"a": 1}`) + `"}, "imageManifest": "{\"a\": 1}"}], "failures": []}`,
		"sha256-" + strings.TrimPrefix(digestOf(`{"a": 1}`), "sha256:") + ".json":  "{\n  \"a\": 1\n}",
		"sha256:" + strings.TrimPrefix(digestOf(`{"a": 1}`), "sha256:") + "":       "{\n  \"a\": 1\n}",
		"manifest." + strings.TrimPrefix(digestOf(`{"a": 1}`), "sha256:") + ".txt": "",
	} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := images.Snapshot{Details: []images.Detail{{Digest: digestOf(`{"a": 1}`)}}}
		strange, err := s.AddManifests(dir)
		if err != nil {
			t.Fatal(err)
		}
		if found := len(s.Manifests) == 1; found != (text != "") || found != (len(strange) == 0) {
			t.Errorf("%s: found %v, strange %v", name, found, strange)
		}
	}
	s := images.Snapshot{}
	if _, err := s.AddManifests("none"); err == nil || err.Error() != "none does not exist" {
		t.Errorf("no folder: %v", err)
	}
}
