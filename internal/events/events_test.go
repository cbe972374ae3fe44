package events_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const (
	image  ecr.Digest = "sha256:7f5b2640fe6fb4f46592dfd3410c4a79dac4f89e4782432e0378abcd1234"
	other  ecr.Digest = "sha256:f98d67af8e53a536502bfc600de3266556b06ed635a32d60aa7a5fe6d7e609d7"
	oci               = "application/vnd.oci.image.manifest.v1+json"
	config            = "application/vnd.oci.image.config.v1+json"
)

func in(region ecr.Region) ecr.RegistryID {
	return ecr.RegistryID{Account: "123456789012", Region: region}
}

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

// The samples are those of the Amazon ECR user guide, "Amazon ECR events and EventBridge":
// events that say the same are written like them, except for what Kontor adds under "kontor".
// (The date of the cache's sample there does not exist, and it is no JSON.)
func TestSamplesOfECR(t *testing.T) {
	activated := at("2025-10-10T19:13:02.74Z")
	for name, e := range map[string]events.Event{
		"push":   {ID: "13cde686-328b-6117-af20-0e5566167482", Type: events.ImagePushed, At: at("2019-11-16T01:54:34.5Z"), Registry: in("us-west-2"), Repository: "my-repository-name", Digest: image, Tag: "latest", MediaType: oci, ArtifactType: config},
		"delete": {ID: "dd3b46cb-2c74-f49e-393b-28286b67279d", Type: events.ImageDeleted, At: at("2019-11-16T02:01:05Z"), Registry: in("us-west-2"), Repository: "my-repository-name", Digest: image, Tags: []ecr.Tag{"latest", "v2"}},
		"cache": {ID: "85fc3613-e913-7fc4-a80c-a3753e4aa9ae", Type: events.CachePulled, At: at("2023-02-28T02:36:48Z"), Registry: in("us-west-2"), Repository: "docker-hub/alpine",
			Prefix: "docker-hub", Upstream: "public.ecr.aws", Tag: "3.17.2", Digest: "sha256:4aa08ef415aecc80814cb42fa41b658480779d80c77ab15EXAMPLE"},
		"scan": {ID: "85fc3613-e913-7fc4-a80c-a3753e4aa9ae", Type: events.ImageScanned, At: at("2019-10-29T02:36:48Z"), Registry: in("us-east-1"), Repository: "my-repository-name",
			Digest: image, ScanStatus: "COMPLETE", Findings: map[string]int{"CRITICAL": 10, "MEDIUM": 9}},
		"archive": {ID: "4f5ec4d5-4de4-7aad-a046-EXAMPLE", Type: events.ImageArchived, At: at("2019-08-06T00:58:09Z"), Registry: in("us-east-1"), Repository: "ubuntu", Digest: other, MediaType: oci, ArtifactType: config, Tags: []ecr.Tag{"old"}},
		"restore": {ID: "7b8fc5e6-5ef5-8bbe-b157-EXAMPLE", Type: events.ImageActivated, At: at("2019-08-06T01:15:22Z"), Registry: in("us-east-1"), Repository: "ubuntu", Digest: other, MediaType: oci, ArtifactType: config,
			ActivatedAt: activated},
		"restore-referrer": {ID: "8c9gd6f7-6fg6-9ccf-c268-EXAMPLE", Type: events.ImageActivated, At: at("2019-08-06T01:20:45Z"), Registry: in("us-east-1"), Repository: "sbom", Digest: other, Subject: image,
			MediaType: "application/vnd.cncf.oras.artifact.manifest.v1+json", ArtifactType: "text/sbom+json", ActivatedAt: activated},
		"replicate": {ID: "c8b133b1-6029-ee73-e2a1-4f466b8ba999", Type: events.ImageReplicated, At: at("2024-05-08T20:44:54Z"), Registry: in("us-east-1"), Repository: "docker-hub/alpine", Digest: image, Tag: "3.17.2", From: in("us-west-2")},
		"replicate-failed": {ID: "d9c244c2-7130-ff84-f3b2-5g577c9cb000", Type: events.ImageReplicated, At: at("2024-05-08T20:45:12Z"), Registry: in("us-east-1"), Repository: "my-app", Digest: image, Tag: "latest", From: in("us-west-2"),
			Failure: "the destination is full"},
	} {
		t.Run(name, func(t *testing.T) {
			sample, err := os.ReadFile(filepath.Join("testdata", "aws", name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			m, err := events.Render(e, events.EventBridge)
			if err != nil {
				t.Fatal(err)
			}
			want, got := object(t, sample), object(t, m.Body)
			detail := got["detail"].(map[string]any)
			added, ok := detail["kontor"].(map[string]any)
			if !ok || added["event"] != string(e.Type) {
				t.Errorf("kontor = %v", detail["kontor"])
			}
			delete(detail, "kontor")
			delete(detail, "failure-reason") // ECR's sample has none
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func object(t *testing.T, b []byte) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return v
}

// The attributes are those that the CloudEvents specification 1.0.2 requires, and those by
// which consumers of ECR's pushes know them.
func TestCloudEvents(t *testing.T) {
	e := events.Event{ID: "id-1", Type: events.ImagePushed, At: at("2026-03-01T12:00:00.25Z"), Registry: in("us-east-1"), Repository: "team/app", Digest: image, Tag: "v1", Actor: "arn:aws:iam::123456789012:user/ci"}
	m, err := events.Render(e, events.CloudEvents)
	if err != nil {
		t.Fatal(err)
	}
	data := map[string]any{"event": "image.pushed", "repositoryName": "team/app", "imageDigest": string(image), "imageTag": "v1", "registryId": "123456789012", "region": "us-east-1",
		"actor": "arn:aws:iam::123456789012:user/ci"}
	want := map[string]any{
		"specversion": "1.0", "id": "id-1", "type": "com.amazon.ecr.image.push", "source": "urn:aws:ecr:us-east-1:123456789012:repository/team/app",
		"subject": "team/app:v1", "time": "2026-03-01T12:00:00.25Z", "datacontenttype": "application/json", "data": data,
	}
	if diff := cmp.Diff(want, object(t, m.Body)); diff != "" || m.ContentType != "application/cloudevents+json; charset=utf-8" {
		t.Error(m.ContentType, diff)
	}
	m, err = events.Render(e, events.CloudEventsBinary)
	if err != nil {
		t.Fatal(err)
	}
	headers := map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "id-1", "Ce-Type": "com.amazon.ecr.image.push", "Ce-Source": "urn:aws:ecr:us-east-1:123456789012:repository/team/app",
		"Ce-Time": "2026-03-01T12:00:00.25Z", "Ce-Subject": "team%2Fapp:v1"}
	if diff := cmp.Diff(headers, m.Headers) + cmp.Diff(data, object(t, m.Body)); diff != "" || m.ContentType != "application/json" {
		t.Error(m.ContentType, diff)
	}
	// Each type has a form, and none that could be taken for another's.
	for _, typ := range append(slices.Clone(events.Types), events.EventsDropped, events.Test) {
		m, err := events.Render(events.Event{ID: "x", Type: typ, Registry: in("us-east-1")}, events.CloudEvents)
		if err != nil {
			t.Fatal(err)
		}
		got := object(t, m.Body)["type"].(string)
		if !strings.HasPrefix(got, "com.amazon.ecr.image.") && got != "io.github.kontor-registry."+string(typ) {
			t.Errorf("%s is %s", typ, got)
		}
	}
}

// What no peer tells: which rule expired an image, which statement denied, whose lease it was.
func TestReasonsAreNamed(t *testing.T) {
	for name, test := range map[string]struct {
		e      events.Event
		source string
		kind   string
		kontor map[string]any
	}{
		"expiry": {events.Event{Type: events.ImageExpired, Rule: 3, Reason: "image is older than 14 days"}, "aws.ecr", "ECR Image Action", map[string]any{"rulePriority": 3.0, "reason": "image is older than 14 days"}},
		"denial": {events.Event{Type: events.PushDenied, Action: "ecr:PutImage", Statement: "repository policy, statement 1"}, "kontor", "Kontor Push Denied",
			map[string]any{"action": "ecr:PutImage", "statement": "repository policy, statement 1"}},
		"lease": {events.Event{Type: events.LeaseTaken, Workload: "Deployment shop/web", Collector: "prod"}, "kontor", "Kontor Lease Taken", map[string]any{"workload": "Deployment shop/web", "collector": "prod"}},
	} {
		t.Run(name, func(t *testing.T) {
			test.e.Registry, test.e.Repository = in("us-east-1"), "app"
			m, err := events.Render(test.e, events.EventBridge)
			if err != nil {
				t.Fatal(err)
			}
			got := object(t, m.Body)
			kontor := got["detail"].(map[string]any)["kontor"].(map[string]any)
			if got["source"] != test.source || got["detail-type"] != test.kind {
				t.Errorf("%v, %v", got["source"], got["detail-type"])
			}
			for k, v := range test.kontor {
				if kontor[k] != v {
					t.Errorf("%s = %v", k, kontor[k])
				}
			}
		})
	}
}

func TestWants(t *testing.T) {
	e := events.Event{Type: events.ImagePushed, Repository: "team/app"}
	for name, test := range map[string]struct {
		r     events.Receiver
		wants bool
	}{
		"all":                 {events.Receiver{}, true},
		"type":                {events.Receiver{Types: []string{"tag.moved", "image.pushed"}}, true},
		"types":               {events.Receiver{Types: []string{"image.*"}}, true},
		"other types":         {events.Receiver{Types: []string{"lease.*"}}, false},
		"repository":          {events.Receiver{Repositories: []string{"team/*"}}, true},
		"other repository":    {events.Receiver{Repositories: []string{"team"}}, false},
		"type, not the other": {events.Receiver{Types: []string{"image.*"}, Repositories: []string{"web/*"}}, false},
	} {
		if got := test.r.Wants(e); got != test.wants {
			t.Errorf("%s: %v", name, got)
		}
	}
	if (events.Receiver{Repositories: []string{"*"}}).Wants(events.Event{Type: events.LeaseOverdue}) {
		t.Error("an event of no repository is for who asked for repositories")
	}
}

func TestReceiversInSettings(t *testing.T) {
	s := meta.RegistrySettings{Settings: map[string]string{"other": "x"}}
	list := []events.Receiver{{ID: "2", Name: "b", Format: events.EventBridge, Sealed: []byte{1}}, {ID: "1", Name: "a", Types: []string{"image.*"}}}
	if err := events.SetReceivers(&s, list); err != nil {
		t.Fatal(err)
	}
	got, err := events.ReceiversOf(s)
	if diff := cmp.Diff([]events.Receiver{list[1], list[0]}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if err := events.SetReceivers(&s, nil); err != nil || len(s.Settings) != 1 {
		t.Error(s, err)
	}
	if _, err := events.ReceiversOf(meta.RegistrySettings{Settings: map[string]string{events.Setting: "{"}}); err == nil {
		t.Error("broken settings are no receivers")
	}
}

func TestPatterns(t *testing.T) {
	for _, p := range []string{"image.*", "*", "lease.taken"} {
		if err := events.ParsePatterns([]string{p}); err != nil {
			t.Error(err)
		}
	}
	if err := events.ParsePatterns([]string{"image.pulled"}); err == nil || !strings.Contains(err.Error(), "image.pushed") {
		t.Error(err)
	}
	for p, ok := range map[string]bool{"team/*": true, "*": true, "app": true, "*/app": true, "Team": false, "a b": false} {
		if err := events.ParseRepositories([]string{p}); (err == nil) != ok {
			t.Errorf("%s: %v", p, err)
		}
	}
}
