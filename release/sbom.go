package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

const sbomType = "application/spdx+json"

func sbomName(a about) string { return "kontor_" + a.version + ".spdx.json" }

// The parts of SPDX 2.3 that are used, https://spdx.github.io/spdx-spec/v2.3/.
type (
	spdxDocument struct {
		SPDXID            string             `json:"SPDXID"`
		SPDXVersion       string             `json:"spdxVersion"`
		DataLicense       string             `json:"dataLicense"`
		Name              string             `json:"name"`
		DocumentNamespace string             `json:"documentNamespace"`
		CreationInfo      spdxCreation       `json:"creationInfo"`
		Packages          []spdxPackage      `json:"packages"`
		Relationships     []spdxRelationship `json:"relationships"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		SPDXID                string            `json:"SPDXID"`
		Name                  string            `json:"name"`
		VersionInfo           string            `json:"versionInfo"`
		DownloadLocation      string            `json:"downloadLocation"`
		FilesAnalyzed         bool              `json:"filesAnalyzed"`
		LicenseDeclared       string            `json:"licenseDeclared"`
		LicenseConcluded      string            `json:"licenseConcluded"`
		CopyrightText         string            `json:"copyrightText"`
		SourceInfo            string            `json:"sourceInfo,omitempty"`
		PrimaryPackagePurpose string            `json:"primaryPackagePurpose,omitempty"`
		ExternalRefs          []spdxExternalRef `json:"externalRefs"`
	}
	spdxExternalRef struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxRelationship struct {
		Element string `json:"spdxElementId"`
		Type    string `json:"relationshipType"`
		Related string `json:"relatedSpdxElement"`
	}
)

// sbom is the bill of materials of all binaries made, as SPDX 2.3 JSON: the
// modules that the linker recorded in them, and the standard library.
func sbom(a about, made []binary) ([]byte, error) {
	modules := map[string]debug.Module{}
	for _, b := range made {
		if b.info == nil {
			return nil, errors.New("a program without its list of modules")
		}
		add := func(m debug.Module) { modules[m.Path+"@"+m.Version] = m }
		add(debug.Module{Path: "stdlib", Version: strings.TrimPrefix(b.info.GoVersion, "go")})
		for _, m := range b.info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			add(*m)
		}
	}
	sorted := slices.SortedFunc(maps.Values(modules), func(a, b debug.Module) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Version, b.Version))
	})

	self := newPackage("SPDXRef-Package-kontor", debug.Module{Path: module, Version: a.version})
	self.LicenseDeclared = "Apache-2.0"
	self.PrimaryPackagePurpose = "APPLICATION"
	if a.revision != "" {
		self.SourceInfo = "git commit " + a.revision
	}
	doc := spdxDocument{
		SPDXID: "SPDXRef-DOCUMENT", SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", Name: "kontor-" + a.version,
		CreationInfo:  spdxCreation{a.created.Format(time.RFC3339), []string{"Tool: kontor-release-" + a.version}},
		Packages:      []spdxPackage{self},
		Relationships: []spdxRelationship{{"SPDXRef-DOCUMENT", "DESCRIBES", self.SPDXID}},
	}
	for i, m := range sorted {
		p := newPackage(fmt.Sprintf("SPDXRef-Module-%d", i+1), m)
		doc.Packages = append(doc.Packages, p)
		doc.Relationships = append(doc.Relationships, spdxRelationship{self.SPDXID, "DEPENDS_ON", p.SPDXID})
	}
	// A namespace is the document's own: another content needs another one.
	content, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	doc.DocumentNamespace = fmt.Sprintf("https://%s/sbom/%s/%x", module, a.version, sha256.Sum256(content))
	b, err := json.MarshalIndent(doc, "", "  ")
	return append(b, '\n'), err
}

func newPackage(id string, m debug.Module) spdxPackage {
	p := spdxPackage{
		SPDXID: id, Name: m.Path, VersionInfo: m.Version, DownloadLocation: "NOASSERTION",
		LicenseDeclared: "NOASSERTION", LicenseConcluded: "NOASSERTION", CopyrightText: "NOASSERTION",
		ExternalRefs: []spdxExternalRef{{"PACKAGE-MANAGER", "purl", purl(m)}},
	}
	if m.Sum != "" {
		p.SourceInfo = "go.sum " + m.Sum
	}
	return p
}

// purl is a module's package URL: type golang, lower case, each part
// percent-encoded (github.com/package-url/purl-spec).
func purl(m debug.Module) string {
	parts := strings.Split(strings.ToLower(m.Path), "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	version := strings.ReplaceAll(url.PathEscape(m.Version), "+", "%2B")
	return "pkg:golang/" + strings.Join(parts, "/") + "@" + version
}
