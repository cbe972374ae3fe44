package admin

import "time"

// SigningProfile is a key that the registry signs images with, as the rules of its
// signing configuration name it. The key is never told.
type SigningProfile struct {
	Name string `json:"name"`
	ARN  string `json:"arn"` // such as "arn:aws:signer:us-east-1:111111111111:/signing-profiles/release"
	// Subject is that of the certificate of the key, NotAfter when the first certificate
	// of the chain expires.
	Subject  string    `json:"subject"`
	NotAfter time.Time `json:"notAfter"`
	// Certificates are in PEM, that of the key first.
	Certificates string    `json:"certificates"`
	CreatedAt    time.Time `json:"createdAt"`
	UpdatedAt    time.Time `json:"updatedAt"`
}

// CreateSigningProfileRequest stores a key to sign images with.
type CreateSigningProfileRequest struct {
	RegistryID string `json:"registryId,omitzero"`
	Name       string `json:"name"`
	// Key is a private key in PEM, Certificates its chain, that of the key first. Without
	// them a key is made, with a certificate that it signs itself.
	Key          string `json:"key,omitzero"`
	Certificates string `json:"certificates,omitzero"`
	// Subject is that of the certificate that is made, such as
	// "C=DE, ST=HH, O=Example, CN=release"; Days is how long it is valid, by default 3650.
	Subject string `json:"subject,omitzero"`
	Days    int    `json:"days,omitzero"`
	// Replace puts the key in place of that of the profile that has the name.
	Replace bool `json:"replace,omitzero"`
}

// CreateSigningProfileResponse is the profile as it was stored.
type CreateSigningProfileResponse struct {
	Profile SigningProfile `json:"profile"`
}

// ListSigningProfilesRequest asks for the profiles of a registry, or for one.
type ListSigningProfilesRequest struct {
	RegistryID string `json:"registryId,omitzero"`
	Name       string `json:"name,omitzero"`
}

// ListSigningProfilesResponse is in the order of names.
type ListSigningProfilesResponse struct {
	Profiles []SigningProfile `json:"profiles"`
}

// DeleteSigningProfileRequest removes a profile and its key.
type DeleteSigningProfileRequest struct {
	RegistryID string `json:"registryId,omitzero"`
	Name       string `json:"name"`
}

// DeleteSigningProfileResponse is empty.
type DeleteSigningProfileResponse struct{}
