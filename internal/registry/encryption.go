package registry

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
)

// Keys of KMS as CreateRepository takes them: an alias, the id of a key, or the
// ARN of either. Source: API reference, EncryptionConfiguration.
var (
	keyAlias = lazyregexp.New(`^alias/[A-Za-z0-9/_-]{1,250}$`)
	keyID    = lazyregexp.New(`^(mrk-)?[0-9a-f-]{32,36}$`)
)

// encryption is e of a new repository, as it is stored and told: without a key,
// AWS's own key for ECR in the registry; with an alias or an id, its ARN. There
// is no KMS here: nothing is encrypted with the key, and whether it exists is
// not known. Errors: InvalidParameter.
func encryption(in ecr.RegistryID, e ecr.Encryption) (ecr.Encryption, error) {
	refuse := func(format string, args ...any) (ecr.Encryption, error) {
		return e, ecr.InvalidParameter("encryptionConfiguration", format, args...)
	}
	switch e.Type {
	case "", "AES256":
		if e.KMSKey != "" {
			return refuse("encryption type AES256 takes no kmsKey; use KMS")
		}
		return ecr.Encryption{Type: "AES256"}, nil
	case "KMS", "KMS_DSSE":
	default:
		return refuse("there is no encryption type %q; use AES256, KMS or KMS_DSSE", e.Type)
	}
	prefix := fmt.Sprintf("arn:%s:kms:%s:%s:", in.Region.Partition(), in.Region, in.Account)
	switch key := e.KMSKey; {
	case key == "":
		sum := sha256.Sum256([]byte(prefix + "alias/aws/ecr"))
		e.KMSKey = fmt.Sprintf("%skey/%x-%x-%x-%x-%x", prefix, sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	case keyAlias.MatchString(key):
		e.KMSKey = prefix + key
	case keyID.MatchString(key):
		e.KMSKey = prefix + "key/" + key
	default:
		parts := strings.SplitN(key, ":", 6)
		if len(parts) < 6 || parts[0] != "arn" || parts[2] != "kms" {
			return refuse("kmsKey %q must be an alias such as alias/images, the id of a key, or the ARN of either", key)
		}
		if id, ok := strings.CutPrefix(parts[5], "key/"); !keyAlias.MatchString(parts[5]) && (!ok || !keyID.MatchString(id)) {
			return refuse("kmsKey %q must be the ARN of a key or an alias", key)
		}
		if parts[1] != in.Region.Partition() || parts[3] != string(in.Region) {
			return refuse("kmsKey %q must be in the registry's region, %s", key, in.Region)
		}
		if _, err := ecr.ParseAccountID(parts[4]); err != nil {
			return refuse("kmsKey %q must name an account of 12 digits", key)
		}
	}
	return e, nil
}
