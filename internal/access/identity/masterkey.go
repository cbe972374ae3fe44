package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/kontor-registry/kontor/internal/durable"
)

// MasterKeySize is the size in bytes of a master key and of its file.
const MasterKeySize = 32

// ErrMasterKey means that what the database holds was sealed under another
// master key.
var ErrMasterKey = errors.New("the secrets in this database were sealed under another master key: " +
	"start with the master key file that this data was created with, or restore that file from its backup")

// MasterKey seals the secrets that the database keeps. It lives in a file
// outside the database, so that neither the database nor a copy of it tells a
// secret. Make one with the functions below; it is safe for concurrent use.
type MasterKey struct {
	aead     cipher.AEAD
	id       [keyIDSize]byte
	download [sha256.Size]byte
}

const (
	sealedVersion = 1
	keyIDSize     = 8
	headerSize    = 1 + keyIDSize
)

// NewMasterKey makes a MasterKey of MasterKeySize random bytes.
func NewMasterKey(raw []byte) (MasterKey, error) {
	if len(raw) != MasterKeySize {
		return MasterKey{}, fmt.Errorf("master key: want %d bytes, have %d", MasterKeySize, len(raw))
	}
	aead, err := deriveAEAD(raw, nil, "kontor master key: sealing")
	if err != nil {
		return MasterKey{}, fmt.Errorf("master key: %w", err)
	}
	id, err := hkdf.Key(sha256.New, raw, nil, "kontor master key: id", keyIDSize)
	if err != nil {
		return MasterKey{}, fmt.Errorf("master key: %w", err)
	}
	download, err := hkdf.Key(sha256.New, raw, nil, "kontor master key: download URLs", sha256.Size)
	if err != nil {
		return MasterKey{}, fmt.Errorf("master key: %w", err)
	}
	return MasterKey{aead: aead, id: [keyIDSize]byte(id), download: [sha256.Size]byte(download)}, nil
}

// DownloadKey authenticates download URLs. It is the same in every process that has
// the master key, so that each accepts the URLs of the others.
func (k MasterKey) DownloadKey() []byte { return k.download[:] }

// deriveAEAD is AES-256-GCM, with the nonce drawn for each message, under a
// key derived from secret for one purpose.
func deriveAEAD(secret, salt []byte, purpose string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, secret, salt, purpose, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Kind says what a sealed secret is.
type Kind string

// The secrets the database keeps.
const (
	KindAccessKey  Kind = "access-key" // id: AKIA...
	KindTokenKey   Kind = "token-key"
	KindSecret     Kind = "secret"         // id: its ARN
	KindReceiver   Kind = "event receiver" // id: its id
	KindSigningKey Kind = "signing key"    // id: the ARN of its profile
)

// Seal encrypts secret for the row kind and id. Layout: one byte of version,
// 8 bytes that tell master keys apart, nonce, ciphertext with tag.
func (k MasterKey) Seal(kind Kind, id string, secret []byte) []byte {
	sealed := make([]byte, 0, headerSize+len(secret)+k.aead.Overhead())
	sealed = append(sealed, sealedVersion)
	sealed = append(sealed, k.id[:]...)
	return k.aead.Seal(sealed, nil, secret, associated(sealed, kind, id))
}

// Open decrypts what Seal made for the same row. ErrMasterKey when another
// key sealed it; any other error means that the bytes were changed or moved
// from another row.
func (k MasterKey) Open(kind Kind, id string, sealed []byte) ([]byte, error) {
	if len(sealed) < headerSize || sealed[0] != sealedVersion {
		return nil, fmt.Errorf("sealed %s %s: not a sealed secret of version %d", kind, id, sealedVersion)
	}
	header, body := sealed[:headerSize], sealed[headerSize:]
	if subtle.ConstantTimeCompare(header[1:], k.id[:]) != 1 {
		return nil, fmt.Errorf("sealed %s %s: %w", kind, id, ErrMasterKey)
	}
	secret, err := k.aead.Open(nil, nil, body, associated(header, kind, id))
	if err != nil {
		return nil, fmt.Errorf("sealed %s %s: damaged, or moved here from another row: %w", kind, id, err)
	}
	return secret, nil
}

// associated binds a ciphertext to its header and its row. No kind contains a
// zero byte, so two rows never share a value.
func associated(header []byte, kind Kind, id string) []byte {
	ad := make([]byte, 0, len(header)+len(kind)+1+len(id))
	ad = append(ad, header...)
	ad = append(ad, kind...)
	ad = append(ad, 0)
	return append(ad, id...)
}

// LoadMasterKey reads the key at path. The file must hold exactly
// MasterKeySize bytes and be readable by its owner only, or by root and a group. errors.Is(err,
// fs.ErrNotExist) when there is none.
func LoadMasterKey(path string) (MasterKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return MasterKey{}, fmt.Errorf("master key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return MasterKey{}, fmt.Errorf("master key %s: not a regular file", path)
	}
	// Windows has no such bits; there the folder's access list protects it. A file
	// of root's may be read by its group: so Kubernetes gives a secret to a
	// process that is not root's.
	others := fs.FileMode(0o077)
	if ownedByRoot(info) {
		others = 0o037
	}
	if perm := info.Mode().Perm(); perm&others != 0 && runtime.GOOS != "windows" {
		return MasterKey{}, fmt.Errorf("master key %s: mode %04o lets other users read it; run: chmod 600 %s", path, perm, path)
	}
	if info.Size() != MasterKeySize {
		return MasterKey{}, fmt.Errorf("master key %s: %d bytes, want %d: restore the file from its backup", path, info.Size(), MasterKeySize)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return MasterKey{}, fmt.Errorf("master key: %w", err)
	}
	k, err := NewMasterKey(raw)
	if err != nil {
		return MasterKey{}, fmt.Errorf("master key %s: %w", path, err)
	}
	return k, nil
}

// CreateMasterKey writes a new random key to path, which must not exist
// (fs.ErrExist), and returns it once it is durable. The key is written and
// synced under another name and linked to path, so a crash leaves at path
// either nothing or the whole key, and no other process' key is replaced.
func CreateMasterKey(path string) (MasterKey, error) {
	raw := make([]byte, MasterKeySize)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	temp := path + ".new-" + rand.Text()
	if err := writeKeyFile(temp, raw); err != nil {
		return MasterKey{}, fmt.Errorf("creating the master key: %w", errors.Join(err, removeIfThere(temp)))
	}
	if err := errors.Join(os.Link(temp, path), removeIfThere(temp)); err != nil {
		return MasterKey{}, fmt.Errorf("creating the master key: %w", err)
	}
	if err := durable.SyncDir(filepath.Dir(path)); err != nil {
		return MasterKey{}, fmt.Errorf("creating the master key: %w", err)
	}
	return NewMasterKey(raw)
}

// LoadOrCreateMasterKey loads the key at path or creates it when there is
// none. Callers whose database holds secrets already use LoadMasterKey: a new
// key would not open them.
func LoadOrCreateMasterKey(path string) (MasterKey, error) {
	k, err := LoadMasterKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	k, err = CreateMasterKey(path)
	if errors.Is(err, fs.ErrExist) {
		return LoadMasterKey(path)
	}
	return k, err
}

func writeKeyFile(path string, raw []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(raw); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
