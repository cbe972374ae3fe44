package admin

import "time"

// Signer is someone whose signatures of images are trusted. It has exactly one of Key,
// Keyless and Certificates.
type Signer struct {
	// Name is what policies call it (kontor:SignedBy).
	Name string `json:"name"`
	// Repositories are patterns of repository names; without one, it is trusted in all.
	Repositories []string `json:"repositories,omitzero"`
	Key          string   `json:"key,omitzero"` // a public key in PEM
	Keyless      *Keyless `json:"keyless,omitzero"`
	Certificates string   `json:"certificates,omitzero"` // root certificates in PEM
	Subject      string   `json:"subject,omitzero"`      // such as "C=DE, O=Example"
	// CreatedAt and UpdatedAt are ignored by PutSigner.
	CreatedAt time.Time `json:"createdAt,omitzero"`
	UpdatedAt time.Time `json:"updatedAt,omitzero"`
}

// Keyless is an identity in certificates of a Sigstore instance.
type Keyless struct {
	Issuer      string `json:"issuer"`
	Identity    string `json:"identity"`
	TrustedRoot string `json:"trustedRoot"` // trusted_root.json of the instance
}

// PutSignerRequest stores a signer, in place of the one that has its name.
type PutSignerRequest struct {
	RegistryID string `json:"registryId,omitzero"`
	Signer     Signer `json:"signer"`
}

// PutSignerResponse is the signer as it was stored.
type PutSignerResponse struct {
	Signer Signer `json:"signer"`
}

// ListSignersRequest asks for the signers of a registry.
type ListSignersRequest struct {
	RegistryID string `json:"registryId,omitzero"`
}

// ListSignersResponse is in the order of names.
type ListSignersResponse struct {
	Signers []Signer `json:"signers"`
}

// DeleteSignerRequest removes a signer.
type DeleteSignerRequest struct {
	RegistryID string `json:"registryId,omitzero"`
	Name       string `json:"name"`
}

// DeleteSignerResponse is empty.
type DeleteSignerResponse struct{}

// ListImageSignaturesRequest asks who signed an image, named by its digest or its tag.
type ListImageSignaturesRequest struct {
	RegistryID     string `json:"registryId,omitzero"`
	RepositoryName string `json:"repositoryName"`
	ImageDigest    string `json:"imageDigest,omitzero"`
	ImageTag       string `json:"imageTag,omitzero"`
}

// ListImageSignaturesResponse says who signed an image.
type ListImageSignaturesResponse struct {
	RepositoryName string `json:"repositoryName"`
	ImageDigest    string `json:"imageDigest"`
	// SignedBy are the values of kontor:SignedBy, Trusted the signers that are trusted
	// in the repository.
	SignedBy   []string    `json:"signedBy"`
	Trusted    []string    `json:"trusted"`
	Signatures []Signature `json:"signatures"`
}

// Signature is one signature as one signer's trust judges it.
type Signature struct {
	Signer string `json:"signer"`
	// Accepted: it is a signature of the signer. Otherwise Reason says why not.
	Accepted bool   `json:"accepted"`
	Reason   string `json:"reason,omitzero"`
	// As is what the signature says of who signed.
	As   string `json:"as,omitzero"`
	Form string `json:"form"`
	// Of is the digest that was signed: of the image or of an index that lists it.
	Of       string    `json:"of"`
	Manifest string    `json:"manifest"` // that holds the signature
	Layer    string    `json:"layer,omitzero"`
	Until    time.Time `json:"until,omitzero"` // when the verdict ends
}
