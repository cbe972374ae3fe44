package scanning

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Reports in the forms that Trivy 0.74 and Grype 0.10x print. Those of Harbor's API are
// read in the tests of adapters.
func TestParse(t *testing.T) {
	const trivy = `{"SchemaVersion": 2, "Trivy": {"Version": "0.74.0"}, "ReportID": "01a2", "ArtifactType": "container_image",
		"Metadata": {"OS": {"Family": "debian", "Name": "13.1"}},
		"Results": [{"Target": "app (debian 13.1)", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": [
			{"VulnerabilityID": "CVE-2026-0001", "PkgName": "openssl", "InstalledVersion": "3.5.1-1", "FixedVersion": "3.5.2-1", "Status": "fixed",
				"SeveritySource": "debian", "PrimaryURL": "https://avd.aquasec.com/nvd/cve-2026-0001", "Title": "a title", "Description": "what it is", "Severity": "CRITICAL",
				"CVSS": {"ghsa": {"V40Vector": "CVSS:4.0/AV:N", "V40Score": 9.3}, "nvd": {"V3Vector": "CVSS:3.1/AV:N", "V3Score": 9.8}}},
			{"VulnerabilityID": "CVE-2026-0002", "PkgName": "zlib1g", "InstalledVersion": "1.3", "Title": "a title", "Severity": "UNKNOWN"}]}]}`
	const grype = `{"matches": [
			{"vulnerability": {"id": "GHSA-aaaa", "dataSource": "https://github.com/advisories/GHSA-aaaa", "severity": "High", "description": "d",
				"cvss": [{"vector": "AV:N/AC:L", "metrics": {"baseScore": 5}}, {"vector": "CVSS:3.1/AV:N", "metrics": {"baseScore": 7.5}}],
				"fix": {"versions": ["1.2.3", "2.0.1"], "state": "fixed"}}, "artifact": {"name": "lodash", "version": "1.2.2", "type": "npm"}},
			{"vulnerability": {"id": "CVE-2026-0003", "severity": "Negligible", "fix": {"versions": []}}, "artifact": {"name": "bash", "version": "5.2"}}],
		"source": {"type": "image"}, "descriptor": {"name": "grype", "version": "0.104.0", "db": {"status": {"built": "2026-11-30T06:00:00Z"}}}}`
	tests := []struct {
		name, text string
		want       Report
		err        string
		is         error
	}{
		{name: "trivy", text: trivy, want: Report{Scanner: "Trivy 0.74.0", Findings: []Finding{
			{Name: "CVE-2026-0001", Description: "what it is", URI: "https://avd.aquasec.com/nvd/cve-2026-0001", Severity: ecr.Severity("CRITICAL"),
				Package: "openssl", Version: "3.5.1-1", Fixed: "3.5.2-1", Score: "9.8", Vector: "CVSS:3.1/AV:N"},
			{Name: "CVE-2026-0002", Description: "a title", Severity: ecr.Severity("UNDEFINED"), Package: "zlib1g", Version: "1.3"},
		}}},
		{name: "trivy, nothing found", text: `{"SchemaVersion":2,"Metadata":{"OS":{"Family":"alpine"}},"Results":[{"Target":"a"}]}`, want: Report{Scanner: "Trivy"}},
		{name: "trivy, nothing to scan", text: `{"SchemaVersion":2,"Metadata":{"Size":1}}`, err: "neither an operating system nor packages", is: ErrUnsupported},
		{name: "trivy of another schema", text: `{"SchemaVersion":3}`, err: "schema version 3"},
		{name: "trivy, of another form", text: `{"SchemaVersion":2,"Results":{"a":1}}`, err: "reading Trivy's report"},
		{name: "grype", text: grype, want: Report{Scanner: "Grype 0.104.0", UpdatedAt: time.Date(2026, 11, 30, 6, 0, 0, 0, time.UTC), Findings: []Finding{
			{Name: "GHSA-aaaa", Description: "d", URI: "https://github.com/advisories/GHSA-aaaa", Severity: ecr.Severity("HIGH"), Package: "lodash", Version: "1.2.2",
				Fixed: "1.2.3, 2.0.1", Score: "7.5", Vector: "CVSS:3.1/AV:N"},
			{Name: "CVE-2026-0003", Severity: ecr.Severity("INFORMATIONAL"), Package: "bash", Version: "5.2"},
		}}},
		{name: "grype, nothing found", text: `{"matches":[],"descriptor":{"name":"grype","db":{"built":"2026-11-30T06:00:00Z"}}}`,
			want: Report{Scanner: "Grype", UpdatedAt: time.Date(2026, 11, 30, 6, 0, 0, 0, time.UTC)}},
		{name: "another program's", text: `{"matches":[],"descriptor":{"name":"other"}}`, err: "none of Trivy's", is: errFormat},
		{name: "cut off", text: trivy[:len(trivy)/2], err: "none of Trivy's", is: errFormat},
		{name: "no JSON", text: "<html>", err: "none of Trivy's", is: errFormat},
		{name: "empty", text: "", err: "none of Trivy's", is: errFormat},
		{name: "other JSON", text: `{"findings":[]}`, err: "none of Trivy's", is: errFormat},
		{name: "too large", text: strings.Repeat(" ", maxReport+1), err: "has more than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse([]byte(tt.text))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || tt.is != nil && !errors.Is(err, tt.is) {
					t.Fatalf("error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Findings) == 0 {
				got.Findings = nil
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// What is no report of a scanner neither stops the process nor gets through unbounded.
func FuzzParse(f *testing.F) {
	for _, text := range []string{`{"SchemaVersion":2,"Results":[{"Vulnerabilities":[{"VulnerabilityID":"a\u0000b","Severity":"x"}]}]}`, `{"matches":[{}],"descriptor":{"name":"grype"}}`, `{"vulnerabilities":[{}],"scanner":{}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := settled(r); err != nil || cmp.Diff(r, again) != "" {
			t.Errorf("it was not settled: %v", err)
		}
	})
}
