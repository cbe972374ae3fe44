package scanning

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// errFormat: a report is in no format that is known.
var errFormat = errors.New("the report is none of Trivy's, Grype's or Harbor's in JSON")

// Parse reads the report of a scanner: JSON of Trivy (schema version 2), of Grype, or of
// Harbor's scanner API (version 1.0 or 1.1). The report is settled: bounded and clean.
// ErrUnsupported where it says that there was nothing that the scanner understands.
func Parse(text []byte) (Report, error) {
	if len(text) > maxReport {
		return Report{}, fmt.Errorf("the report has more than %d bytes", maxReport)
	}
	var kind struct {
		SchemaVersion   *int
		Matches         json.RawMessage `json:"matches"`
		Descriptor      json.RawMessage `json:"descriptor"`
		Vulnerabilities json.RawMessage `json:"vulnerabilities"`
		Scanner         json.RawMessage `json:"scanner"`
	}
	if err := json.Unmarshal(text, &kind); err != nil {
		return Report{}, fmt.Errorf("%w: %w", errFormat, err)
	}
	var r Report
	var err error
	switch {
	case kind.SchemaVersion != nil:
		r, err = parseTrivy(text)
	case kind.Matches != nil && kind.Descriptor != nil:
		r, err = parseGrype(text)
	case kind.Vulnerabilities != nil && kind.Scanner != nil:
		r, err = parseHarbor(text)
	default:
		err = errFormat
	}
	if err != nil {
		return Report{}, err
	}
	return settled(r)
}

func parseTrivy(text []byte) (Report, error) {
	var in struct {
		SchemaVersion int
		Trivy         struct{ Version string }
		Metadata      struct{ OS *struct{ Family string } }
		Results       []struct {
			Vulnerabilities []struct {
				VulnerabilityID, PkgName, InstalledVersion, FixedVersion string
				PrimaryURL, Title, Description, Severity, SeveritySource string
				CVSS                                                     map[string]struct {
					V2Vector, V3Vector, V40Vector string
					V2Score, V3Score, V40Score    float64
				}
			}
		}
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return Report{}, fmt.Errorf("reading Trivy's report: %w", err)
	}
	if in.SchemaVersion != 2 {
		return Report{}, fmt.Errorf("reading Trivy's report: it has schema version %d, and 2 is known", in.SchemaVersion)
	}
	if len(in.Results) == 0 && in.Metadata.OS == nil {
		return Report{}, fmt.Errorf("%w: Trivy found neither an operating system nor packages in it", ErrUnsupported)
	}
	r := Report{Scanner: strings.TrimSpace("Trivy " + in.Trivy.Version)}
	for _, part := range in.Results {
		for _, v := range part.Vulnerabilities {
			f := Finding{
				Name: v.VulnerabilityID, Description: v.Description, URI: v.PrimaryURL, Severity: severity(v.Severity),
				Package: v.PkgName, Version: v.InstalledVersion, Fixed: v.FixedVersion,
			}
			if f.Description == "" {
				f.Description = v.Title
			}
			// the source of the severity first, then NVD, then any other, always the same
			for _, source := range append([]string{v.SeveritySource, "nvd"}, slices.Sorted(maps.Keys(v.CVSS))...) {
				c := v.CVSS[source]
				switch {
				case c.V3Vector != "":
					f.Vector, f.Score = c.V3Vector, score(c.V3Score)
				case c.V40Vector != "":
					f.Vector, f.Score = c.V40Vector, score(c.V40Score)
				case c.V2Vector != "":
					f.Vector, f.Score = c.V2Vector, score(c.V2Score)
				default:
					continue
				}
				break
			}
			r.Findings = append(r.Findings, f)
		}
	}
	return r, nil
}

func score(n float64) string {
	if n <= 0 {
		return ""
	}
	return strconv.FormatFloat(n, 'f', 1, 64)
}

