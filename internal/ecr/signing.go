package ecr

// SigningStatus is how far the signature of an image by a signing profile is.
type SigningStatus string

// States of signatures. Source: ECR API reference, ImageSigningStatus.
const (
	SigningInProgress SigningStatus = "IN_PROGRESS"
	SigningComplete   SigningStatus = "COMPLETE"
	SigningFailed     SigningStatus = "FAILED"
)
