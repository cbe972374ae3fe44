package host

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/datadir"
)

func TestExternals(t *testing.T) {
	all := []datadir.Registry{{Name: "us", Account: "123456789012", Region: "us-east-1"}, {Name: "eu", Account: "123456789012", Region: "eu-west-1"}}
	for _, tt := range []struct {
		name string
		args []string
		want string // the URLs, or a part of the error
	}{
		{"none", nil, "[<nil> <nil>]"},
		{"the first, whose port others follow", []string{"http://registry.example:5050/"}, "[http://registry.example:5050 http://registry.example:5051]"},
		{"each by name", []string{"us=https://us.example", "eu=https://eu.example:8443"}, "[https://us.example https://eu.example:8443]"},
		{"one by name", []string{"eu=https://eu.example"}, "[<nil> https://eu.example]"},
		{"of ECR's form", []string{"us=http://123456789012.dkr.ecr.us-east-1.amazonaws.com:5050"}, "[http://123456789012.dkr.ecr.us-east-1.amazonaws.com:5050 <nil>]"},
		{"an address", []string{"http://[fd00::1]:80"}, "[http://[fd00::1]:80 http://[fd00::1]:81]"},
		{"of another registry", []string{"eu=http://123456789012.dkr.ecr.us-east-1.amazonaws.com"}, "its name is of account 123456789012 in us-east-1, and registry eu is of account 123456789012 in eu-west-1"},
		{"no port to follow", []string{"https://registry.example"}, "the server has 2 registries: give a port"},
		{"no such registry", []string{"ap=https://ap.example"}, `there is no registry "ap" here: the server has us, eu`},
		{"twice", []string{"us=https://a.example", "us=https://b.example"}, "two URLs for the same registry"},
		{"a path", []string{"https://registry.example/images"}, "without a path"},
		{"no scheme", []string{"registry.example:5050"}, "want http://HOST:PORT"},
		{"another scheme", []string{"ftp://registry.example"}, "want http://HOST:PORT"},
		{"a password", []string{"http://a:b@registry.example"}, "want http://HOST:PORT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x, err := ParseExternals(tt.args)
			if err == nil {
				err = x.check(all)
			}
			got := []any{}
			for i := range all {
				if err == nil {
					u, e := x.of(all, i)
					got, err = append(got, u), e
				}
			}
			if err != nil {
				if !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%v, want %s", err, tt.want)
				}
			} else if fmt.Sprint(got) != tt.want {
				t.Errorf("%v, want %s", got, tt.want)
			}
		})
	}
	for s, want := range map[string]string{"10.0.0.7": "[10.0.0.7/32]", "fd00::/8": "[fd00::/8]", "proxy": "error"} {
		if got, err := ParseProxies([]string{s}); err == nil && fmt.Sprint(got) != want || err != nil && want != "error" {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
}