func parseGrype(text []byte) (Report, error) {
	var in struct {
		Matches []struct {
			Vulnerability struct {
				ID          string `json:"id"`
				DataSource  string `json:"dataSource"`
				Severity    string `json:"severity"`
				Description string `json:"description"`
				CVSS        []struct {
					Vector  string `json:"vector"`
					Metrics struct {
						BaseScore float64 `json:"baseScore"`
					} `json:"metrics"`
				} `json:"cvss"`
				Fix struct {
					Versions []string `json:"versions"`
				} `json:"fix"`
			} `json:"vulnerability"`
			Artifact struct {
				Name    string `json:"name"`
				Version string `json:"version"`
			} `json:"artifact"`
		} `json:"matches"`
		Descriptor struct {
			Name    string `json:"name"`
			Version string `json:"version"`
			DB      struct {
				Built  time.Time `json:"built"`
				Status struct {
					Built time.Time `json:"built"`
				} `json:"status"`
			} `json:"db"`
		} `json:"descriptor"`
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return Report{}, fmt.Errorf("reading Grype's report: %w", err)
	}
	if in.Descriptor.Name != "grype" {
		return Report{}, errFormat
	}
	r := Report{Scanner: strings.TrimSpace("Grype " + in.Descriptor.Version), UpdatedAt: in.Descriptor.DB.Status.Built.UTC()}
	if r.UpdatedAt.IsZero() {
		r.UpdatedAt = in.Descriptor.DB.Built.UTC()
	}
	for _, m := range in.Matches {
		v := m.Vulnerability
		f := Finding{
			Name: v.ID, Description: v.Description, URI: v.DataSource, Severity: severity(v.Severity),
			Package: m.Artifact.Name, Version: m.Artifact.Version, Fixed: strings.Join(v.Fix.Versions, ", "),
		}
		for _, c := range v.CVSS {
			if f.Vector == "" || strings.HasPrefix(c.Vector, "CVSS:3") && !strings.HasPrefix(f.Vector, "CVSS:3") {
				f.Vector, f.Score = c.Vector, score(c.Metrics.BaseScore)
			}
		}
		r.Findings = append(r.Findings, f)
	}
	return r, nil
}

func parseHarbor(text []byte) (Report, error) {
	var in struct {
		Scanner struct {
			Name    string `json:"name"`
			Version string `json:"version"`
		} `json:"scanner"`
		Vulnerabilities []struct {
			ID          string   `json:"id"`
			Package     string   `json:"package"`
			Version     string   `json:"version"`
			FixVersion  string   `json:"fix_version"`
			Severity    string   `json:"severity"`
			Description string   `json:"description"`
			Links       []string `json:"links"`
			CVSS        struct {
				ScoreV3  *float64 `json:"score_v3"`
				ScoreV2  *float64 `json:"score_v2"`
				VectorV3 string   `json:"vector_v3"`
				VectorV2 string   `json:"vector_v2"`
			} `json:"preferred_cvss"`
		} `json:"vulnerabilities"`
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return Report{}, fmt.Errorf("reading the report: %w", err)
	}
	r := Report{Scanner: strings.TrimSpace(in.Scanner.Name + " " + in.Scanner.Version)}
	for _, v := range in.Vulnerabilities {
		f := Finding{Name: v.ID, Description: v.Description, Severity: severity(v.Severity), Package: v.Package, Version: v.Version, Fixed: v.FixVersion}
		for _, link := range v.Links {
			if f.URI = address(link); f.URI != "" {
				break
			}
		}
		switch c := v.CVSS; {
		case c.VectorV3 != "":
			f.Vector, f.Score = c.VectorV3, pointed(c.ScoreV3)
		case c.VectorV2 != "":
			f.Vector, f.Score = c.VectorV2, pointed(c.ScoreV2)
		}
		r.Findings = append(r.Findings, f)
	}
	return r, nil
}

func pointed(n *float64) string {
	if n == nil {
		return ""
	}
	return score(*n)
}
