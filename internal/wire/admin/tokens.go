package admin

import "time"

// CreateUserTokenRequest asks for a machine token of a user of the caller's account.
type CreateUserTokenRequest struct {
	UserName  string `json:"userName"`
	TokenName string `json:"tokenName"`
	// Pull and Push are patterns of repository names, with * and ?, that may be
	// pulled from, and pulled from and pushed to. Policy is an IAM policy instead of
	// them. Without any, the token may do what the user may.
	Pull   []string `json:"pull,omitzero"`
	Push   []string `json:"push,omitzero"`
	Policy string   `json:"policy,omitzero"`
	// ExpiresAt is when the token ends; absent for never.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
}

// CreateUserTokenResponse is the only one that has the password.
type CreateUserTokenResponse struct {
	Token    UserToken `json:"token"`
	Password string    `json:"password"`
}

// ListUserTokensRequest asks for the tokens of a user.
type ListUserTokensRequest struct {
	UserName string `json:"userName"`
}

// ListUserTokensResponse is in byte order of the names.
type ListUserTokensResponse struct {
	UserName string      `json:"userName"`
	Tokens   []UserToken `json:"tokens"`
	// Off: the server does not accept machine tokens.
	Off bool `json:"off,omitzero"`
}

// DeleteUserTokenRequest names a token, by its name or id.
type DeleteUserTokenRequest struct {
	UserName  string `json:"userName"`
	TokenName string `json:"tokenName"`
}

// DeleteUserTokenResponse is the token that was.
type DeleteUserTokenResponse struct {
	Token UserToken `json:"token"`
}

// UserToken is a machine token.
type UserToken struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	UserName  string    `json:"userName"`
	Policy    string    `json:"policy,omitzero"` // its scope; absent for what the user may do
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	Expired   bool      `json:"expired"`
	// LastUsedAt is about when it was used last, to a quarter of an hour, and
	// LastUsedFrom the address of the client then. Absent when it never was.
	LastUsedAt   time.Time `json:"lastUsedAt,omitzero"`
	LastUsedFrom string    `json:"lastUsedFrom,omitzero"`
}
