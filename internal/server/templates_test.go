package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/server"
)

// template makes a template for pushes through the ECR API; members are more of its
// members, in JSON.
func (w *world) template(prefix, members string) {
	w.t.Helper()
	body := fmt.Sprintf(`{"prefix":%q,"appliedFor":["CREATE_ON_PUSH"]%s}`, prefix, members)
	w.want(w.do(w.json(here, w.credentials(here, administrator), "CreateRepositoryCreationTemplate", body)), 200)
}

// repositories are the names of those that exist.
func (w *world) repositories() (names []string) {
	w.t.Helper()
	a := w.want(w.do(w.json(here, w.credentials(here, administrator), "DescribeRepositories", "{}")), 200)
	var out struct {
		Repositories []struct{ RepositoryName string }
	}
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		w.t.Fatal(err)
	}
	for _, r := range out.Repositories {
		names = append(names, r.RepositoryName)
	}
	return names
}

func TestCreateOnPush(t *testing.T) {
	for _, compat := range []registry.Compat{registry.CompatECR, registry.CompatOCI} {
		t.Run(string(compat), func(t *testing.T) {
			dir := t.TempDir()
			w := start(t, t.TempDir(), audited(t, dir, audit.Changes, 0), func(c *server.Config) { c.Compat = compat })
			password := w.password(here, pusher)
			w.want(w.do(w.basic(here, password, "POST", "/v2/team/app/blobs/uploads/", "")), 404)
			w.template("team", `,"imageTagMutability":"IMMUTABLE"`)
			d := string(ecr.DigestOf([]byte("layer")))
			// As clients push: they look first.
			w.want(w.do(w.basic(here, password, "HEAD", "/v2/team/app/blobs/"+d, "")), 404)
			w.want(w.do(w.basic(here, password, "HEAD", "/v2/team/app/manifests/v1", "")), 404)
			w.want(w.do(w.basic(here, password, "GET", "/v2/team/app/tags/list", "")), 404)
			if got := w.repositories(); len(got) != 0 {
				t.Errorf("looking creates %v", got)
			}
			w.want(w.do(w.basic(here, password, "POST", "/v2/team/mounted/blobs/uploads/?mount="+d+"&from=team/app", "")), 202)
			w.want(w.do(w.basic(here, password, "POST", "/v2/team/found/blobs/uploads/?mount="+d, "")), 202)
			w.push(here, password, "team/app", "v1", "layer")
			w.want(w.do(w.json(here, w.credentials(here, pusher), "InitiateLayerUpload", `{"repositoryName":"team/api"}`)), 200)
			if got, want := fmt.Sprint(w.repositories()), "[team/api team/app team/found team/mounted]"; got != want {
				t.Errorf("repositories %s, want %s", got, want)
			}
			created := 0
			for _, r := range records(t, dir) {
				if r.Action == "ecr:CreateRepository" && r.Statement == "repository creation template team" && strings.HasSuffix(r.Principal, ":user/pusher") {
					created++
				}
			}
			if created != 4 {
				t.Errorf("%d repositories are on record, want 4", created)
			}
		})
	}
}

// The role of a template has to let the registry assume it, and limits what it does.
func TestRoleOfATemplate(t *testing.T) {
	w := start(t, t.TempDir())
	password := w.password(here, pusher)
	c := w.identities()
	role := func(name, service, policy string) {
		t.Helper()
		trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}]}`
		if _, err := c.CreateRole(t.Context(), iam.NewRole{Name: name, Trust: trust}); err != nil {
			t.Fatal(err)
		}
		if err := c.PutInline(t.Context(), iam.OfRole, name, "rights", `{"Version":"2012-10-17","Statement":[`+policy+`]}`); err != nil {
			t.Fatal(err)
		}
	}
	const create = `{"Effect":"Allow","Action":"ecr:CreateRepository","Resource":"arn:aws:ecr:us-east-1:000000000000:repository/*"}`
	role("whole", "ecr.amazonaws.com", create+`,{"Effect":"Allow","Action":"ecr:TagResource","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"a"}}}`)
	role("half", "ecr.amazonaws.com", create)
	role("closed", "lambda.amazonaws.com", create)
	role("elsewhere", "ecr.amazonaws.com", strings.Replace(create, "repository/*", "repository/other/*", 1))
	for _, tt := range []struct {
		role, members, want string
		status              int
	}{
		{"whole", `,"resourceTags":[{"Key":"team","Value":"a"}]`, "", 202},
		{"half", ``, "", 202},
		{"whole", `,"resourceTags":[{"Key":"team","Value":"b"}]`, "is not allowed to perform ecr:TagResource", 404},
		{"half", `,"resourceTags":[{"Key":"team","Value":"a"}]`, "is not allowed to perform ecr:TagResource", 404},
		{"closed", ``, "does not exist or does not let ecr.amazonaws.com assume it", 404},
		{"none", ``, "does not exist or does not let ecr.amazonaws.com assume it", 404},
		{"elsewhere", ``, "is not allowed to perform ecr:CreateRepository", 404},
	} {
		t.Run(tt.role+tt.members, func(t *testing.T) {
			w.template("team", tt.members+`,"customRoleArn":"arn:aws:iam::000000000000:role/`+tt.role+`"`)
			a := w.do(w.basic(here, password, "POST", "/v2/team/app/blobs/uploads/", ""))
			if a.status != tt.status || !strings.Contains(a.body, tt.want) {
				t.Errorf("%d %s, want %d with %q", a.status, a.body, tt.status, tt.want)
			}
			if got := len(w.repositories()); (got == 1) != (tt.status == 202) {
				t.Errorf("%d repositories", got)
			}
			if tt.status == 202 {
				w.want(w.do(w.json(here, w.credentials(here, administrator), "DeleteRepository", `{"repositoryName":"team/app","force":true}`)), 200)
			}
			w.want(w.do(w.json(here, w.credentials(here, administrator), "DeleteRepositoryCreationTemplate", `{"prefix":"team"}`)), 200)
		})
	}
}
