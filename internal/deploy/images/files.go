package images

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/jsonpos"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
	"github.com/kontor-registry/kontor/internal/textfile"
)

// The files of a snapshot's folder.
const (
	aboutFile    = "snapshot.json"
	imagesFile   = "images.json"
	policyFile   = "policy.json"
	manifestsDir = "manifests"
)

// maxFile bounds what is read of one manifest file: far more than the largest
// manifest that ECR takes, 4 MiB.
const maxFile = 64 << 20

// about is snapshot.json.
type about struct {
	Version    int                `json:"version"`
	Taken      time.Time          `json:"taken"`
	Account    ecr.AccountID      `json:"account"`
	Region     ecr.Region         `json:"region"`
	Repository ecr.RepositoryName `json:"repository"`
	Kontor     bool               `json:"kontor"`
}

const version = 1

// Open reads a file that `aws ecr describe-images` wrote, "-" for stdin, or the
// folder of a snapshot.
func Open(path string, stdin io.Reader) (s Snapshot, err error) {
	if info, err := os.Stat(path); path != "-" && err == nil && info.IsDir() {
		return openSnapshot(path)
	}
	in, end, err := open(path, stdin)
	if err != nil {
		return Snapshot{}, err
	}
	s, err = Parse(in)
	if err = errors.Join(err, end()); err != nil {
		return Snapshot{}, &FileError{Name(path), err}
	}
	return s, nil
}

// FileError is what is wrong with a file.
type FileError struct {
	File string
	Err  error
}

// Error is "FILE:LINE:COLUMN: message" where the place is known.
func (e *FileError) Error() string {
	var syntax *jsonpos.SyntaxError
	if errors.As(e.Err, &syntax) {
		return e.File + ":" + e.Err.Error()
	}
	return e.File + ": " + e.Err.Error()
}

// Unwrap returns what is wrong.
func (e *FileError) Unwrap() error { return e.Err }

func openSnapshot(dir string) (Snapshot, error) {
	text, err := os.ReadFile(filepath.Join(dir, aboutFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Snapshot{}, fmt.Errorf("%s is a folder without %s: want the folder that kontor lifecycle snapshot wrote, or the output of aws ecr describe-images", dir, aboutFile)
	} else if err != nil {
		return Snapshot{}, fileError(dir, err)
	}
	var a about
	if text, err = textfile.Decode(text); err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err != nil {
		return Snapshot{}, fmt.Errorf("%s: %w", filepath.Join(dir, aboutFile), err)
	}
	if a.Version != version {
		return Snapshot{}, fmt.Errorf("%s: version %d, but this kontor reads version %d", filepath.Join(dir, aboutFile), a.Version, version)
	}
	s, err := Open(filepath.Join(dir, imagesFile), nil)
	if err != nil {
		return Snapshot{}, err
	}
	s.Kontor = a.Kontor
	s.Taken, s.Repository, s.Registry = a.Taken.UTC(), a.Repository, ecr.RegistryID{Account: a.Account, Region: a.Region}
	policy, err := os.ReadFile(filepath.Join(dir, policyFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Snapshot{}, fileError(filepath.Join(dir, policyFile), err)
	}
	if policy, err = textfile.Decode(policy); err != nil {
		return Snapshot{}, fmt.Errorf("%s: %w", filepath.Join(dir, policyFile), err)
	}
	s.Policy = string(policy)
	manifests := filepath.Join(dir, manifestsDir)
	if _, err := os.Stat(manifests); errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	strange, err := s.AddManifests(manifests)
	if err == nil && len(strange) > 0 {
		err = fmt.Errorf("%s is not the manifest of an image of the snapshot", filepath.Join(manifests, strange[0]))
	}
	return s, err
}

// Save writes s into the folder dir, which must not exist or be empty.
func (s *Snapshot) Save(dir string) error {
	if entries, err := os.ReadDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileError(dir, err)
	} else if len(entries) > 0 {
		return fmt.Errorf("%s is not empty: choose a new or empty folder", dir)
	}
	manifests := filepath.Join(dir, manifestsDir)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fileError(dir, err)
	}
	write := func(name string, text []byte) error {
		return os.WriteFile(filepath.Join(dir, name), text, 0o666)
	}
	writeJSON := func(name string, v any) error {
		text, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return err
		}
		return write(name, append(text, '\n'))
	}
	details := s.Details
	if details == nil {
		details = []Detail{}
	}
	err := writeJSON(imagesFile, struct {
		Details []Detail `json:"imageDetails"`
	}{details})
	if err == nil && s.Policy != "" {
		err = write(policyFile, []byte(s.Policy))
	}
	if err == nil && s.Manifests != nil {
		err = os.MkdirAll(manifests, 0o777)
	}
	for digest, text := range s.Manifests {
		if err != nil {
			break
		}
		if _, hexDigits := nameDigest(digest); hexDigits == "" {
			err = fmt.Errorf("the digest %q cannot be the name of a file", digest)
			break
		}
		err = write(filepath.Join(manifestsDir, strings.Replace(digest, ":", "-", 1)+".json"), text)
	}
	if err != nil {
		return err
	}
	// last, so that a folder with it is whole
	return writeJSON(aboutFile, about{version, s.Taken, s.Registry.Account, s.Registry.Region, s.Repository, s.Kontor})
}

