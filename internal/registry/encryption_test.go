package registry_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// Encryption is stored and told as ECR tells it.
func TestEncryption(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	const (
		id  = "1234abcd-12ab-34cd-56ef-1234567890ab"
		arn = "arn:aws:kms:us-east-1:000000000000:"
	)
	for i, tt := range []struct {
		given ecr.Encryption
		want  string // the key, as a pattern
		bad   bool
	}{
		{ecr.Encryption{}, `^$`, false},
		{ecr.Encryption{Type: "AES256"}, `^$`, false},
		{ecr.Encryption{Type: "AES256", KMSKey: id}, "", true},
		{ecr.Encryption{Type: "KMS"}, `^` + arn + `key/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`, false},
		{ecr.Encryption{Type: "KMS", KMSKey: "alias/images"}, `^` + arn + `alias/images$`, false},
		{ecr.Encryption{Type: "KMS", KMSKey: id}, `^` + arn + `key/` + id + `$`, false},
		{ecr.Encryption{Type: "KMS_DSSE", KMSKey: "arn:aws:kms:us-east-1:999999999999:key/" + id}, `999999999999:key/` + id + `$`, false},
		{ecr.Encryption{Type: "KMS", KMSKey: arn + "alias/images"}, `alias/images$`, false},
		{ecr.Encryption{Type: "KMS", KMSKey: "arn:aws:kms:eu-west-1:000000000000:key/" + id}, "", true},
		{ecr.Encryption{Type: "KMS", KMSKey: "arn:aws:kms:us-east-1:1:key/" + id}, "", true},
		{ecr.Encryption{Type: "KMS", KMSKey: "arn:aws:s3:::bucket"}, "", true},
		{ecr.Encryption{Type: "KMS", KMSKey: "my key"}, "", true},
		{ecr.Encryption{Type: "ROT13"}, "", true},
	} {
		n := registry.NewRepository{Repo: testkit.At(fmt.Sprint("app", i)), Encryption: tt.given}
		made, err := f.CreateRepository(t.Context(), n)
		if tt.bad {
			testkit.WantCode(t, err, ecr.CodeInvalidParameter, "encryptionConfiguration")
			continue
		}
		told, err2 := f.DescribeRepositories(t.Context(), n.In, []ecr.RepositoryName{n.Name})
		if err != nil || err2 != nil || told[0].Encryption != made.Encryption || !regexp.MustCompile(tt.want).MatchString(made.Encryption.KMSKey) ||
			tt.given.Type != "" && made.Encryption.Type != tt.given.Type {
			t.Errorf("%v: %v, told %v, %v %v", tt.given, made.Encryption, told, err, err2)
		}
	}
}
