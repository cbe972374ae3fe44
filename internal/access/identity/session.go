package identity

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const (
	sessionKeyPrefix = "ASIA"
	sessionPurpose   = "kontor session token"
	// maxPacked is the most bytes that policies and tags of a session may have,
	// compressed; maxClaims bounds what a token of ours can unpack to.
	maxPacked       = 4 << 10
	maxClaims       = 64 << 10
	maxSessionToken = 12 << 10 // as text; ours are under 1 KiB except for long policies
)

// Session is what temporary credentials hold, sealed in their token: nothing
// of it is stored.
type Session struct {
	// UniqueID is the role's (AROA...) or, for GetSessionToken, the user's.
	UniqueID string `json:"u"`
	// Name is the role session's; "" for a user.
	Name string `json:"n,omitempty"`
	// Parent is the access key of the user that asked for the session of a user:
	// it ends with the key.
	Parent string `json:"p,omitempty"`
	// Policy is the session policy's text, PolicyARNs the managed session
	// policies; both limit.
	Policy     string   `json:"y,omitempty"`
	PolicyARNs []string `json:"a,omitempty"`
	// Tags are the session's, Transitive the names of those that it hands on.
	Tags           map[string]string `json:"t,omitempty"`
	Transitive     []string          `json:"v,omitempty"`
	SourceIdentity string            `json:"i,omitempty"`
	MFA            bool              `json:"m,omitempty"`
	// Duration is how long it lasts.
	Duration time.Duration `json:"-"`
}

// Temporary are temporary credentials.
type Temporary struct {
	Credentials
	SessionToken string
	Expires      time.Time
	// Packed is how much of the room for policies and tags is used, in percent.
	Packed int
}

// sealed is what a session token says.
type sealed struct {
	Session
	KeyID  string `json:"k"`
	Secret string `json:"s"`
	Issued int64  `json:"b"` // Unix seconds
	Until  int64  `json:"e"`
}

func (s sealed) expires() time.Time { return time.Unix(s.Until, 0).UTC() }

// CodePackedPolicyTooLarge: the policies and tags of a session are too long.
const CodePackedPolicyTooLarge ecr.Code = "PackedPolicyTooLarge"

// IssueSession makes temporary credentials. PackedPolicyTooLarge when policies
// and tags are too long together.
func (s *Service) IssueSession(ctx context.Context, session Session) (Temporary, error) {
	room, err := pack(map[string]any{"y": session.Policy, "a": session.PolicyARNs, "t": session.Tags, "v": session.Transitive})
	if err != nil {
		return Temporary{}, fmt.Errorf("issuing a session: %w", err)
	}
	packed := (len(room)*100 + maxPacked - 1) / maxPacked
	if session.Policy == "" && session.PolicyARNs == nil && session.Tags == nil {
		packed = 0
	}
	if packed > 100 {
		return Temporary{}, ecr.Errorf(CodePackedPolicyTooLarge, "Packed policy consumes %d%% of allotted space, please use smaller policy.", packed)
	}
	now := s.cfg.Now().UTC().Truncate(time.Second)
	out := Temporary{
		Credentials: Credentials{AccessKeyID: newSessionKeyID(), SecretAccessKey: newSecret()},
		Expires:     now.Add(session.Duration), Packed: packed,
	}
	raw, err := s.seal(ctx, sessionPurpose, sealed{session, out.AccessKeyID, out.SecretAccessKey, now.Unix(), out.Expires.Unix()})
	if err != nil {
		return Temporary{}, err
	}
	out.SessionToken = base64.StdEncoding.EncodeToString(raw)
	return out, nil
}

// pack is v as JSON, compressed.
func pack(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func unpack(b []byte, v any) error {
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b)), maxClaims))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// LookupSession returns whom temporary credentials belong to, as the store
// knows them now, and their secret. UnrecognizedClient when the token was not
// issued here for this key, or its user, role, access key or token key is
// gone; ExpiredToken when its time is over.
func (s *Service) LookupSession(ctx context.Context, accessKeyID, token string) (access.Principal, string, error) {
	raw, err := parseSessionToken(token)
	if err != nil {
		invalid := errInvalidToken()
		invalid.Err = err
		return access.Principal{}, "", invalid
	}
	var p access.Principal
	var secret string
	err = s.view(ctx, func(ctx context.Context, r meta.IdentityReader) error {
		keys, err := r.TokenKeys(ctx)
		if err != nil {
			return err
		}
		p, secret, err = s.session(ctx, r, keys, accessKeyID, raw)
		return err
	})
	if err != nil {
		return access.Principal{}, "", storeError(err, "looking up a session")
	}
	return p, secret, nil
}

