package ecrapi

import (
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/testkit"
	"github.com/kontor-registry/kontor/internal/upstream"
)

// The five operations on pull-through cache rules, in the order in which a rule is
// made, looked at, changed and removed.
func TestPullThroughCacheRules(t *testing.T) {
	s := newServer(t)
	secret, err := s.h.cfg.Upstreams.As(s.p).PutSecret(t.Context(), testkit.Home, "hub", upstream.Login{Username: "u", AccessToken: "t"})
	if err != nil {
		t.Fatal(err)
	}
	const (
		missing = "PullThroughCacheRuleNotFoundException: The pull through cache rule with prefix 'quay' does not exist in the registry with id '000000000000'"
		quay    = `"ecrRepositoryPrefix": "quay", "upstreamRegistryUrl": "quay.io", "upstreamRepositoryPrefix": "ROOT", "registryId": "000000000000", "createdAt": ` + created
		k8s     = `"ecrRepositoryPrefix": "k8s", "upstreamRegistryUrl": "registry.k8s.io", "upstreamRepositoryPrefix": "ROOT", "registryId": "000000000000", "customRoleArn": "arn:aws:iam::000000000000:role/pull"`
		unknown = "arn:aws:secretsmanager:us-east-1:000000000000:secret:ecr-pullthroughcache/none-abcdef"
	)
	const foreignRole = `InvalidParameterException: Invalid parameter at 'customRoleArn' failed to satisfy constraint: '"arn:aws:iam::111111111111:role/pull" must be the ARN of a role in account 000000000000, such as arn:aws:iam::000000000000:role/ecr-upstream'`
	hub := `"ecrRepositoryPrefix": "docker-hub", "upstreamRegistryUrl": "registry-1.docker.io", "upstreamRepositoryPrefix": "ROOT", "registryId": "000000000000", "credentialArn": "` + secret.ARN + `"`
	s.steps(t,
		step{"DescribePullThroughCacheRules", `{}`, `{"pullThroughCacheRules": []}`},
		step{"DescribePullThroughCacheRules", `{"ecrRepositoryPrefixes": ["quay"]}`, missing},
		step{"DescribePullThroughCacheRules", `{"nextToken": "x"}`, "InvalidParameterException: Invalid parameter at 'nextToken' failed to satisfy constraint: 'must be a token that this operation returned for the same parameters'"},
		step{"UpdatePullThroughCacheRule", `{"ecrRepositoryPrefix": "quay", "credentialArn": "` + secret.ARN + `"}`, missing},
		step{"DeletePullThroughCacheRule", `{"ecrRepositoryPrefix": "quay"}`, missing},
		step{"ValidatePullThroughCacheRule", `{"ecrRepositoryPrefix": "quay"}`, missing},

		step{"CreatePullThroughCacheRule", `{"ecrRepositoryPrefix": "quay", "upstreamRegistryUrl": "quay.io"}`, `{"upstreamRegistry": "quay", ` + quay + `}`},
		step{"CreatePullThroughCacheRule", `{"ecrRepositoryPrefix": "quay", "upstreamRegistryUrl": "quay.io"}`,
			"PullThroughCacheRuleAlreadyExistsException: The pull through cache rule with prefix 'quay' already exists in the registry with id '000000000000'"},
		step{"CreatePullThroughCacheRule", `{"ecrRepositoryPrefix": "x1", "upstreamRegistryUrl": "registry.example"}`,
			"UnsupportedUpstreamRegistryException: The upstream registry URL registry.example is invalid. Specify a valid upstream registry URL and try again"},
		step{"CreatePullThroughCacheRule", `{"ecrRepositoryPrefix": "x1", "upstreamRegistryUrl": "quay.io", "upstreamRegistry": "k8s"}`,
			"UnsupportedUpstreamRegistryException: The upstream registry URL quay.io is invalid. Specify a valid upstream registry URL and try again"},
		step{"CreatePullThroughCacheRule", `{"ecrRepositoryPrefix": "docker-hub", "upstreamRegistryUrl": "registry-1.docker.io"}`,
			"UnsupportedUpstreamRegistryException: The specified upstream registry requires authentication. Specify a valid Secrets Manager ARN and try again"},
		step{"CreatePullThroughCacheRule", `{"ecrRepositoryPrefix": "docker-hub", "upstreamRegistryUrl": "registry-1.docker.io", "credentialArn": "` + unknown + `"}`,
			"SecretNotFoundException: The ARN of the secret specified in the pull through cache rule was not found: '" + unknown + "'. Store the credential with kontor upstreams login"},
		step{"CreatePullThroughCacheRule", `{"ecrRepositoryPrefix": "docker-hub", "upstreamRegistryUrl": "registry-1.docker.io", "credentialArn": "` + secret.ARN + `"}`,
			`{"upstreamRegistry": "docker-hub", "createdAt": ` + created + `, ` + hub + `}`},
		step{"CreatePullThroughCacheRule", `{"ecrRepositoryPrefix": "ROOT", "upstreamRegistryUrl": "quay.io", "upstreamRepositoryPrefix": "team"}`,
			"ValidationException: The upstreamRepositoryPrefix can only be set when the ecrRepositoryPrefix is not ROOT"},

		step{"DescribePullThroughCacheRules", `{"ecrRepositoryPrefixes": ["quay"]}`, `{"pullThroughCacheRules": [{"upstreamRegistry": "quay", ` + quay + `}]}`},
		step{"UpdatePullThroughCacheRule", `{"ecrRepositoryPrefix": "quay", "credentialArn": "` + secret.ARN + `"}`,
			`{"ecrRepositoryPrefix": "quay", "upstreamRepositoryPrefix": "ROOT", "registryId": "000000000000", "updatedAt": ` + created + `, "credentialArn": "` + secret.ARN + `"}`},
		step{"UpdatePullThroughCacheRule", `{"ecrRepositoryPrefix": "quay"}`,
			"InvalidParameterException: Invalid parameter at 'credentialArn' failed to satisfy constraint: 'credentialArn or customRoleArn must be given'"},
		step{"UpdatePullThroughCacheRule", `{"ecrRepositoryPrefix": "quay", "customRoleArn": "arn:aws:iam::111111111111:role/pull"}`, foreignRole},
		step{"CreatePullThroughCacheRule", `{"ecrRepositoryPrefix": "k8s", "upstreamRegistryUrl": "registry.k8s.io", "customRoleArn": "arn:aws:iam::111111111111:role/pull"}`, foreignRole},
		step{"CreatePullThroughCacheRule", `{"ecrRepositoryPrefix": "k8s", "upstreamRegistryUrl": "registry.k8s.io", "customRoleArn": "arn:aws:iam::000000000000:role/pull"}`,
			`{"upstreamRegistry": "k8s", "createdAt": ` + created + `, ` + k8s + `}`},
		step{"UpdatePullThroughCacheRule", `{"ecrRepositoryPrefix": "k8s", "customRoleArn": "arn:aws:iam::000000000000:role/path/other"}`,
			`{"ecrRepositoryPrefix": "k8s", "upstreamRepositoryPrefix": "ROOT", "registryId": "000000000000", "updatedAt": ` + created + `, "customRoleArn": "arn:aws:iam::000000000000:role/path/other"}`},
		step{"DeletePullThroughCacheRule", `{"ecrRepositoryPrefix": "k8s"}`, `{"createdAt": ` + created + `, ` + strings.Replace(k8s, "role/pull", "role/path/other", 1) + `}`},
		step{"DeletePullThroughCacheRule", `{"ecrRepositoryPrefix": "quay"}`, `{` + quay + `, "credentialArn": "` + secret.ARN + `"}`},
		step{"DescribePullThroughCacheRules", `{"ecrRepositoryPrefixes": ["quay"]}`, missing},
	)
	all := ok[DescribePullThroughCacheRulesResponse](t, s, "DescribePullThroughCacheRules", `{"maxResults": 1}`)
	if len(all.PullThroughCacheRules) != 1 || all.NextToken != nil {
		t.Errorf("the rest: %+v", all)
	}
}
