package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Lifetimes of what LocalCA makes. Some clients refuse server certificates
// that are valid for longer than 398 days.
const (
	caLife     = 10 * 365 * 24 * time.Hour
	serverLife = 397 * 24 * time.Hour
	renewAt    = 90 * 24 * time.Hour // before the end
)

// LocalFiles are the files of a local certificate authority.
type LocalFiles struct {
	CA         string // what clients must trust
	Cert, Key  string // the server's
	caKey, dir string
}

// LocalCA makes a certificate authority in dir, unless there is one, and a
// server certificate for hosts (names and addresses), unless there is one that
// holds for long enough and for all of them. The authority stays, so that who
// trusts it once is done; it can sign nothing but servers.
func LocalCA(dir string, hosts []string, now time.Time) (LocalFiles, error) {
	f := LocalFiles{
		CA: filepath.Join(dir, "ca.pem"), caKey: filepath.Join(dir, "ca-key.pem"),
		Cert: filepath.Join(dir, "server.pem"), Key: filepath.Join(dir, "server-key.pem"), dir: dir,
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return f, err
	}
	ca, caKey, err := readPair(f.CA, f.caKey)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		ca, caKey, err = f.makeCA(now)
	case err == nil && now.After(ca.NotAfter.Add(-serverLife)):
		err = fmt.Errorf("the certificate authority in %s ends on %s: remove the folder to make another, and trust that one", dir, ca.NotAfter.Format(time.DateOnly))
	}
	if err != nil {
		return f, fmt.Errorf("local certificate authority: %w", err)
	}
	leaf, _, err := readPair(f.Cert, f.Key)
	if err == nil && now.Before(leaf.NotAfter.Add(-renewAt)) && leaf.CheckSignatureFrom(ca) == nil && covers(leaf, hosts) {
		return f, nil
	}
	return f, f.makeServer(ca, caKey, hosts, now)
}

func covers(c *x509.Certificate, hosts []string) bool {
	for _, h := range hosts {
		if c.VerifyHostname(h) != nil {
			return false
		}
	}
	return true
}

func (f LocalFiles) makeCA(now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	name, err := os.Hostname()
	if err != nil {
		name = "this machine"
	}
	t := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "Kontor local registry on " + name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(caLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	key, err := sign(t, nil, nil, f.CA, f.caKey)
	if err != nil {
		return nil, nil, err
	}
	ca, _, err := readPair(f.CA, f.caKey)
	return ca, key, err
}

func (f LocalFiles) makeServer(ca *x509.Certificate, caKey *ecdsa.PrivateKey, hosts []string, now time.Time) error {
	t := &x509.Certificate{
		Subject:   pkix.Name{CommonName: hosts[0]},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(serverLife),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	_, err := sign(t, ca, caKey, f.Cert, f.Key)
	return err
}

// sign makes a key and a certificate for it, signed by the parent or, without
// one, by itself. The key's file comes first: a key without a certificate is
// made again, a certificate without its key would not be.
func sign(t, parent *x509.Certificate, parentKey *ecdsa.PrivateKey, certFile, keyFile string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, err
	}
	if parent == nil {
		parent, parentKey = t, key
	}
	cert, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := writePEM(keyFile, "PRIVATE KEY", der, 0o600); err != nil {
		return nil, err
	}
	return key, writePEM(certFile, "CERTIFICATE", cert, 0o644)
}

// writePEM replaces a file whole.
func writePEM(name, kind string, der []byte, mode fs.FileMode) error {
	fresh := name + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(fresh, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		return err
	}
	return os.Rename(fresh, name)
}

// readPair reads a certificate and its key. fs.ErrNotExist when there is no
// certificate.
func readPair(certFile, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certDER, err := readPEM(certFile)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", certFile, err)
	}
	keyDER, err := readPEM(keyFile)
	if err != nil {
		// Not wrapped: that the key is missing must not pass for "nothing there".
		return nil, nil, fmt.Errorf("%s is there, but its key is not to be had: %s", certFile, err.Error())
	}
	parsed, err := x509.ParsePKCS8PrivateKey(keyDER)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, nil, fmt.Errorf("%s is not the key of %s", keyFile, certFile)
	}
	return cert, key, nil
}

func readPEM(name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM", name)
	}
	return block.Bytes, nil
}
