package ecrapi

// Known reports whether the API has an operation, served or not.
func Known(operation string) bool {
	_, ok := modelled[operation]
	return ok
}
