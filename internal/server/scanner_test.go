package server

import (
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/scanning"
)

// The event of a scan has what ECR's has: all tags, the status and the counts.
func TestScanEvent(t *testing.T) {
	in := ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}
	m, err := events.Render(scanEvent(scanning.Finished{
		At: in.Repo("app"), Digest: ecr.DigestOf([]byte("image")), Tags: []ecr.Tag{"latest", "v1"}, Time: time.Unix(0, 0), Status: ecr.ScanComplete,
		Counts: map[ecr.Severity]int{"HIGH": 2},
	}), events.EventBridge)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"ECR Image Scan"`, `"image-tags":["latest","v1"]`, `"scan-status":"COMPLETE"`, `"HIGH":2`} {
		if !strings.Contains(string(m.Body), want) {
			t.Errorf("%s lacks %s", m.Body, want)
		}
	}
}
