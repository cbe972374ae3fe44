package exporter

import (
	"encoding/json"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/state"
)

// template is a CloudFormation template. Its resources are printed in the order
// of their logical ids.
type template struct {
	Version   string                `json:"AWSTemplateFormatVersion"`
	Resources map[string]cfResource `json:"Resources"`
}

type cfResource struct {
	Type                string `json:"Type"`
	DeletionPolicy      string `json:"DeletionPolicy"`
	UpdateReplacePolicy string `json:"UpdateReplacePolicy"`
	Properties          any    `json:"Properties"`
}

type cfProperties struct {
	RepositoryName                     string          `json:"RepositoryName"`
	ImageTagMutability                 string          `json:"ImageTagMutability"`
	ImageTagMutabilityExclusionFilters []cfFilter      `json:"ImageTagMutabilityExclusionFilters,omitempty"`
	ImageScanningConfiguration         cfScanning      `json:"ImageScanningConfiguration"`
	EncryptionConfiguration            cfEncryption    `json:"EncryptionConfiguration"`
	LifecyclePolicy                    *cfLifecycle    `json:"LifecyclePolicy,omitempty"`
	RepositoryPolicyText               json.RawMessage `json:"RepositoryPolicyText,omitempty"`
	Tags                               []resourceTag   `json:"Tags,omitempty"`
}

type cfFilter struct {
	Type  string `json:"ImageTagMutabilityExclusionFilterType"`
	Value string `json:"ImageTagMutabilityExclusionFilterValue"`
}

type cfScanning struct {
	ScanOnPush bool `json:"ScanOnPush"`
}

type cfEncryption struct {
	EncryptionType string `json:"EncryptionType"`
	KMSKey         string `json:"KmsKey,omitempty"`
}

type cfLifecycle struct {
	LifecyclePolicyText string `json:"LifecyclePolicyText"`
}

// resourceTag is a tag as CloudFormation and the ECR API write it.
type resourceTag struct {
	Key   string `json:"Key"`
	Value string `json:"Value"`
}

// cfImport is an entry of the file that tells CloudFormation what to import.
type cfImport struct {
	ResourceType       string            `json:"ResourceType"`
	LogicalResourceID  string            `json:"LogicalResourceId"`
	ResourceIdentifier map[string]string `json:"ResourceIdentifier"`
}

// CloudFormation writes for each registry a template and the file for
// create-change-set --resources-to-import. A repository outlives its stack. The
// encryption is always given, because adding it later replaces the repository, and
// so is the policy, because an import deletes one that the template does not have.
func CloudFormation(list []Registry) ([]File, error) {
	var out []File
	files := names{}
	for _, r := range list {
		t := template{Version: "2010-09-09", Resources: map[string]cfResource{}}
		imports := []cfImport{}
		ids := names{}
		add := func(kind, key, name string, properties any) {
			id := ids.unique(logicalID(name), "N")
			t.Resources[id] = cfResource{Type: kind, DeletionPolicy: "Retain", UpdateReplacePolicy: "Retain", Properties: properties}
			imports = append(imports, cfImport{kind, id, map[string]string{key: name}})
		}
		for _, repo := range r.sorted() {
			p, err := propertiesOf(repo)
			if err != nil {
				return nil, err
			}
			add("AWS::ECR::Repository", "RepositoryName", string(repo.Name), p)
		}
		for _, x := range r.Templates {
			p, err := cfTemplateOf(x)
			if err != nil {
				return nil, err
			}
			add("AWS::ECR::RepositoryCreationTemplate", "Prefix", x.Prefix, p)
		}
		for _, u := range r.Upstreams {
			add("AWS::ECR::PullThroughCacheRule", "EcrRepositoryPrefix", u.Prefix, cfUpstreamOf(u))
		}
		if rules := r.rules(); len(rules) > 0 {
			// Its identifier is the account, which is none of its properties.
			kind, id := "AWS::ECR::ReplicationConfiguration", ids.unique("Replication", "N")
			t.Resources[id] = cfResource{Type: kind, DeletionPolicy: "Retain", UpdateReplacePolicy: "Retain", Properties: cfReplicationOf(rules)}
			imports = append(imports, cfImport{kind, id, map[string]string{"RegistryId": string(r.Target.Registry.Account)}})
		}
		name := files.unique(r.Target.Name, "-")
		for _, f := range []struct {
			name string
			v    any
		}{{name + ".template.json", t}, {name + ".resources-to-import.json", imports}} {
			data, err := indented(f.v)
			if err != nil {
				return nil, err
			}
			out = append(out, File{Name: f.name, Data: data})
		}
	}
	return out, nil
}

// logicalID is "TeamApi" for team/api: letters and digits only.
func logicalID(name string) string {
	name = strings.ToLower(name) // ROOT is the only one that is not
	var b strings.Builder
	upper := true
	for _, c := range name {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9') {
			upper = true
			continue
		}
		if upper {
			b.WriteString(strings.ToUpper(string(c)))
		} else {
			b.WriteRune(c)
		}
		upper = false
	}
	return b.String()
}

func propertiesOf(r state.Repository) (cfProperties, error) {
	e := encryption(r)
	p := cfProperties{
		RepositoryName: string(r.Name), ImageTagMutability: string(r.Mutability.Mode), ImageScanningConfiguration: cfScanning{scans(r)},
		EncryptionConfiguration: cfEncryption{e.Type, e.KMSKey}, Tags: tagsOf(r),
	}
	for _, f := range r.Mutability.Filters {
		p.ImageTagMutabilityExclusionFilters = append(p.ImageTagMutabilityExclusionFilters, cfFilter{"WILDCARD", f})
	}
	if r.Lifecycle != "" {
		text, err := lifecycleText(r)
		if err != nil {
			return p, err
		}
		p.LifecyclePolicy = &cfLifecycle{text}
	}
	if r.Policy != "" {
		text, err := policyText(r)
		if err != nil {
			return p, err
		}
		p.RepositoryPolicyText = json.RawMessage(text)
	}
	return p, nil
}

func tagsOf(r state.Repository) []resourceTag {
	var out []resourceTag
	for _, k := range tags(r) {
		out = append(out, resourceTag{k, r.Tags[k]})
	}
	return out
}
