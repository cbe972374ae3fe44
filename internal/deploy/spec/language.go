package spec

import (
	"path"
	"strings"
)

// Language is one in which files are written.
type Language string

// The languages.
const (
	YAML Language = "yaml"
	JSON Language = "json"
	HCL  Language = "hcl"
)

// languageOf is that of the source called name.
func languageOf(name string) Language {
	switch path.Ext(strings.ToLower(name)) {
	case ".json":
		return JSON
	case ".hcl", ".tfvars":
		return HCL
	}
	return YAML
}

// variables reports whether the source called name holds Terraform's
// variables, of which only some are fields.
func variables(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, ".tfvars") || strings.HasSuffix(name, ".tfvars.json")
}
