package scanning

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Report is what a scanner found in an image.
type Report struct {
	Scanner   string    // such as "Trivy v0.74.0"
	UpdatedAt time.Time // of its database; zero where it does not say
	Findings  []Finding
}

// Finding is one vulnerability of one package.
type Finding struct {
	Name        string       `json:"name"` // such as "CVE-2026-0001"
	Description string       `json:"description,omitempty"`
	URI         string       `json:"uri,omitempty"`
	Severity    ecr.Severity `json:"severity"`
	Package     string       `json:"package,omitempty"`
	Version     string       `json:"version,omitempty"` // that is installed
	Fixed       string       `json:"fixed,omitempty"`   // versions without it; "" for none
	// Score and Vector are of CVSS, of the version that Vector begins with.
	Score  string `json:"score,omitempty"`
	Vector string `json:"vector,omitempty"`
}

// Attribute is one of a finding's attributes.
type Attribute struct{ Key, Value string }

// Attributes are a finding's in the words of ECR's basic scanning.
func (f Finding) Attributes() []Attribute {
	cvss := "CVSS2"
	if strings.HasPrefix(f.Vector, "CVSS:3") {
		cvss = "CVSS3"
	} else if strings.HasPrefix(f.Vector, "CVSS:4") {
		cvss = "CVSS4"
	}
	var list []Attribute
	for _, a := range []Attribute{
		{"package_version", f.Version}, {"package_name", f.Package}, {"fixed_version", f.Fixed}, {cvss + "_VECTOR", f.Vector}, {cvss + "_SCORE", f.Score},
	} {
		if a.Value != "" {
			list = append(list, a)
		}
	}
	return list
}

// Bounds of what is kept of a report.
const (
	maxReport      = 64 << 20 // bytes, as a scanner sends it
	maxFindings    = 50_000
	maxName        = 128  // bytes of a finding's name, and so on
	maxDescription = 4096 // ECR's is not known
	maxURI         = 2048
	maxText        = 256
	maxReason      = 1024
	maxPacked      = 16 << 20
	maxUnpacked    = maxFindings * (maxName + maxDescription + maxURI + 8*maxText)
)

// clean makes a text of a scanner one that can be shown: valid, of one line without
// control characters, and cut.
func clean(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > 4*most {
		s = strings.ToValidUTF8(s[:4*most], "")
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most-len("...")], "") + "..."
	}
	return s
}

// reason is the text of err for whoever asks why a scan failed.
func reason(err error) string { return clean(err.Error(), maxReason) }

// address is s if it is one of the web.
func address(s string) string {
	u, err := url.Parse(s)
	if len(s) > maxURI || err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || s != clean(s, maxURI) {
		return ""
	}
	return u.String()
}

// severities are the words of scanners.
var severities = map[string]ecr.Severity{
	"critical": ecr.SeverityCritical, "high": ecr.SeverityHigh, "medium": ecr.SeverityMedium, "low": ecr.SeverityLow,
	"negligible": ecr.SeverityInformational, "informational": ecr.SeverityInformational, "none": ecr.SeverityInformational,
}

func severity(word string) ecr.Severity {
	if s, ok := severities[strings.ToLower(word)]; ok {
		return s
	}
	return ecr.SeverityUndefined
}

// settled is r as it is kept: bounded, cleaned, each finding once, the worst first.
func settled(r Report) (Report, error) {
	if len(r.Findings) > maxFindings {
		return r, fmt.Errorf("the report has %d findings, and %d are the most that are kept", len(r.Findings), maxFindings)
	}
	r.Scanner = clean(r.Scanner, maxText)
	for i := range r.Findings {
		f := &r.Findings[i]
		f.Name, f.Description, f.URI = clean(f.Name, maxName), clean(f.Description, maxDescription), address(f.URI)
		f.Package, f.Version, f.Fixed = clean(f.Package, maxText), clean(f.Version, maxText), clean(f.Fixed, maxText)
		f.Score, f.Vector = clean(f.Score, maxText), clean(f.Vector, maxText)
		if f.Name == "" {
			return r, fmt.Errorf("finding %d of the report has no name", i+1)
		}
		if f.Severity.Compare(ecr.SeverityUndefined) > 0 || f.Severity.Compare(ecr.SeverityCritical) < 0 {
			f.Severity = ecr.SeverityUndefined
		}
	}
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(a.Severity.Compare(b.Severity), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Package, b.Package), cmp.Compare(a.Version, b.Version))
	})
	r.Findings = slices.CompactFunc(r.Findings, func(a, b Finding) bool {
		return a.Name == b.Name && a.Package == b.Package && a.Version == b.Version
	})
	return r, nil
}

// counts are the findings by severity, and the worst of them.
func (r Report) counts() (map[ecr.Severity]int, ecr.Severity) {
	if len(r.Findings) == 0 {
		return nil, ecr.SeverityNone
	}
	n := map[ecr.Severity]int{}
	worst := r.Findings[0].Severity
	for _, f := range r.Findings {
		n[f.Severity]++
		if f.Severity.Compare(worst) < 0 {
			worst = f.Severity
		}
	}
	return n, worst
}

// pack is how findings are stored.
func pack(list []Finding) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := errors.Join(json.NewEncoder(z).Encode(list), z.Close()); err != nil {
		return nil, err
	}
	if b.Len() > maxPacked {
		return nil, fmt.Errorf("the findings have %d bytes when they are packed, and %d are the most that are kept", b.Len(), maxPacked)
	}
	return b.Bytes(), nil
}

func unpack(packed []byte) (list []Finding, err error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err == nil {
		err = json.NewDecoder(io.LimitReader(z, maxUnpacked)).Decode(&list)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the findings of a scan: %w", err)
	}
	return list, nil
}
