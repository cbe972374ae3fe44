package managed

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	notaryx509 "github.com/notaryproject/notation-core-go/x509"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/signing/trust"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Limits of profiles.
const (
	// MaxProfiles is how many profiles a registry has at most.
	MaxProfiles = 100
	// MaxDays is how long a certificate that is made is valid at most, DefaultDays how
	// long it is if nothing is said.
	MaxDays     = 36500
	DefaultDays = 3650
)

// NewProfile is a profile to be created.
type NewProfile struct {
	Name string
	// Key and Certificates are in PEM: a private key, and its certificates up to the
	// root, that of the key first. Both are "" for a key that is to be made, with a
	// certificate that it signs itself.
	Key, Certificates string
	// Subject is that of the certificate that is made, such as
	// "C=DE, ST=HH, O=Example, CN=release"; "" for one that names the registry and the
	// profile. It is valid for Days, by default DefaultDays.
	Subject string
	Days    int
	// Replace puts the key in place of that of the profile of the name, which must be
	// there.
	Replace bool
}

// Profile is what is told of a profile: never its key.
type Profile struct {
	Name, ARN            string
	CreatedAt, UpdatedAt time.Time
	Certificates         string // in PEM, that of the key first
	Subject              string // of the certificate of the key
	NotAfter             time.Time
}

func profileOf(m meta.SigningProfile) (Profile, error) {
	p := Profile{Name: m.Name, ARN: trust.ARN(m.Registry, m.Name), CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt, Certificates: m.Certificates}
	chain, err := trust.ParseCertificates(m.Certificates)
	if err != nil {
		return p, fmt.Errorf("reading the signing profile %s: %w", p.ARN, err)
	}
	p.Subject, p.NotAfter = chain[0].Subject.String(), chain[0].NotAfter
	for _, c := range chain {
		if c.NotAfter.Before(p.NotAfter) {
			p.NotAfter = c.NotAfter
		}
	}
	return p, nil
}

func invalid(format string, args ...any) error {
	return ecr.InvalidParameter("signingProfile", format, args...)
}

var opCreateProfile = gate.Op("CreateProfile", "kontor:CreateSigningProfile")

// CreateProfile stores a key to sign images with, sealed with the master key.
// Errors: InvalidParameter, LimitExceeded.
func (c *Caller) CreateProfile(ctx context.Context, in ecr.RegistryID, n NewProfile) (p Profile, err error) {
	now := c.s.cfg.Now()
	var key, chain string
	var wrong error
	if wrong = trust.CheckName(n.Name); wrong != nil {
		wrong = invalid("a profile's name has 2 to 64 letters, digits and underscores")
	} else if key, chain, err = material(in, n, now); err != nil {
		wrong = invalid("%s", err)
	}
	err = c.gate.Change(ctx, opCreateProfile, func(ctx context.Context, tx *gate.Tx) error {
		if _, err := tx.EnterRegistry(ctx, in); err != nil {
			return err
		}
		if wrong != nil {
			return wrong
		}
		row := meta.SigningProfile{Registry: in, Name: n.Name, CreatedAt: now, UpdatedAt: now, Certificates: chain}
		old, err := tx.Registries().Signings().Profile(ctx, in, n.Name)
		there := err == nil
		switch {
		case err != nil && !errors.Is(err, meta.ErrNotFound):
			return err
		case there && !n.Replace:
			return invalid("the registry with id '%s' has a signing profile '%s' already", in.Account, n.Name)
		case !there && n.Replace:
			return invalid("the registry with id '%s' has no signing profile '%s'", in.Account, n.Name)
		case there:
			row.CreatedAt = old.CreatedAt
		}
		all, err := tx.Registries().Signings().Profiles(ctx, in)
		if err != nil {
			return err
		}
		if !there && len(all) >= MaxProfiles {
			return ecr.Errorf(ecr.CodeLimitExceeded, "The registry with id '%s' has %d signing profiles, which is the most there can be. Delete one first.", in.Account, MaxProfiles)
		}
		if p, err = profileOf(row); err != nil {
			return err
		}
		row.Sealed = c.s.cfg.Key.Seal(identity.KindSigningKey, p.ARN, []byte(key))
		return tx.Registries().SigningWriter().PutProfile(ctx, row)
	})
	return p, err
}

var opProfiles = gate.Op("Profiles", "kontor:ListSigningProfiles")

// Profiles returns the profiles of a registry in byte order of their names, or the one of
// that name if it is not "". Errors: InvalidParameter, for a profile that is not there.
func (c *Caller) Profiles(ctx context.Context, in ecr.RegistryID, name string) (list []Profile, err error) {
	err = c.gate.Read(ctx, opProfiles, func(ctx context.Context, v *gate.View) error {
		list = nil
		if _, err := v.EnterRegistry(ctx, in); err != nil {
			return err
		}
		all, err := v.Registries().Signings().Profiles(ctx, in)
		if err != nil {
			return err
		}
		for _, m := range all {
			if name != "" && m.Name != name {
				continue
			}
			p, err := profileOf(m)
			if err != nil {
				return err
			}
			list = append(list, p)
		}
		if name != "" && len(list) == 0 {
			return noProfile(in, name)
		}
		return nil
	})
	return list, err
}

