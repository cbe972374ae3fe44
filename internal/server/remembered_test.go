package server_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// What a server remembers of earlier requests is never older than the last change that
// was answered, whichever server made it: who asks, what may be done, which image a tag
// points to, and whether there is a repository.
func TestWhatIsRememberedIsTheLatest(t *testing.T) {
	t.Run("one server", func(t *testing.T) {
		w := start(t, t.TempDir())
		rememberedIsTheLatest(t, w, w)
	})
	t.Run("two replicas", func(t *testing.T) {
		one, two := replicas(t)
		rememberedIsTheLatest(t, one, two)
	})
}

func rememberedIsTheLatest(t *testing.T, one, two *world) {
	admin := one.credentials(here, identity.Administrator)
	ecrAPI := func(operation, body string) {
		t.Helper()
		one.want(one.do(one.json(here, admin, operation, body)), http.StatusOK)
	}
	iam := func(form string) {
		t.Helper()
		form += "&Version=2010-05-08"
		r := one.request(here, http.MethodPost, "/", form, "Content-Type", formType)
		one.want(one.do(one.sign(r, admin, form, "iam", "us-east-1", one.clock())), http.StatusOK)
	}
	password := one.password(here, pusher)
	one.create(here, "app")
	first, _ := one.push(here, password, "app", "v1", "first")
	// see asks the other server, twice: for the first time, and for what it remembers.
	see := func(what string, status int, image ecr.Digest) {
		t.Helper()
		for range 2 {
			for _, method := range []string{http.MethodHead, http.MethodGet} {
				a := two.do(two.basic(here, password, method, "/v2/app/manifests/v1", ""))
				if a.status != status || a.header.Get("Docker-Content-Digest") != string(image) {
					t.Errorf("%s: %s: %d %s, want %d %s: %s", what, method, a.status, a.header.Get("Docker-Content-Digest"), status, image, a.body)
				}
			}
		}
	}
	see("pushed", 200, first)
	second, _ := one.push(here, password, "app", "v1", "second")
	see("moved", 200, second)

	const deny = `{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"ecr:BatchGetImage\"`
	ecrAPI("SetRepositoryPolicy", `{"repositoryName": "app", "policyText": "`+deny+`}]}"}`)
	see("denied by the repository", 403, "")
	ecrAPI("DeleteRepositoryPolicy", `{"repositoryName": "app"}`)
	see("not denied any longer", 200, second)
	ecrAPI("PutRegistryPolicy", `{"policyText": "`+deny+`,\"Resource\":\"*\"}]}"}`)
	see("denied by the registry", 403, "")
	ecrAPI("DeleteRegistryPolicy", `{}`)
	see("not denied by it any longer", 200, second)
	const inline = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"ecr:BatchGetImage","Resource":"*"}]}`
	iam("Action=PutUserPolicy&UserName=pusher&PolicyName=no&PolicyDocument=" + url.QueryEscape(inline))
	see("denied to the user", 403, "")
	iam("Action=DeleteUserPolicy&UserName=pusher&PolicyName=no")
	see("not denied to it any longer", 200, second)

	key := one.credentials(here, pusher).AccessKeyID
	iam("Action=UpdateAccessKey&UserName=pusher&Status=Inactive&AccessKeyId=" + key)
	see("a key that is off", 401, "")
	iam("Action=UpdateAccessKey&UserName=pusher&Status=Active&AccessKeyId=" + key)
	see("a key that is on again", 200, second)

	ecrAPI("BatchDeleteImage", `{"repositoryName": "app", "imageIds": [{"imageDigest": "`+string(second)+`"}]}`)
	see("deleted", 404, "")
	third, _ := one.push(here, password, "app", "v1", "third")
	see("another", 200, third)
	ecrAPI("DeleteRepository", `{"repositoryName": "app", "force": true}`)
	see("without its repository", 404, "")
	one.create(here, "app")
	see("in another repository of the name", 404, "")
	fourth, _ := one.push(here, password, "app", "v1", "fourth")
	see("pushed to that", 200, fourth)

	iam("Action=DeleteAccessKey&UserName=pusher&AccessKeyId=" + key)
	see("a key that is gone", 401, "")
	if _, err := two.server.Identity().Credentials(context.Background(), here.Account, pusher); err == nil {
		t.Error("the user has a key still")
	}
}