// parseSessionToken takes a token apart, without believing any of it.
func parseSessionToken(token string) ([]byte, error) {
	if len(token) > maxSessionToken {
		return nil, fmt.Errorf("session token: longer than %d bytes", maxSessionToken)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(token)
	if err != nil {
		return nil, fmt.Errorf("session token: %w", err)
	}
	// The decoder passes over line ends.
	if base64.StdEncoding.EncodeToString(raw) != token {
		return nil, errors.New("session token: written by someone else")
	}
	return raw, nil
}

// openSession decrypts a token that was presented earlier in the request.
func (s *Service) openSession(ctx context.Context, raw []byte) (out sealed, err error) {
	err = s.view(ctx, func(ctx context.Context, r meta.IdentityReader) error {
		keys, err := r.TokenKeys(ctx)
		if err == nil {
			out, err = s.unseal(keys, raw)
		}
		return err
	})
	return out, err
}

// unseal decrypts the token.
func (s *Service) unseal(keys []meta.TokenKey, raw []byte) (out sealed, err error) {
	err = s.open(keys, sessionPurpose, raw, &out)
	return out, err
}

// session reads what a token represents within one transaction.
func (s *Service) session(ctx context.Context, r meta.IdentityReader, keys []meta.TokenKey, keyID string, raw []byte) (access.Principal, string, error) {
	none := func(err error) (access.Principal, string, error) {
		if errors.Is(err, meta.ErrNotFound) {
			err = errInvalidToken()
		}
		return access.Principal{}, "", err
	}
	c, err := s.unseal(keys, raw)
	if err != nil {
		return none(err)
	}
	if c.KeyID != keyID {
		return none(errInvalidToken())
	}
	if !s.cfg.Now().Before(c.expires()) {
		return none(ecr.Errorf(ecr.CodeExpiredToken, "The security token included in the request is expired"))
	}
	var p access.Principal
	if c.Name == "" {
		_, p, err = s.principal(ctx, r, c.Parent)
		if err == nil && p.UniqueID != c.UniqueID {
			err = errInvalidToken()
		}
	} else {
		p, err = s.roleSession(ctx, r, c)
	}
	if err != nil {
		return none(err)
	}
	if p.Session == nil {
		p.Session = &access.Session{}
	}
	p.KeyID = keyID
	p.Session.IssuedAt, p.Session.MFA = time.Unix(c.Issued, 0).UTC(), c.MFA
	p.Session.Token = raw
	return p, c.Secret, nil
}

func (s *Service) roleSession(ctx context.Context, r meta.IdentityReader, c sealed) (access.Principal, error) {
	role, err := r.RoleByID(ctx, c.UniqueID)
	if err != nil {
		return access.Principal{}, err
	}
	p := access.Principal{
		Account:  role.Account,
		ARN:      AssumedRoleARN(s.cfg.Partition, role, c.Name),
		UniqueID: role.UniqueID + ":" + c.Name,
		Tags:     MergeTags(role.Tags, c.Tags),
		Session: &access.Session{
			RoleARN: RoleARN(s.cfg.Partition, role), SourceIdentity: c.SourceIdentity, TransitiveTags: c.Transitive,
		},
	}
	if err := fillPolicies(ctx, r, &p, role.Policies, role.Inline, role.Boundary); err != nil {
		return access.Principal{}, err
	}
	if c.Policy != "" {
		p.Session.Policies = append(p.Session.Policies, access.Document{Name: "session policy", Text: c.Policy})
	}
	for _, arn := range c.PolicyARNs {
		text, err := s.PolicyText(ctx, r, role.Account, arn)
		if errors.Is(err, meta.ErrNotFound) {
			text = nothing
		} else if err != nil {
			return access.Principal{}, err
		}
		p.Session.Policies = append(p.Session.Policies, access.Document{Name: "session policy " + arn, Text: text})
	}
	return p, nil
}

// AssumedRoleARN is the ARN of a session of role.
func AssumedRoleARN(partition string, role meta.Role, session string) string {
	return fmt.Sprintf("arn:%s:sts::%s:assumed-role/%s/%s", partition, role.Account, role.Name, session)
}

// MergeTags is base with over laid over it, whatever the letter case of names;
// nil for none.
func MergeTags(base, over map[string]string) map[string]string {
	if len(over) == 0 {
		return base
	}
	out := maps.Clone(over)
	for name, value := range base {
		covered := false
		for other := range over {
			covered = covered || strings.EqualFold(name, other)
		}
		if !covered {
			out[name] = value
		}
	}
	return out
}

// PolicyText returns the default version of a managed policy that account may
// use, its own or everybody's. meta.ErrNotFound.
func (s *Service) PolicyText(ctx context.Context, r meta.IdentityReader, account ecr.AccountID, arn string) (string, error) {
	for _, m := range Managed() {
		if m.ARN(s.cfg.Partition) == arn {
			return managedTexts()[m.Name], nil
		}
	}
	name := arn[strings.LastIndexByte(arn, '/')+1:]
	p, err := r.Policy(ctx, account, name)
	if err == nil && PolicyARN(s.cfg.Partition, p) != arn {
		err = meta.ErrNotFound
	}
	return p.Versions[p.Default].Text, err
}

// PolicyARN is the ARN of a customer-managed policy.
func PolicyARN(partition string, p meta.Policy) string {
	return ecr.IAMARN(partition, p.Account, "policy"+PathOf(p.Path)+p.Name)
}

// UserPrincipal is u as a caller, without a key.
func (s *Service) UserPrincipal(ctx context.Context, r meta.IdentityReader, u meta.User) (access.Principal, error) {
	p := access.Principal{Account: u.Account, ARN: UserARN(s.cfg.Partition, u), UniqueID: u.UniqueID, Tags: u.Tags}
	return p, fillPolicies(ctx, r, &p, u.Policies, u.Inline, u.Boundary)
}

// RolePrincipal is a session of role as a caller, without a key.
func (s *Service) RolePrincipal(ctx context.Context, r meta.IdentityReader, role meta.Role, session string) (access.Principal, error) {
	return s.roleSession(ctx, r, sealed{Session: Session{UniqueID: role.UniqueID, Name: session}})
}

// WebSession is a session of a role, begun at the time issued for the holder of a token
// of an identity provider, as a caller without credentials of its own. meta.ErrNotFound
// when the role is gone.
func (s *Service) WebSession(ctx context.Context, r meta.IdentityReader, session Session, issued time.Time) (access.Principal, error) {
	p, err := s.roleSession(ctx, r, sealed{Session: session})
	if err == nil {
		p.Session.IssuedAt = issued
	}
	return p, err
}