func noProfile(in ecr.RegistryID, name string) error {
	return invalid("the registry with id '%s' has no signing profile '%s'", in.Account, name)
}

var opDeleteProfile = gate.Op("DeleteProfile", "kontor:DeleteSigningProfile")

// DeleteProfile removes a profile, and with it the key, for ever. What it signed stays
// signed. Errors: InvalidParameter, for a profile that is not there or that a rule of the
// signing configuration names.
func (c *Caller) DeleteProfile(ctx context.Context, in ecr.RegistryID, name string) error {
	return c.gate.Change(ctx, opDeleteProfile, func(ctx context.Context, tx *gate.Tx) error {
		s, err := tx.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		rules, _, err := ConfigurationOf(s.Settings)
		if err != nil {
			return err
		}
		for _, r := range rules.Rules {
			if r.Profile == trust.ARN(in, name) {
				return invalid("the signing configuration names the profile '%s': change it first", name)
			}
		}
		err = tx.Registries().SigningWriter().DeleteProfile(ctx, in, name)
		if errors.Is(err, meta.ErrNotFound) {
			return noProfile(in, name)
		}
		return err
	})
}

// material is the key and the certificates of a new profile, in PEM.
func material(in ecr.RegistryID, n NewProfile, now time.Time) (key, chain string, err error) {
	switch {
	case (n.Key == "") != (n.Certificates == ""):
		return "", "", errors.New("a private key and its certificates go together")
	case n.Key == "":
		return made(in, n, now)
	case n.Subject != "" || n.Days != 0:
		return "", "", errors.New("a subject and a number of days are for a certificate that is made, and there is one")
	case len(n.Key) > trust.MaxKeyBytes:
		return "", "", fmt.Errorf("the private key has %d bytes; at most %d are read", len(n.Key), trust.MaxKeyBytes)
	}
	if _, err := load(n.Key, n.Certificates, now); err != nil {
		return "", "", err
	}
	return n.Key, n.Certificates, nil
}

// made makes a key, and a certificate that it signs itself. Source: Notary Project,
// "Certificate Requirements": a certificate of its own may be the trust anchor.
func made(in ecr.RegistryID, n NewProfile, now time.Time) (key, chain string, err error) {
	days := cmp.Or(n.Days, DefaultDays)
	if days < 1 || days > MaxDays {
		return "", "", fmt.Errorf("a certificate is valid for 1 to %d days, and not for %d", MaxDays, days)
	}
	// Trust policies of notation need a country, a state and an organization.
	subject := pkix.Name{Country: []string{"XX"}, Province: []string{string(in.Region)}, Organization: []string{string(in.Account)}, CommonName: n.Name}
	if n.Subject != "" {
		if subject, err = trust.ParseSubject(n.Subject); err != nil {
			return "", "", err
		}
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), Subject: subject,
		// Clocks of those who verify may be a little late.
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Duration(days) * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return "", "", err
	}
	sealed, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: sealed})), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}

// load makes a signer of a key and its certificates, if they are good for signing at now.
func load(key, certificates string, now time.Time) (signature.LocalSigner, error) {
	chain, err := trust.ParseCertificates(certificates)
	if err != nil {
		return nil, err
	}
	private, err := parseKey(key)
	if err != nil {
		return nil, err
	}
	for _, c := range chain {
		if now.After(c.NotAfter) {
			return nil, fmt.Errorf("the certificate of %s expired on %s", c.Subject, c.NotAfter.UTC().Format(time.DateTime+" UTC"))
		}
	}
	if err := notaryx509.ValidateCodeSigningCertChain(chain, &now); err != nil {
		return nil, fmt.Errorf("the certificates are not good for signing: %w", err)
	}
	s, err := signature.NewLocalSigner(chain, private)
	if err != nil {
		return nil, fmt.Errorf("the key and the first certificate do not fit: %w", err)
	}
	return s, nil
}

// parseKey reads a private key in PEM, of the forms that openssl writes.
func parseKey(text string) (crypto.PrivateKey, error) {
	block, _ := pem.Decode([]byte(strings.TrimSpace(text)))
	if block == nil {
		return nil, errors.New("the private key is not in PEM: it begins with -----BEGIN PRIVATE KEY-----")
	}
	if block.Type == "EC PARAMETERS" { // of openssl ecparam -genkey without -noout
		_, rest := pem.Decode([]byte(strings.TrimSpace(text)))
		if block, _ = pem.Decode(rest); block == nil {
			return nil, errors.New("there is no private key after the EC PARAMETERS")
		}
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("the private key is encrypted: decrypt it first, such as with openssl pkey")
	default:
		return nil, fmt.Errorf("there is a %s in place of the private key", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("the private key cannot be read: %w", err)
	}
	return key, nil
}
