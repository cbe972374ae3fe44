package admin

import "time"

// PutSecretRequest stores a credential of an upstream registry.
type PutSecretRequest struct {
	RegistryID  string `json:"registryId,omitzero"`
	Name        string `json:"name"` // with or without "ecr-pullthroughcache/"
	Username    string `json:"username"`
	AccessToken string `json:"accessToken"`
}

// PutSecretResponse says how pull-through cache rules name it.
type PutSecretResponse struct {
	Secret Secret `json:"secret"`
}

// Secret describes a credential, and never tells it.
type Secret struct {
	Name      string    `json:"name"`
	ARN       string    `json:"arn"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// ListSecretsRequest asks for the credentials of a registry.
type ListSecretsRequest struct {
	RegistryID string `json:"registryId,omitzero"`
}

// ListSecretsResponse is in the order of names.
type ListSecretsResponse struct {
	Secrets []Secret `json:"secrets"`
}

// DeleteSecretRequest removes a credential that no rule names.
type DeleteSecretRequest struct {
	RegistryID string `json:"registryId,omitzero"`
	Name       string `json:"name"`
}

// DeleteSecretResponse is empty.
type DeleteSecretResponse struct{}

// RefreshUpstreamRequest makes the tags of a cached repository be compared with its
// upstream at their next pull, and one tag at once.
type RefreshUpstreamRequest struct {
	RegistryID     string `json:"registryId,omitzero"`
	RepositoryName string `json:"repositoryName"`
	ImageTag       string `json:"imageTag,omitzero"`
}

// RefreshUpstreamResponse says what the tag stood for and stands for; "" without one.
type RefreshUpstreamResponse struct {
	RepositoryName string `json:"repositoryName"`
	Upstream       string `json:"upstream"`
	ImageTag       string `json:"imageTag,omitzero"`
	DigestBefore   string `json:"digestBefore,omitzero"`
	DigestAfter    string `json:"digestAfter,omitzero"`
}

// Upstream is a pull-through cache rule, as the ECR API has it.
type Upstream struct {
	Prefix         string    `json:"ecrRepositoryPrefix"`
	URL            string    `json:"upstreamRegistryUrl"`
	Registry       string    `json:"upstreamRegistry,omitzero"`
	UpstreamPrefix string    `json:"upstreamRepositoryPrefix"`
	CredentialARN  string    `json:"credentialArn,omitzero"`
	CreatedAt      time.Time `json:"createdAt"`
	UpdatedAt      time.Time `json:"updatedAt,omitzero"`
}

// ListUpstreamsRequest asks for the rules of a registry.
type ListUpstreamsRequest struct {
	RegistryID string `json:"registryId,omitzero"`
}

// ListUpstreamsResponse is in the order of prefixes.
type ListUpstreamsResponse struct {
	Upstreams []Upstream `json:"upstreams"`
}

// CreateUpstreamRequest adds a rule. Secret is the name of a credential.
type CreateUpstreamRequest struct {
	RegistryID     string `json:"registryId,omitzero"`
	Prefix         string `json:"ecrRepositoryPrefix"`
	URL            string `json:"upstreamRegistryUrl"`
	UpstreamPrefix string `json:"upstreamRepositoryPrefix,omitzero"`
	Secret         string `json:"secret,omitzero"`
}

// CreateUpstreamResponse is the rule.
type CreateUpstreamResponse struct {
	Upstream Upstream `json:"upstream"`
}

// DeleteUpstreamRequest removes a rule. What was cached stays.
type DeleteUpstreamRequest struct {
	RegistryID string `json:"registryId,omitzero"`
	Prefix     string `json:"ecrRepositoryPrefix"`
}

// DeleteUpstreamResponse is empty.
type DeleteUpstreamResponse struct{}

// ValidateUpstreamRequest reaches the registry of a rule and logs in to it.
type ValidateUpstreamRequest struct {
	RegistryID string `json:"registryId,omitzero"`
	Prefix     string `json:"ecrRepositoryPrefix"`
}

// ValidateUpstreamResponse says what is wrong, if it is not valid.
type ValidateUpstreamResponse struct {
	Upstream Upstream `json:"upstream"`
	IsValid  bool     `json:"isValid"`
	Failure  string   `json:"failure,omitzero"`
}
