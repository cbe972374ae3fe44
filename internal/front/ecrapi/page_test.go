package ecrapi

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/ecr"
)

var home = ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}

func mustListing(t interface{ Fatal(...any) }, operation string, in ecr.RegistryID, parameters any) listing {
	l, err := newListing(operation, in, parameters)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestTokenRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := mustListing(t, "ListImages", home, rapid.String().Draw(t, "parameters"))
		cursor := rapid.StringN(1, -1, 300).Draw(t, "cursor")
		got, err := l.cursor(l.token(cursor))
		if err != nil || got != cursor {
			t.Fatalf("%q, %v; want %q", got, err, cursor)
		}
	})
}

func TestTokenOfAnEnd(t *testing.T) {
	l := mustListing(t, "ListImages", home, nil)
	if got := l.token(""); got != nil {
		t.Errorf("token %q after the last page", *got)
	}
	if got, err := l.cursor(nil); got != "" || err != nil {
		t.Errorf("%q, %v without a token", got, err)
	}
}

// A token goes on with the listing that it came from and with no other.
func TestTokenIsBound(t *testing.T) {
	request := func(name, status string) ListImagesRequest {
		return ListImagesRequest{RepositoryName: &name, Filter: &ListImagesFilter{TagStatus: &status}}
	}
	token := mustListing(t, "ListImages", home, request("app", "TAGGED")).token("cursor")
	for name, l := range map[string]listing{
		"other operation":  mustListing(t, "DescribeImages", home, request("app", "TAGGED")),
		"other region":     mustListing(t, "ListImages", ecr.RegistryID{Account: home.Account, Region: "eu-west-1"}, request("app", "TAGGED")),
		"other account":    mustListing(t, "ListImages", ecr.RegistryID{Account: "111111111111", Region: home.Region}, request("app", "TAGGED")),
		"other repository": mustListing(t, "ListImages", home, request("other", "TAGGED")),
		"other filter":     mustListing(t, "ListImages", home, request("app", "ANY")),
	} {
		t.Run(name, func(t *testing.T) {
			if cursor, err := l.cursor(token); ecr.CodeOf(err) != ecr.CodeInvalidParameter {
				t.Errorf("%q, %v", cursor, err)
			}
		})
	}
	if _, err := mustListing(t, "ListImages", home, request("app", "TAGGED")).cursor(token); err != nil {
		t.Errorf("same listing: %v", err)
	}
}

func FuzzToken(f *testing.F) {
	l := mustListing(f, "ListImages", home, nil)
	f.Add(*l.token("cursor"))
	f.Add("")
	f.Add("AQ==")
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, token string) {
		cursor, err := l.cursor(&token)
		if err != nil {
			if ecr.CodeOf(err) != ecr.CodeInvalidParameter {
				t.Errorf("%v", err)
			}
			return
		}
		if again := l.token(cursor); again == nil || *again != token {
			t.Errorf("%q is read as %q, whose token is another", token, cursor)
		}
	})
}
