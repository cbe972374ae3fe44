package iamapi

import (
	"net/url"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// FuzzParams reads whatever a form holds as lists, numbers and tags: lists are
// bounded, and what cannot be read is the client's error.
func FuzzParams(f *testing.F) {
	f.Add("L.member.1=a&L.member.2=b&L.member.4=never&N=5")
	f.Add("L.member.1.Key=k&L.member.1.Value=v&L.member.2.Key=")
	f.Add("L.member.1.ContextKeyName=a&L.member.1.ContextKeyValues.member.1=b&PolicyArns.member.1.arn=arn")
	f.Add("N=99999999999999999999&L=1&L.member=2")
	f.Fuzz(func(t *testing.T, query string) {
		form, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		p := &params{form: form}
		if n := len(p.texts("L")); n > maxMembers {
			t.Fatalf("%d texts", n)
		}
		if n := len(p.tags("L")); n > maxMembers {
			t.Fatalf("%d tags", n)
		}
		if n := len(p.context("L")); n > maxMembers {
			t.Fatalf("%d keys", n)
		}
		if d := p.seconds("N"); p.err == nil && form.Get("N") == "" && d != 0 {
			t.Fatalf("an absent number is %v", d)
		}
		p.need("N")
		if p.err == nil {
			return
		}
		if c := ecr.CodeOf(p.err); c != ecr.CodeValidation && c != ecr.CodeSerialization {
			t.Fatalf("%q: %v", query, p.err)
		}
	})
}
