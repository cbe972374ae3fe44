package images_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/testkit/push"
	"github.com/kontor-registry/kontor/lifecycle"
)

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
			s, err := images.Parse(strings.NewReader(text))
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

// Times, digests and texts as scripts and Windows write them.
func TestParseForms(t *testing.T) {
	at := time.Date(2026, 1, 30, 12, 0, 0, 0, time.UTC)
	for _, when := range []string{
		`"2026-01-30 12:00:00+00:00"`, `"2026-01-30 13:00:00+01:00"`, `"2026-01-30 12:00:00.000000+00:00"`, `"2026-01-30T12:00:00+0000"`, `"2026-01-30 12:00:00 UTC"`, `1769774400`, `1769774400.0`, `1769774400000`,
	} {
		s, err := images.Parse(strings.NewReader(`[{"imageDigest": "a", "imagePushedAt": ` + when + `}]`))
		if err != nil || !s.Details[0].PushedAt.Equal(at) {
			t.Errorf("%s: %v, %v", when, s.Details, err)
		}
	}
	hex := strings.Repeat("0a", 32)
	s, err := images.Parse(strings.NewReader(`[{"imageDigest": "` + hex + `", "subjectManifestDigest": "` + strings.ToUpper(hex) + `", "imageTags": null}]`))
	if err != nil || s.Details[0].Digest != "sha256:"+hex || s.Details[0].Subject != strings.ToUpper(hex) {
		t.Errorf("%+v, %v", s.Details, err)
	}
	const text = `{"imageDetails": [{"imageDigest": "sha256:a", "imageTags": ["ä"], "imagePushedAt": 5}]}`
	want, err := images.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	wide := func(order binary.AppendByteOrder, s string) string {
		var b []byte
		for _, u := range utf16.Encode([]rune(s)) {
			b = order.AppendUint16(b, u)
		}
		return string(b)
	}
	for name, text := range map[string]string{
		"UTF-8 with a mark":    "\ufeff" + text,
		"UTF-16LE with a mark": wide(binary.LittleEndian, "\ufeff"+text), "UTF-16BE with a mark": wide(binary.BigEndian, "\ufeff"+text),
		"UTF-16LE": wide(binary.LittleEndian, text), "UTF-16BE": wide(binary.BigEndian, text),
	} {
		got, err := images.Parse(strings.NewReader(text))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

// What is wrong with a text says where, and of which image.
func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		``:                                       "1:1: end of text where a value should be: not what `aws ecr describe-images` prints",
		`{}`:                                     "not what `aws ecr describe-images` prints: imageDetails is missing",
		`null`:                                   "not what `aws ecr describe-images` prints: imageDetails is missing",
		`{"imageIds": []}`:                       "not what `aws ecr describe-images` prints: imageDetails is missing: imageIds are the output of list-images",
		`{"imageDetails": {}}`:                   "1:18: imageDetails: want an array, have object: not what `aws ecr describe-images` prints",
		`[`:                                      "1:2: [0]: end of text where a value should be: not what `aws ecr describe-images` prints",
		`{"imageDetails": [{}]}`:                 "1:19: imageDetails[0]: has no imageDigest",
		`{"imageDetails": [], "NextToken": "x"}`: "this is one page of several: run `aws ecr describe-images` without --no-paginate and --max-items",
		"[{\"imageDigest\": \"a\"},\n {\"imageDigest\":\"a\"}]":                                      "2:2: [1]: image a is listed twice: is this more than one repository?",
		`[{"imageDigest": "a", "repositoryName": "x"}, {"imageDigest": "b", "repositoryName": "y"}]`: "1:47: [1]: the images are those of more than one repository: x and y",
		`[{"imageDigest": "a", "imagePushedAt": "yesterday"}]`:                                       `1:40: [0].imagePushedAt: "yesterday" is not a time such as 2026-03-01T12:00:00Z (image a)`,
		`[{"imageDigest": "a", "imagePushedAt": "2026-03-01 12:00:00"}]`:                             `1:40: [0].imagePushedAt: "2026-03-01 12:00:00" has no time zone: want a time such as 2026-03-01T12:00:00Z (image a)`,
		`[{"imageDigest": "a", "imagePushedAt": "2026-03-01 12:00:00 EST"}]`:                         `1:40: [0].imagePushedAt: "2026-03-01 12:00:00 EST" is not a time such as 2026-03-01T12:00:00Z (image a)`,
		`[{"imageDigest": "a", "imagePushedAt": 1e300}]`:                                             "1:40: [0].imagePushedAt: 1e300 is not a time in seconds since 1970 (image a)",
		`[{"imageDigest": "a", "imagePushedAt": {}}]`:                                                "1:40: [0].imagePushedAt: want a time such as 2026-03-01T12:00:00Z, have object (image a)",
		`[{"imageDigest": "a", "imagePushedAt": true}]`:                                              "1:40: [0].imagePushedAt: want a time such as 2026-03-01T12:00:00Z, have boolean (image a)",
		`{"imageDetails": [{"imageDigest": "a", "imageTags": ["x", 1]}]}`:                            "1:59: imageDetails[0].imageTags[1]: want a string, have number (image a)",
		`{"imageDetails": [{"imageDigest": "a", "imageTags": ["x", ""]}]}`:                           "1:59: imageDetails[0].imageTags[1]: a tag is not empty (image a)",
		`{"imageDetails": [{"imageDigest": "a", "imageTags": "x"}]}`:                                 "1:53: imageDetails[0].imageTags: want an array, have string (image a)",
		`{"imageDetails": [{"imageDigest": "a", "imageSizeInBytes": "7"}]}`:                          "1:60: imageDetails[0].imageSizeInBytes: want a number, have string (image a)",
		`{"imageDetails": [{"imageDigest": "a", "imageSizeInBytes": -7}]}`:                           "1:60: imageDetails[0].imageSizeInBytes: -7 is not a size in bytes (image a)",
		`{"imageDetails": [{"imageDigest": 7}]}`:                                                     "1:35: imageDetails[0].imageDigest: want a string, have number",
		`{"imageDetails": [7]}`:                                                                      "1:19: imageDetails[0]: want an object, have number",
		`{"imageDetails": [{"imageDigest": "a"}`:                                                     `1:39: imageDetails: end of text where "," or "]" should be`,
		`{"imageDetails": []} x`:                                                                     "1:22: 'x' after the end of the document",
	} {
		if _, err := images.Parse(strings.NewReader(text)); err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", text, err, want)
		}
	}
	_, err := images.Open("-", strings.NewReader("[{\n\"imageTags\": 1}]"))
	if err == nil || err.Error() != "stdin:2:14: [0].imageTags: want an array, have number" {
		t.Errorf("stdin: %v", err)
	}
	if _, err := images.Open("none.json", nil); err == nil || err.Error() != "none.json does not exist" {
		t.Errorf("no file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"imageDetails": [{"imageDigest": "sha256:a", "imageTags": ["a"], "imagePushedAt": 1.5E9}]}`), []byte(`{"manifests": [{"digest": "sha256:b"}], "subject": {"digest": "sha256:c"}}`))
	f.Add([]byte(`[{"imageDigest": "sha256:a", "imagePushedAt": "2024-05-01T12:00:00+02:00"}]`), []byte(`[]`))
	f.Fuzz(func(t *testing.T, text, manifest []byte) {
		s, err := images.Parse(bytes.NewReader(text))
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
	index := `{"manifests": [{"digest": "` + push.DigestOf("1") + `"}, {"digest": "` + push.DigestOf("2") + `"}, {"digest": "` + push.DigestOf("2") + `"}], "subject": {"digest": "` + push.DigestOf("3") + `"}}`
	const ociIndex = "application/vnd.oci.image.index.v1+json"
	return images.Snapshot{
		Taken: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Registry: ecr.RegistryID{Account: "111111111111", Region: "eu-west-1"},
		Repository: "team/app", Policy: `{"rules": []}`,
		Details: []images.Detail{
			{Digest: push.DigestOf(index), Tags: []string{"v1"}, MediaType: ociIndex, PushedAt: images.Time{Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)}},
			{Digest: push.DigestOf("1"), SizeBytes: 5}, {Digest: push.DigestOf("2"), Subject: push.DigestOf("1")},
			{Digest: push.DigestOf("lost"), MediaType: ociIndex},
		},
		Manifests: map[string][]byte{push.DigestOf(index): []byte(index)},
	}
}

func TestReferences(t *testing.T) {
	s := snapshot()
	all, unread := s.Images()
	if diff := cmp.Diff([]string{push.DigestOf("lost")}, unread); diff != "" {
		t.Errorf("unread (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{push.DigestOf("1"), push.DigestOf("2")}, all[0].Children); diff != "" || all[0].Subject != push.DigestOf("3") || all[2].Subject != push.DigestOf("1") {
		t.Errorf("children (-want +got):\n%s\nsubjects %q %q", diff, all[0].Subject, all[2].Subject)
	}
}

func TestSaveAndOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	want := snapshot()
	if err := want.Save(dir); err != nil {
		t.Fatal(err)
	}
	got, err := images.Open(dir, nil)
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
	if _, err := images.Open(dir, nil); err == nil || !strings.Contains(err.Error(), "odd is not the manifest") {
		t.Errorf("a strange file: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "snapshot.json"), []byte(`{"version": 2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := images.Open(dir, nil); err == nil || !strings.Contains(err.Error(), "version 2, but this kontor reads version 1") {
		t.Errorf("another version: %v", err)
	}
	for _, bad := range []string{"../../evil", "sha256:x/../y"} {
		s := images.Snapshot{Manifests: map[string][]byte{bad: nil}}
		if err := s.Save(filepath.Join(t.TempDir(), "new")); err == nil {
			t.Errorf("a manifest named %q was saved", bad)
		}
	}
}

// Manifests come as they were pushed, with a line's end, by name when someone
// formatted them, or in an answer of the API.
func TestAddManifests(t *testing.T) {
	for name, text := range map[string]string{
		"x.json":      `{"a": 1}`,
		"deep/y":      "{\"a\": 1}\n",
		"answer.json": `{"images": [{"imageId": {"imageDigest": "` + push.DigestOf(`{"a": 1}`) + `"}, "imageManifest": "{\"a\": 1}"}], "failures": []}`,
		"sha256-" + strings.TrimPrefix(push.DigestOf(`{"a": 1}`), "sha256:") + ".json":  "{\n  \"a\": 1\n}",
		"sha256:" + strings.TrimPrefix(push.DigestOf(`{"a": 1}`), "sha256:") + "":       "{\n  \"a\": 1\n}",
		"manifest." + strings.TrimPrefix(push.DigestOf(`{"a": 1}`), "sha256:") + ".txt": "",
	} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := images.Snapshot{Details: []images.Detail{{Digest: push.DigestOf(`{"a": 1}`)}}}
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