// AddManifests reads the manifests of images of s from the files below dir. A
// file is a manifest, known by its SHA-256 or else by a digest in its name, or
// what `aws ecr batch-get-image` prints. strange are the files that are neither.
func (s *Snapshot) AddManifests(dir string) (strange []string, err error) {
	if s.Manifests == nil {
		s.Manifests = map[string][]byte{}
	}
	known := make(map[string]bool, len(s.Details))
	for _, d := range s.Details {
		known[d.Digest] = true
	}
	// A link or device below dir is not followed out of it.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fileError(dir, err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	err = fs.WalkDir(root.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if hidden := path != "." && strings.HasPrefix(e.Name(), "."); hidden && e.IsDir() {
			return fs.SkipDir
		} else if hidden || !e.Type().IsRegular() {
			return nil
		}
		if info, err := e.Info(); err != nil || info.Size() > maxFile {
			strange = append(strange, path)
			return err
		}
		text, err := root.ReadFile(path)
		if err != nil {
			return err
		}
		if !s.addManifest(known, e.Name(), text) {
			strange = append(strange, path)
		}
		return nil
	})
	if err != nil {
		return nil, fileError(dir, err)
	}
	return strange, nil
}

// addManifest reports whether text is the manifest of an image in known, or
// has some.
func (s *Snapshot) addManifest(known map[string]bool, name string, text []byte) bool {
	var answer struct {
		Images []struct {
			ID       struct{ ImageDigest string } `json:"imageId"`
			Manifest string                       `json:"imageManifest"`
		} `json:"images"`
	}
	if json.Unmarshal(decoded(text), &answer) == nil && answer.Images != nil {
		any := false
		for _, m := range answer.Images {
			if known[m.ID.ImageDigest] {
				s.Manifests[m.ID.ImageDigest] = []byte(m.Manifest)
				any = true
			}
		}
		return any
	}
	// editors and shells like to end a file with a line's end
	for _, t := range [][]byte{text, bytes.TrimRight(text, "\r\n")} {
		sum := sha256.Sum256(t)
		if digest := "sha256:" + hex.EncodeToString(sum[:]); known[digest] {
			s.Manifests[digest] = t
			return true
		}
	}
	if digest, _ := nameDigest(name); known[digest] && json.Valid(decoded(text)) {
		if _, sure := s.Manifests[digest]; !sure {
			s.Manifests[digest] = decoded(text)
		}
		return true
	}
	return false
}

var hexDigest = lazyregexp.New(`^(?:sha256[-:_])?([0-9a-f]{64})(?:\.[a-z.]+)?$`)

// nameDigest is the digest that a file is named for, and its digits; empty
// when there is none.
func nameDigest(name string) (digest, digits string) {
	m := hexDigest.FindStringSubmatch(name)
	if m == nil {
		return "", ""
	}
	return "sha256:" + m[1], m[1]
}

func fileError(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s does not exist", path)
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("reading %s: %w", path, err)
}
