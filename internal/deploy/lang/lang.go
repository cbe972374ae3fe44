// Package lang reads, prints and formats the languages of files: YAML, JSON and
// HCL.
//
// It guarantees that a value has its place in the file and its comments; that
// every error in a text is reported at its line and column; that what is printed
// is read as the same value; and that no input, however hostile, makes it panic
// or run without bound. It does not know the fields of a file: what values mean
// is up to the caller.
//
// The languages are YAML 1.2, strict JSON (RFC 8259), and the HCL of .tfvars
// files. docs/file.md is the reference;
// docs/design/0016-formats-and-fields.md has the reasons.
package lang

import (
	"bytes"
	"path"
	"regexp"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/jsonpos"
	"github.com/kontor-registry/kontor/internal/textfile"
)

// Language is one in which files are written.
type Language string

// The languages.
const (
	YAML Language = "yaml"
	JSON Language = "json"
	HCL  Language = "hcl"
)

// Of is the language of the file called name: JSON for .json, HCL for .hcl and
// .tfvars, else YAML.
func Of(name string) Language {
	switch path.Ext(strings.ToLower(name)) {
	case ".json":
		return JSON
	case ".hcl", ".tfvars":
		return HCL
	}
	return YAML
}

// Source is the text of one file, in UTF-8 or UTF-16, with or without a byte
// order mark. Name appears in messages, and its ending says the language, as Of
// does.
type Source struct {
	Name string
	Data []byte

	// shortForms: the tags of CloudFormation are read.
	shortForms bool
}

// Bounds on what is read. They are far above what a person writes, and keep a
// hostile file from exhausting the machine.
const (
	maxBytes = 16 << 20 // of one source
	maxDepth = jsonpos.MaxDepth
)

// Parse reads the text of s. It returns nil if the text cannot be parsed. The
// errors are in the order in which they were found.
func Parse(s Source) (*Value, Errors) {
	p := &problems{}
	return parse(p, s), p.errs
}

// ParseCloudFormation reads s, a template in YAML or JSON, as Parse does. The short
// form of a function is read as the long one: !Sub x as {"Fn::Sub": "x"}, !Ref x
// as {"Ref": "x"}. Source: CloudFormation user guide, "Intrinsic function
// reference".
func ParseCloudFormation(s Source) (*Value, Errors) {
	s.shortForms = true
	return Parse(s)
}

// conflict finds the marks that a version control system leaves, and returns
// where the first stands; -1 for none.
func conflict(data []byte) int {
	ours := regexp.MustCompile(`(?m)^<<<<<<< .*$`).FindIndex(data)
	if ours == nil || !regexp.MustCompile(`(?m)^>>>>>>> `).Match(data[ours[1]:]) {
		return -1
	}
	return ours[0]
}

func parse(p *problems, s Source) *Value {
	if !decode(p, &s) {
		return nil
	}
	switch Of(s.Name) {
	case JSON:
		return parseJSON(p, &s)
	case HCL:
		return parseHCL(p, &s)
	}
	return parseYAML(p, &s)
}

// decode turns the data of s into text of UTF-8, and reports whether it is that.
func decode(p *problems, s *Source) bool {
	start := state.Position{File: s.Name, Line: 1, Column: 1}
	if len(s.Data) > maxBytes {
		p.errorf(start, nil, "the file has %d bytes; at most %d are read", len(s.Data), maxBytes)
		return false
	}
	data, err := textfile.Decode(s.Data)
	if err != nil {
		p.errorf(start, nil, "%v", err)
		return false
	}
	if bad, ok := invalidUTF8(s.Name, data); ok {
		p.errorf(bad, nil, "the file is not UTF-8 text; save it as UTF-8")
		return false
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		p.errorf(positionOf(s.Name, string(data), i), nil, "the file contains a NUL character: it is not a text file, or not UTF-8")
		return false
	}
	if i := conflict(data); i >= 0 {
		p.errorf(positionOf(s.Name, string(data), i), nil, "a merge conflict; resolve it first")
		return false
	}
	s.Data = data
	return true
}
