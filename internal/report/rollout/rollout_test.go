package rollout_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/leasetags"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report/rollout"
)

// comesBack holds that the JSON of v reads back as the same value.
func comesBack(t *testing.T, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	back := reflect.New(reflect.TypeOf(v))
	if err := json.Unmarshal(text, back.Interface()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v, back.Elem().Interface()); diff != "" {
		t.Errorf("%T (-report +read back):\n%s\n%s", v, diff, text)
	}
}

const (
	fourteen = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":14},"action":{"type":"expire"}}]}`
	seven    = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":7},"action":{"type":"expire"}}]}`
	grant    = `{"Version":"2012-10-17","Statement":[{"Sid":"Pull","Effect":"Allow","Principal":{"AWS":"333333333333"},"Action":"ecr:BatchGetImage"}]}`
)

// somePlan creates, updates and deletes.
func somePlan() plan.Plan {
	on := true
	immutable := ecr.Mutability{Mode: ecr.Immutable}
	d := state.Desired{Stack: "platform", Repositories: []state.Repository{
		{Name: "new", Mutability: immutable, Policy: grant, Lifecycle: seven, ScanOnPush: &on, Encryption: &ecr.Encryption{Type: "KMS", KMSKey: "k"}},
		{Name: "old", Mutability: ecr.Mutability{Mode: ecr.ImmutableWithExclusion, Filters: []string{"b", "a"}}, Lifecycle: seven, Tags: map[string]string{"team": "a"}},
		{Name: "same", Mutability: immutable},
	}}
	owned := map[string]string{state.TagStack: "platform"}
	return plan.DiffWith(d, state.Observed{Repositories: map[ecr.RepositoryName]state.Repository{
		"old":  {Name: "old", Mutability: immutable, Tags: owned, Lifecycle: fourteen},
		"same": {Name: "same", Mutability: immutable, Tags: owned},
		"gone": {Name: "gone", Tags: map[string]string{state.TagStack: "platform", state.TagProtection: "off"}, Policy: grant, Lifecycle: seven},
	}}, plan.Options{End: plan.LeftFile, DeleteImages: true, Images: map[ecr.RepositoryName]plan.Images{"gone": {Count: 2, SizeBytes: 3}}})
}

func TestPlan(t *testing.T) {
	p := rollout.NewPlan(somePlan())
	comesBack(t, p)
	if p.Create != 1 || p.Update != 1 || p.Delete != 1 || p.Unchanged != 1 || p.Errors != 0 || len(p.Changes) != 3 {
		t.Errorf("%+v", p)
	}
	byName := map[ecr.RepositoryName]rollout.Change{}
	for _, c := range p.Changes {
		byName[c.Repository] = c
	}
	setting := func(name ecr.RepositoryName, f plan.Field) rollout.Setting {
		for _, s := range byName[name].Settings {
			if s.Field == f {
				return s
			}
		}
		return rollout.Setting{}
	}
	if s := setting("old", plan.FieldMutability); s.Before != "IMMUTABLE" || s.After != "IMMUTABLE_WITH_EXCLUSION of a, b" {
		t.Errorf("mutability: %+v", s)
	}
	want := []rollout.Part{{Name: "1", Action: plan.Modify, Before: "untagged images expire 14 days after their push", After: "untagged images expire 7 days after their push"}}
	if diff := cmp.Diff(want, setting("old", plan.FieldLifecycle).Parts); diff != "" {
		t.Errorf("lifecycle (-want +got):\n%s", diff)
	}
	if s := setting("new", plan.FieldPolicy); len(s.Parts) != 1 || s.Parts[0].After != "Allow account 333333333333: BatchGetImage" {
		t.Errorf("policy: %+v", s)
	}
	if s := setting("new", plan.FieldScanOnPush); s.After != "on" {
		t.Errorf("scan on push: %+v", s)
	}
	gone := byName["gone"]
	if gone.Images == nil || gone.Images.Count != 2 || len(gone.Documents) != 2 || gone.Settings != nil {
		t.Errorf("deletion: %+v", gone)
	}
}

func TestFileReportsComeBack(t *testing.T) {
	id := ecr.RegistryID{Account: "111111111111", Region: "us-east-2"}
	comesBack(t, rollout.Outputs{Registries: []rollout.RegistryOutput{rollout.NewRegistryOutput("prod", id, id.Host(), []ecr.RepositoryName{"a"}), rollout.NewRegistryOutput("none", id, id.Host(), nil)}})
	off := false
	comesBack(t, rollout.NewSettings(state.Desired{Stack: "s", Repositories: []state.Repository{
		{Name: "a", Policy: grant, Lifecycle: seven, Tags: map[string]string{"x": "y"}, ScanOnPush: &off, Encryption: &ecr.Encryption{Type: "AES256"}},
		{Name: "b"},
	}}))
	comesBack(t, rollout.NewFields(fields.All()))
	tags := []leasetags.Tagged{{Digest: "sha256:1", Tag: "x"}}
	none := []leasetags.Tagged{}
	changes := rollout.LeaseChanges{Applied: true, Repositories: []leasetags.Change{{Repository: "a", Kept: none, Add: tags, Remove: none, Expire: tags, Waiting: none, Missing: []leasetags.Missing{}}}}
	comesBack(t, changes)
	if add, kept, remove, expire := changes.Counts(); add != 1 || kept != 0 || remove != 0 || expire != 1 {
		t.Errorf("%d added, %d kept, %d removed, %d expired", add, kept, remove, expire)
	}
}
