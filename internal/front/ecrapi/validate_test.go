package ecrapi

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

// Texts that were captured from Amazon ECR are marked so; the others apply
// their two wordings to other constraints of the model.
func TestValidate(t *testing.T) {
	longList := func(item string, n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
	}
	const sha = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, c := range []struct{ name, operation, body, path, constraint string }{
		{"fine", "CreateRepository", `{"repositoryName": "team/app", "imageTagMutability": "IMMUTABLE", "tags": [{"Key": "a", "Value": ""}]}`, "", ""},
		{"null is absent", "CreateRepository", `{"repositoryName": "team/app", "imageTagMutability": null}`, "", ""},
		{"name missing (captured)", "CreateRepository", `{}`, "repositoryName", "must not be null"},
		{"name too short (captured)", "CreateRepository", `{"repositoryName": "a"}`, "repositoryName", "must have length greater than or equal to 2"},
		{"name too long (captured)", "CreateRepository", `{"repositoryName": "` + strings.Repeat("a", 257) + `"}`, "repositoryName", "must have length less than or equal to 256"},
		{"name pattern (captured)", "CreateRepository", `{"repositoryName": "Team"}`, "repositoryName", `must satisfy regular expression '[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*'`},
		{"name with three underscores", "CreateRepository", `{"repositoryName": "a___b"}`, "repositoryName", "must satisfy regular expression '" + ecr.RepositoryNamePattern + "'"},
		{"name ends in a line feed", "CreateRepository", `{"repositoryName": "app\n"}`, "repositoryName", "must satisfy regular expression '" + ecr.RepositoryNamePattern + "'"},
		{"enum (captured)", "PutImageTagMutability", `{"repositoryName": "app", "imageTagMutability": "immutable"}`, "imageTagMutability", "Member must satisfy enum value set: [IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]"},
		{"member missing (captured)", "PutImageTagMutability", `{"repositoryName": "app"}`, "imageTagMutability", "Member must not be null"},
		{"nested member missing (captured)", "TagResource", `{"resourceArn": "arn", "tags": [{"Key": "a", "Value": "b"}, {"Value": "b"}]}`, "tags.2.member.key", "Member must not be null"},
		{"list too long (captured)", "BatchGetImage", `{"repositoryName": "app", "imageIds": ` + longList(`{"imageTag": "a"}`, 101) + `}`, "imageIds", "Member must have length less than or equal to 100"},
		{"list of the largest length", "BatchGetImage", `{"repositoryName": "app", "imageIds": ` + longList(`{"imageTag": "a"}`, 100) + `}`, "", ""},
		{"empty list", "BatchGetImage", `{"repositoryName": "app", "imageIds": []}`, "imageIds", "Member must have length greater than or equal to 1"},
		{"number too big (captured)", "DescribeRepositories", `{"maxResults": 1001}`, "maxResults", "Member must have value less than or equal to 1000"},
		{"number too small", "DescribeRepositories", `{"maxResults": 0}`, "maxResults", "Member must have value greater than or equal to 1"},
		{"referrers have smaller pages", "ListImageReferrers", `{"repositoryName": "app", "subjectId": {"imageDigest": "` + sha + `"}, "maxResults": 51}`, "maxResults", "Member must have value less than or equal to 50"},
		{"member of a structure", "ListImageReferrers", `{"repositoryName": "app", "subjectId": {}}`, "subjectId.imageDigest", "Member must not be null"},
		{"element of a list", "DescribeRepositories", `{"repositoryNames": ["app", "App"]}`, "repositoryNames.2.member", "Member must satisfy regular expression '" + ecr.RepositoryNamePattern + "'"},
		{"member of an element", "BatchGetImage", `{"repositoryName": "app", "imageIds": [{"imageTag": ""}]}`, "imageIds.1.member.imageTag", "Member must have length greater than or equal to 1"},
		{"account", "DescribeRepositories", `{"registryId": "12345"}`, "registryId", "Member must satisfy regular expression '[0-9]{12}'"},
		{"upload id", "UploadLayerPart", `{"repositoryName": "app", "uploadId": "x", "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": "AA=="}`, "uploadId", "Member must satisfy regular expression '[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}'"},
		{"negative offset", "UploadLayerPart", `{"repositoryName": "app", "uploadId": "00000000-0000-0000-0000-000000000000", "partFirstByte": -1, "partLastByte": 0, "layerPartBlob": "AA=="}`, "partFirstByte", "Member must have value greater than or equal to 0"},
		{"lifecycle policy too short", "PutLifecyclePolicy", `{"repositoryName": "app", "lifecyclePolicyText": "{}"}`, "lifecyclePolicyText", "Member must have length greater than or equal to 100"},
		{"length in characters, not bytes", "PutRegistryPolicy", `{"policyText": "` + strings.Repeat("ß", 10240) + `"}`, "", ""},
		{"layer digest", "CompleteLayerUpload", `{"repositoryName": "app", "uploadId": "00000000-0000-0000-0000-000000000000", "layerDigests": ["sha256"]}`, "layerDigests.1.member", "Member must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := wireTypes[c.operation].request()
			if err := awsjson.Decode([]byte(c.body), in); err != nil {
				t.Fatal(err)
			}
			err := validate(in)
			if c.path == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			want := "Invalid parameter at '" + c.path + "' failed to satisfy constraint: '" + c.constraint + "'"
			var e *ecr.Error
			if !errors.As(err, &e) || e.Code != ecr.CodeInvalidParameter || e.Message != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

// The table speaks of the fields that the types have: member i is field i, and
// every shape that it names exists.
func TestTableFitsTypes(t *testing.T) {
	var walk func(reflect.Type)
	seen := map[reflect.Type]bool{}
	walk = func(typ reflect.Type) {
		if typ = structOf(typ); typ == nil || seen[typ] {
			return
		}
		seen[typ] = true
		s, ok := shapes[typ.Name()]
		if ok && len(s.members) != typ.NumField() {
			t.Fatalf("%s: %d members, %d fields", typ.Name(), len(s.members), typ.NumField())
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			if k := f.Type.Kind(); k != reflect.Pointer && k != reflect.Slice && k != reflect.Map {
				t.Errorf("%s.%s cannot be absent", typ.Name(), f.Name)
			}
			if ok {
				tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				if m := s.members[i]; m.name != tag {
					t.Errorf("%s: member %d is %s, field %s", typ.Name(), i, m.name, tag)
				}
			}
			walk(f.Type)
		}
	}
	for _, types := range wireTypes {
		walk(reflect.TypeOf(types.request()))
	}
	for name, s := range shapes {
		refs := []string{s.element}
		for _, m := range s.members {
			refs = append(refs, m.shape)
		}
		for _, r := range refs {
			if _, ok := shapes[r]; r != "" && !ok {
				t.Errorf("%s refers to %q, which the table does not have", name, r)
			}
		}
	}
	if len(patterns()) == 0 {
		t.Error("no patterns")
	}
}

// Bytes from outside never do more than fail with an error for the client.
func FuzzDecodeAndValidate(f *testing.F) {
	names := slices.Sorted(maps.Keys(wireTypes))
	for i, name := range names {
		b, err := json.Marshal(wireTypes[name].request())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), b)
	}
	f.Add(uint8(1), []byte(`{"repositoryName":"app","imageIds":[{"imageTag":null},null,{}]}`))
	f.Add(uint8(61), []byte(`{"layerPartBlob":"!","partFirstByte":1e99}`))
	f.Add(uint8(0), []byte(`[]`))
	f.Fuzz(func(t *testing.T, i uint8, body []byte) {
		in := wireTypes[names[int(i)%len(names)]].request()
		err := awsjson.Decode(body, in)
		if err == nil {
			err = validate(in)
		}
		if err != nil {
			if code := ecr.CodeOf(err); code != ecr.CodeSerialization && code != ecr.CodeInvalidParameter {
				t.Errorf("%s: %v", code, err)
			}
		}
	})
}
