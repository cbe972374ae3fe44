package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// How a registry scans its images: what is configured, and which repositories it
// concerns. Package scanning scans.
// Source: Amazon ECR user guide, "Scan images for software vulnerabilities".

// ScanType is how a registry scans: by ECR itself or by Amazon Inspector.
type ScanType string

// The types of scanning; basic is the default.
const (
	ScanBasic    ScanType = "BASIC"
	ScanEnhanced ScanType = "ENHANCED"
)

// ScanFrequency is when images are scanned.
type ScanFrequency string

// The frequencies. Repositories that no rule is for are scanned manually.
const (
	ScanOnPush     ScanFrequency = "SCAN_ON_PUSH"
	ScanContinuous ScanFrequency = "CONTINUOUS_SCAN"
	ScanManual     ScanFrequency = "MANUAL"
)

// ScanRule is when to scan the repositories that one of the filters matches.
type ScanRule struct {
	Frequency ScanFrequency `json:"frequency"`
	// Filters are wildcards; one without "*" matches every name that holds it.
	Filters []string `json:"filters"`
}

// RegistryScan is how a registry scans. The zero value is ECR's default, basic
// scanning without rules.
type RegistryScan struct {
	Type  ScanType   `json:"type"`
	Rules []ScanRule `json:"rules,omitempty"` // at most one for each frequency
}

// settingScanning is where the registry's settings hold a RegistryScan. It is
// no account setting: those are in capitals.
const settingScanning = "scanning"

// scanFrequencies are those that rules of a type may have.
var scanFrequencies = map[ScanType][]ScanFrequency{
	ScanBasic:    {ScanOnPush, ScanManual},
	ScanEnhanced: {ScanOnPush, ScanContinuous},
}

// check refuses what ECR documents as wrong. Its texts are not known.
func (s RegistryScan) check() error {
	seen := map[ScanFrequency]bool{}
	for _, r := range s.Rules {
		if allowed := scanFrequencies[s.Type]; !slices.Contains(allowed, r.Frequency) {
			return ecr.Errorf(ecr.CodeValidation, "The scan type %s has no rules of the scan frequency %s; it takes %v", s.Type, r.Frequency, allowed)
		}
		if seen[r.Frequency] {
			return ecr.Errorf(ecr.CodeValidation, "There is more than one rule of the scan frequency %s; give one rule all its filters", r.Frequency)
		}
		seen[r.Frequency] = true
	}
	return nil
}

// ScanOf reads how a registry scans.
func ScanOf(s meta.RegistrySettings) (RegistryScan, error) {
	scan := RegistryScan{Type: ScanBasic}
	if text := s.Settings[settingScanning]; text != "" {
		if err := json.Unmarshal([]byte(text), &scan); err != nil {
			return RegistryScan{}, fmt.Errorf("reading the registry's scanning configuration: %w", err)
		}
	}
	return scan, nil
}

var opRegistryScanning = gate.Op("RegistryScanning", "ecr:GetRegistryScanningConfiguration")

// RegistryScanning returns how the registry scans.
func (c *Caller) RegistryScanning(ctx context.Context, in ecr.RegistryID) (scan RegistryScan, err error) {
	err = viewRegistry(ctx, c.gate, opRegistryScanning, in, func(_ *gate.View, s meta.RegistrySettings) (err error) {
		scan, err = ScanOf(s)
		return err
	})
	return scan, err
}

var opSetRegistryScanning = gate.Op("SetRegistryScanning", "ecr:PutRegistryScanningConfiguration")

// SetRegistryScanning replaces how the registry scans, as a whole.
// Errors: Validation.
func (c *Caller) SetRegistryScanning(ctx context.Context, in ecr.RegistryID, scan RegistryScan) error {
	return updateRegistry(ctx, c.gate, opSetRegistryScanning, in, func(_ *gate.Tx, s *meta.RegistrySettings) error {
		if err := scan.check(); err != nil {
			return err
		}
		text, err := json.Marshal(scan)
		if err != nil {
			return err
		}
		s.Settings = maps.Clone(s.Settings)
		if s.Settings == nil {
			s.Settings = map[string]string{}
		}
		s.Settings[settingScanning] = string(text)
		return nil
	})
}

// RepositoryScan is how a repository is scanned.
type RepositoryScan struct {
	Repository
	Frequency ScanFrequency
	Filters   []string // of the registry's rules, those that match its name
}

// Of is how s concerns a repository. Of two rules that match, the
// continuous one counts; a repository's own setting counts with basic
// scanning only.
func (s RegistryScan) Of(r Repository) RepositoryScan {
	out := RepositoryScan{Repository: r, Frequency: ScanManual}
	if s.Type == ScanBasic && r.ScanOnPush {
		out.Frequency = ScanOnPush
	}
	for _, rule := range s.Rules {
		matched := false
		for _, f := range rule.Filters {
			if scanFilterMatches(f, string(r.Name)) {
				matched = true
				if !slices.Contains(out.Filters, f) {
					out.Filters = append(out.Filters, f)
				}
			}
		}
		if matched && rule.Frequency != ScanManual && out.Frequency != ScanContinuous {
			out.Frequency = rule.Frequency
		}
	}
	return out
}

// scanFilterMatches: a filter without a wildcard matches what contains it.
func scanFilterMatches(filter, name string) bool {
	if !strings.Contains(filter, "*") {
		return strings.Contains(name, filter)
	}
	return ecr.MatchWildcard(filter, name)
}

var opScanning = gate.Op("Scanning", "ecr:BatchGetRepositoryScanningConfiguration")

// Scanning returns how the named repositories are scanned, in the order given,
// and the names of which there is no repository.
func (c *Caller) Scanning(ctx context.Context, in ecr.RegistryID, names []ecr.RepositoryName) (list []RepositoryScan, missing []ecr.RepositoryName, err error) {
	if len(names) == 0 {
		return nil, nil, nil
	}
	err = c.gate.Read(ctx, opScanning, func(ctx context.Context, v *gate.View) error {
		list, missing = nil, nil
		for _, name := range names {
			s, err := v.Enter(ctx, in.Repo(name))
			if ecr.CodeOf(err) == ecr.CodeRepositoryNotFound {
				missing = append(missing, name)
				continue
			}
			if err != nil {
				return err
			}
			scan, err := ScanOf(s.Settings)
			if err != nil {
				return err
			}
			list = append(list, scan.Of(describe(s.At, s.Row)))
		}
		return nil
	})
	return list, missing, err
}

// FindImage is nil when the image that id names is in the repository.
// Errors: ImageNotFound, InvalidParameter.
func FindImage(ctx context.Context, r meta.ImageReader, at ecr.Repo, repo meta.RepositoryID, id ecr.ImageID) error {
	if f, bad := malformed(id); bad {
		return ecr.Errorf(ecr.CodeInvalidParameter, "%s", f.Reason)
	}
	_, err := find(ctx, r, at, repo, id)
	return err
}
