package upstream

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// SecretPrefix begins the names of all secrets. Source: ECR user guide, "Storing your
// upstream repository credentials".
const SecretPrefix = "ecr-pullthroughcache/"

// maxSecret bounds user name and password together, in bytes.
const maxSecret = 32 << 10

var secretName = lazyregexp.New(`^ecr-pullthroughcache/[A-Za-z0-9/_+=.@-]{1,200}$`)

// Login is what a secret holds, as the JSON of AWS's secrets has it.
type Login struct {
	Username    string `json:"username"`
	AccessToken string `json:"accessToken"`
}

// Secret is what is told of a secret: never what it holds.
type Secret struct {
	Name, ARN            string
	CreatedAt, UpdatedAt time.Time
}

func secretOf(s meta.Secret) Secret {
	return Secret{Name: s.Name, ARN: s.ARN, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt}
}

// secretARN names a new secret as AWS does: with a hyphen and six random characters
// at its end.
func secretARN(in ecr.RegistryID, name string) string {
	return fmt.Sprintf("arn:%s:secretsmanager:%s:%s:secret:%s-%s", in.Region.Partition(), in.Region, in.Account, name, rand.Text()[:6])
}

// secretNameOf takes the name out of the ARN of a secret of a registry.
func secretNameOf(in ecr.RegistryID, arn string) (string, bool) {
	name, ok := strings.CutPrefix(arn, fmt.Sprintf("arn:%s:secretsmanager:%s:%s:secret:", in.Region.Partition(), in.Region, in.Account))
	if i := strings.LastIndexByte(name, '-'); ok && i == len(name)-7 && i > 0 {
		return name[:i], true
	}
	return "", false
}

// findSecret finds the secret that a rule names. Errors: SecretNotFound.
func findSecret(ctx context.Context, r meta.UpstreamReader, in ecr.RegistryID, arn string) (meta.Secret, error) {
	missing := ecr.Errorf(ecr.CodeSecretNotFound, "The ARN of the secret specified in the pull through cache rule was not found: '%s'. Store the credential with kontor upstreams login", arn)
	name, ok := secretNameOf(in, arn)
	if !ok {
		return meta.Secret{}, missing
	}
	s, err := r.Secret(ctx, in, name)
	if errors.Is(err, meta.ErrNotFound) || err == nil && s.ARN != arn {
		return meta.Secret{}, missing
	}
	return s, err
}

var opPutSecret = gate.Op("PutSecret", "kontor:PutSecret")

// PutSecret stores a credential, sealed with the master key, and returns the ARN
// that rules name it by. One that is there keeps its ARN. Errors: InvalidParameter.
func (c *Caller) PutSecret(ctx context.Context, in ecr.RegistryID, name string, login Login) (secret Secret, err error) {
	if !strings.HasPrefix(name, SecretPrefix) {
		name = SecretPrefix + name
	}
	now := c.s.cfg.Now()
	err = c.gate.Change(ctx, opPutSecret, func(ctx context.Context, tx *gate.Tx) error {
		if _, err := tx.EnterRegistry(ctx, in); err != nil {
			return err
		}
		switch {
		case !secretName.MatchString(name):
			return ecr.InvalidParameter("name", "Member must satisfy regular expression '%s'", secretName.String())
		case login.Username == "" || login.AccessToken == "":
			return ecr.InvalidParameter("accessToken", "username and accessToken must be given")
		case len(login.Username)+len(login.AccessToken) > maxSecret:
			return ecr.InvalidParameter("accessToken", "Member must have length less than or equal to %d", maxSecret)
		}
		row, err := tx.Retention().Secret(ctx, in, name)
		if errors.Is(err, meta.ErrNotFound) {
			row, err = meta.Secret{Registry: in, Name: name, ARN: secretARN(in, name), CreatedAt: now}, nil
		}
		if err != nil {
			return err
		}
		text, err := json.Marshal(login)
		if err != nil {
			return err
		}
		row.Sealed, row.UpdatedAt = c.s.cfg.Key.Seal(identity.KindSecret, row.ARN, text), now
		secret = secretOf(row)
		return tx.Retention().PutSecret(ctx, row)
	})
	if err == nil {
		c.s.forgetLogin(in, secret.ARN)
	}
	return secret, err
}

