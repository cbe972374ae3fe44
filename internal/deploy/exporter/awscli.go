package exporter

import (
	"fmt"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/state"
)

// The input files of the AWS CLI, in the words of the ECR API.
type (
	createInput struct {
		RepositoryName string      `json:"repositoryName"`
		Mutability     string      `json:"imageTagMutability"`
		Filters        []apiFilter `json:"imageTagMutabilityExclusionFilters,omitempty"`
		Scanning       apiScanning `json:"imageScanningConfiguration"`
		Encryption     struct {
			Type   string `json:"encryptionType"`
			KMSKey string `json:"kmsKey,omitempty"`
		} `json:"encryptionConfiguration"`
		Tags []resourceTag `json:"tags,omitempty"`
	}
	mutabilityInput struct {
		RepositoryName string      `json:"repositoryName"`
		Mutability     string      `json:"imageTagMutability"`
		Filters        []apiFilter `json:"imageTagMutabilityExclusionFilters,omitempty"`
	}
	scanningInput struct {
		RepositoryName string      `json:"repositoryName"`
		Scanning       apiScanning `json:"imageScanningConfiguration"`
	}
	tagInput struct {
		ResourceARN string        `json:"resourceArn"`
		Tags        []resourceTag `json:"tags"`
	}
	apiFilter struct {
		Type   string `json:"filterType"`
		Filter string `json:"filter"`
	}
	apiScanning struct {
		ScanOnPush bool `json:"scanOnPush"`
	}
)

const scriptHead = `#!/bin/sh
# Written by kontor export awscli. Creates the repositories that do not exist, and
# gives all of them the settings in the files next to it. Running it again changes
# nothing. Exceptions from tag mutability need a version of the AWS CLI that knows
# them, such as 1.45.
set -eu
cd "$(dirname "$0")"

# repository NAME FILES sets one repository up from the files that begin with FILES.
repository() {
  echo "$1"
  if ecr describe-repositories --repository-names "$1" >/dev/null 2>&1; then
    ecr put-image-tag-mutability --cli-input-json "file://$2.mutability.json" >/dev/null
    ecr put-image-scanning-configuration --cli-input-json "file://$2.scanning.json" >/dev/null
    if [ -e "$2.tags.json" ]; then
      ecr tag-resource --cli-input-json "file://$2.tags.json"
    fi
  else
    ecr create-repository --cli-input-json "file://$2.create.json" >/dev/null
  fi
  if [ -e "$2.policy.json" ]; then
    ecr set-repository-policy --repository-name "$1" --policy-text "file://$2.policy.json" >/dev/null
  elif ecr get-repository-policy --repository-name "$1" >/dev/null 2>&1; then
    ecr delete-repository-policy --repository-name "$1" >/dev/null
  fi
  if [ -e "$2.lifecycle.json" ]; then
    ecr put-lifecycle-policy --repository-name "$1" --lifecycle-policy-text "file://$2.lifecycle.json" >/dev/null
  elif ecr get-lifecycle-policy --repository-name "$1" >/dev/null 2>&1; then
    ecr delete-lifecycle-policy --repository-name "$1" >/dev/null
  fi
}

# template PREFIX FILE sets the creation template up from FILE.template.json.
template() {
  echo "template $1"
  if [ -n "$(ecr describe-repository-creation-templates --prefixes "$1" --query 'repositoryCreationTemplates[].prefix' --output text)" ]; then
    ecr update-repository-creation-template --cli-input-json "file://$2.template.json" >/dev/null
  else
    ecr create-repository-creation-template --cli-input-json "file://$2.template.json" >/dev/null
  fi
}

# upstream PREFIX FILE makes the pull-through cache rule, or gives it its login.
upstream() {
  echo "upstream $1"
  if ! ecr describe-pull-through-cache-rules --ecr-repository-prefixes "$1" >/dev/null 2>&1; then
    ecr create-pull-through-cache-rule --cli-input-json "file://$2.upstream.json" >/dev/null
  elif [ -e "$2.upstream-login.json" ]; then
    ecr update-pull-through-cache-rule --cli-input-json "file://$2.upstream-login.json" >/dev/null
  fi
}

# replication FILE replaces the replication configuration of the registry.
replication() {
  echo "replication"
  ecr put-replication-configuration --cli-input-json "file://$1.replication.json" >/dev/null
}

# account ID ends the script unless the credentials are for that account.
account() {
  have=$(call sts get-caller-identity --query Account --output text)
  if [ "$have" != "$1" ]; then
    echo "the credentials are for account $have, not $1" >&2
    exit 1
  fi
}
ecr() { call ecr "$@"; }
`

