package tokens

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const example = `{
  "cache": false,
  "hosts": [
    {"match": "111111111111.dkr.ecr.*.amazonaws.com", "profile": "prod"},
    {"match": ["*.dkr.ecr.*.amazonaws.com", "*.dkr-ecr.*.on.aws"], "role_arn": "arn:aws:iam::222222222222:role/ci"},
    {"match": "images.example", "account": "111111111111", "region": "us-east-2"},
    {"match": "registry.example:5000", "endpoint": "https://registry.example:5000", "region": "eu-west-1", "profile": "kontor"},
    {"match": "localhost:5050", "local": true, "data": "/srv/kontor"}
  ]
}`

func TestParseConfig(t *testing.T) {
	got, err := ParseConfig("credentials.json", []byte(example))
	want := Config{NoCache: true, Entries: []Entry{
		{Match: []string{"111111111111.dkr.ecr.*.amazonaws.com"}, Profile: "prod"},
		{Match: []string{"*.dkr.ecr.*.amazonaws.com", "*.dkr-ecr.*.on.aws"}, RoleARN: "arn:aws:iam::222222222222:role/ci"},
		{Match: []string{"images.example"}, Account: "111111111111", Region: "us-east-2"},
		{Match: []string{"registry.example:5000"}, Endpoint: "https://registry.example:5000", Region: "eu-west-1", Profile: "kontor"},
		{Match: []string{"localhost:5050"}, Local: true, Data: "/srv/kontor"},
	}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	// The first that matches counts.
	for host, profile := range map[string]string{
		"111111111111.dkr.ecr.us-east-2.amazonaws.com": "prod", "222222222222.dkr.ecr.us-east-2.amazonaws.com": "", "registry.example:5000": "kontor",
	} {
		t.Run(host, func(t *testing.T) {
			if e, ok := got.Find(host); !ok || e.Profile != profile {
				t.Errorf("%+v, %t", e, ok)
			}
		})
	}
	if e, ok := got.Find("elsewhere.example"); ok {
		t.Errorf("elsewhere.example has %+v", e)
	}
}

func TestParseConfigRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                          "c.json: 1:2",
		`[]`:                         "c.json:1:1: want the file, an object",
		`{"host": []}`:               `c.json:1:10: the file has no field "host": want hosts or cache`,
		`{"cache": "no"}`:            "want true or false",
		`{"hosts": {}}`:              "hosts: want a list",
		`{"hosts": [{}]}`:            "needs match",
		`{"hosts": [{"match": ""}]}`: "want text of 1",
		`{"hosts": [{"match": "a/b", "profile": "p"}]}`:                                                         `match: "a/b" is not a host`,
		`{"hosts": [{"match": "[a", "profile": "p"}]}`:                                                          "is not a host",
		`{"hosts": [{"match": "a", "secret": "s"}]}`:                                                            `an entry of hosts has no field "secret"`,
		`{"hosts": [{"match": "a", "role_arn": "admin"}]}`:                                                      "role_arn: want the ARN of a role",
		`{"hosts": [{"match": "a", "endpoint": "ftp://a", "region": "us-east-1"}]}`:                             "endpoint: want a URL",
		`{"hosts": [{"match": "a", "endpoint": "https://u:p@a", "region": "us-east-1"}]}`:                       "a URL with a password in it is not for a file",
		`{"hosts": [{"match": "a", "endpoint": "https://a"}]}`:                                                  "endpoint needs region",
		`{"hosts": [{"match": "a", "account": "1", "region": "us-east-1"}]}`:                                    "account",
		`{"hosts": [{"match": "a", "account": "111111111111"}]}`:                                                "account needs region",
		`{"hosts": [{"match": "a", "account": "111111111111", "region": "us-east-1", "endpoint": "http://a"}]}`: "set only one of them",
		`{"hosts": [{"match": "a", "local": true, "profile": "p"}]}`:                                            "local is a registry of this machine",
		`{"hosts": [{"match": "a", "data": "d"}]}`:                                                              "set local, too",
	} {
		t.Run(want, func(t *testing.T) {
			_, err := ParseConfig("c.json", []byte(text))
			if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "c.json:") {
				t.Errorf("%s: error %v, want %q in it", text, err, want)
			}
		})
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte(`{"hosts": [{"match": ["a", "*.b"]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseConfig("c.json", b)
		if err != nil {
			return
		}
		for _, e := range c.Entries {
			if len(e.Match) == 0 || e.Local && e.Endpoint != "" || e.Endpoint != "" && e.Region == "" {
				t.Errorf("%s: %+v", b, e)
			}
			c.Find(e.Match[0])
		}
	})
}