var opSecrets = gate.Op("Secrets", "kontor:ListSecrets")

// Secrets lists the credentials of a registry, in byte order of their names.
func (c *Caller) Secrets(ctx context.Context, in ecr.RegistryID) (list []Secret, err error) {
	err = c.gate.Read(ctx, opSecrets, func(ctx context.Context, v *gate.View) error {
		if _, err := v.EnterRegistry(ctx, in); err != nil {
			return err
		}
		rows, err := v.Retention().ListSecrets(ctx, in)
		list = nil
		for _, r := range rows {
			list = append(list, secretOf(r))
		}
		return err
	})
	return list, err
}

var opSecretARN = gate.Op("SecretARN", "kontor:ListSecrets")

// SecretARN is the ARN of the credential of that name. Errors: SecretNotFound.
func (c *Caller) SecretARN(ctx context.Context, in ecr.RegistryID, name string) (arn string, err error) {
	if !strings.HasPrefix(name, SecretPrefix) {
		name = SecretPrefix + name
	}
	err = c.gate.Read(ctx, opSecretARN, func(ctx context.Context, v *gate.View) error {
		if _, err := v.EnterRegistry(ctx, in); err != nil {
			return err
		}
		row, err := v.Retention().Secret(ctx, in, name)
		if errors.Is(err, meta.ErrNotFound) {
			return ecr.Errorf(ecr.CodeSecretNotFound, "There is no secret '%s' in the registry with id '%s': store one with kontor upstreams login", name, in.Account)
		}
		arn = row.ARN
		return err
	})
	return arn, err
}

var opDeleteSecret = gate.Op("DeleteSecret", "kontor:DeleteSecret")

// DeleteSecret removes a credential that no rule names. Errors: SecretNotFound,
// InvalidParameter.
func (c *Caller) DeleteSecret(ctx context.Context, in ecr.RegistryID, name string) error {
	if !strings.HasPrefix(name, SecretPrefix) {
		name = SecretPrefix + name
	}
	return c.gate.Change(ctx, opDeleteSecret, func(ctx context.Context, tx *gate.Tx) error {
		s, err := tx.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		row, err := tx.Retention().Secret(ctx, in, name)
		if errors.Is(err, meta.ErrNotFound) {
			return ecr.Errorf(ecr.CodeSecretNotFound, "There is no secret '%s' in the registry with id '%s'", name, in.Account)
		}
		if err != nil {
			return err
		}
		rules, err := RulesOf(s.Settings)
		if err != nil {
			return err
		}
		for _, r := range rules {
			if r.CredentialARN == row.ARN {
				return ecr.InvalidParameter("name", "the rule with prefix '%s' uses the secret: change or delete it first", r.Prefix)
			}
		}
		return tx.Retention().DeleteSecret(ctx, in, name)
	})
}

// source reads a rule's credential each time that its client logs in: one that was
// replaced, also by another replica, is used from then on.
func (s *Service) source(in ecr.RegistryID, arn string) remote.Source {
	if arn == "" {
		return nil
	}
	return remote.SourceFunc(func(ctx context.Context, _ string) (remote.Credential, error) {
		var row meta.Secret
		err := s.cfg.Gate.System(actor).Read(ctx, gate.Op("UpstreamSecret"), func(ctx context.Context, v *gate.View) (err error) {
			row, err = findSecret(ctx, v.Retention(), in, arn)
			return err
		})
		if err != nil {
			return remote.Credential{}, err
		}
		text, err := s.cfg.Key.Open(identity.KindSecret, row.ARN, row.Sealed)
		if err != nil {
			return remote.Credential{}, &ecr.Error{Code: ecr.CodeUnableToDecryptSecret, Message: "The secret '" + row.Name + "' cannot be read: store it again", Err: err}
		}
		var l Login
		if err := json.Unmarshal(text, &l); err != nil {
			return remote.Credential{}, fmt.Errorf("secret %s: %w", row.Name, err)
		}
		return remote.Credential{User: l.Username, Password: l.AccessToken}, nil
	})
}