// AWSCLI writes a script and its input files. The script may be run again.
func AWSCLI(list []Registry) ([]File, error) {
	var script strings.Builder
	script.WriteString(scriptHead)
	var out []File
	folders := names{}
	for _, r := range list {
		folder := folders.unique(r.Target.Name, "-")
		t := r.Target
		fmt.Fprintf(&script, "\n# Registry %s: account %s, region %s.\n", t.Name, t.Registry.Account, t.Registry.Region)
		if t.RoleARN != "" {
			fmt.Fprintf(&script, "# Use credentials of the role %s.\n", t.RoleARN)
		}
		call := "aws --region " + quoted(string(t.Registry.Region))
		for _, f := range [][2]string{{"--profile", t.Profile}, {"--endpoint-url", t.Endpoint}} {
			if f[1] != "" {
				call += " " + f[0] + " " + quoted(f[1])
			}
		}
		if t.Local {
			call += ` ${AWS_ENDPOINT_URL:+--endpoint-url "$AWS_ENDPOINT_URL"}` // which older versions do not look at
		}
		fmt.Fprintf(&script, "call() { %s \"$@\"; }\naccount %s\n", call, t.Registry.Account)
		for _, repo := range r.sorted() {
			base := folder + "/" + strings.ReplaceAll(string(repo.Name), "/", "+")
			files, err := cliFiles(base, t, repo)
			if err != nil {
				return nil, err
			}
			out = append(out, files...)
			fmt.Fprintf(&script, "repository %s %s\n", quoted(string(repo.Name)), quoted(base))
		}
		files, err := cliSettings(&script, folder, r)
		if err != nil {
			return nil, err
		}
		out = append(out, files...)
	}
	return append([]File{{Name: "apply.sh", Data: []byte(script.String()), Executable: true}}, out...), nil
}

// quoted is s as one word of the shell.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// cliFiles are the input files for a repository, whose names begin with base.
func cliFiles(base string, t state.Target, r state.Repository) ([]File, error) {
	create := createInput{RepositoryName: string(r.Name), Mutability: string(r.Mutability.Mode), Scanning: apiScanning{scans(r)}, Tags: tagsOf(r)}
	for _, f := range r.Mutability.Filters {
		create.Filters = append(create.Filters, apiFilter{"WILDCARD", f})
	}
	e := encryption(r)
	create.Encryption.Type, create.Encryption.KMSKey = e.Type, e.KMSKey
	var out []File
	add := func(name string, v any) error {
		data, err := indented(v)
		out = append(out, File{Name: base + "." + name + ".json", Data: data})
		return err
	}
	if err := add("create", create); err != nil {
		return nil, err
	}
	if err := add("mutability", mutabilityInput{create.RepositoryName, create.Mutability, create.Filters}); err != nil {
		return nil, err
	}
	if err := add("scanning", scanningInput{create.RepositoryName, create.Scanning}); err != nil {
		return nil, err
	}
	if len(create.Tags) > 0 {
		if err := add("tags", tagInput{t.Registry.RepositoryARN(r.Name), create.Tags}); err != nil {
			return nil, err
		}
	}
	for _, d := range []struct {
		name, text string
		form       func(state.Repository) (string, error)
	}{{"policy", r.Policy, policyText}, {"lifecycle", r.Lifecycle, lifecycleText}} {
		if d.text == "" {
			continue
		}
		text, err := d.form(r)
		if err != nil {
			return nil, err
		}
		out = append(out, File{Name: base + "." + d.name + ".json", Data: []byte(text + "\n")})
	}
	return out, nil
}
