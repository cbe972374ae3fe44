package iam

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
	"github.com/kontor-registry/kontor/policy"
)

// Quotas (IAM user guide, "IAM and AWS STS quotas", default values).
const (
	maxUserName     = 64 // of users and roles
	maxPolicyName   = 128
	maxPath         = 512
	maxKeys         = 2
	maxAttached     = 10
	maxTags         = 50
	maxTagKey       = 128
	maxTagValue     = 256
	maxInlineUser   = 2048 // of all inline policies, without white space
	maxInlineRole   = 10240
	maxManaged      = 6144
	maxTrust        = 2048
	maxVersions     = 5
	maxDescription  = 1000
	maxExternalID   = 1224
	maxSessionPart  = 2048 // of a session policy
	maxSessionARNs  = 10
	maxAudiences    = 100
	maxIssuersCount = 100
)

var (
	namePattern     = lazyregexp.New(`^[A-Za-z0-9_+=,.@-]+$`)
	pathPattern     = lazyregexp.New(`^/([\x21-\x7e]+/)?$`)
	prefixPattern   = lazyregexp.New(`^/[\x21-\x7e]*$`)
	sessionPattern  = lazyregexp.New(`^[A-Za-z0-9_+=,.@-]{2,64}$`)
	externalPattern = lazyregexp.New(`^[A-Za-z0-9_+=,.@:/-]{2,}$`)
)

// invalid is the text of a parameter that breaks the API's model.
func invalid(parameter, value, constraint string, args ...any) error {
	return ecr.Errorf(ecr.CodeValidation, "1 validation error detected: Value '%.200s' at '%s' failed to satisfy constraint: %s",
		value, parameter, fmt.Sprintf(constraint, args...))
}

func checkName(parameter, name string, most int) error {
	switch {
	case name == "":
		return invalid(parameter, name, "Member must have length greater than or equal to 1")
	case len(name) > most:
		return invalid(parameter, name, "Member must have length less than or equal to %d", most)
	case !namePattern.MatchString(name):
		return ecr.Errorf(ecr.CodeValidation, "The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-", parameter)
	}
	return nil
}

// checkPath completes a path: "" is "/".
func checkPath(path *string) error {
	if *path == "" {
		*path = "/"
	}
	if len(*path) > maxPath || !pathPattern.MatchString(*path) {
		return ecr.Errorf(ecr.CodeValidation, "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	}
	return nil
}

func checkDescription(text string) error {
	if utf8.RuneCountInString(text) > maxDescription {
		return invalid("description", text, "Member must have length less than or equal to %d", maxDescription)
	}
	return nil
}

// packed is the size of a policy as IAM counts it.
func packed(text string) int {
	n := 0
	for _, r := range text {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	return n
}

// checkDocument reads a policy of the kind.
func checkDocument(text string, kind policy.Kind) (policy.Document, error) {
	doc, err := policy.ParseFor([]byte(text), kind)
	if err == nil && kind == policy.Identity && doc.Version == "" {
		return doc, nil
	}
	if err != nil {
		return doc, ecr.Errorf(CodeMalformedPolicyDocument, "Syntax errors in policy. %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return doc, nil
}

// A Tag is a name with a value. Names differ in more than letter case.
type Tag struct{ Key, Value string }

func checkTags(have map[string]string, add []Tag) (map[string]string, error) {
	seen := map[string]bool{}
	out := maps.Clone(have)
	if out == nil {
		out = map[string]string{}
	}
	for _, t := range add {
		switch {
		case t.Key == "":
			return nil, invalid("tags.member.key", t.Key, "Member must have length greater than or equal to 1")
		case utf8.RuneCountInString(t.Key) > maxTagKey:
			return nil, invalid("tags.member.key", t.Key, "Member must have length less than or equal to %d", maxTagKey)
		case utf8.RuneCountInString(t.Value) > maxTagValue:
			return nil, invalid("tags.member.value", t.Value, "Member must have length less than or equal to %d", maxTagValue)
		case !wordText(t.Key) || !wordText(t.Value):
			return nil, invalid("tags.member", t.Key, `Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]*`)
		case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return nil, ecr.Errorf(CodeInvalidInput, "Caller is not allowed to use system tag prefix aws:.")
		case seen[strings.ToLower(t.Key)]:
			return nil, ecr.Errorf(CodeInvalidInput, "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[strings.ToLower(t.Key)] = true
		maps.DeleteFunc(out, func(k, _ string) bool { return strings.EqualFold(k, t.Key) })
		out[t.Key] = t.Value
	}
	if len(out) > maxTags {
		return nil, ecr.Errorf(CodeLimitExceeded, "The number of tags has reached the maximum limit of %d.", maxTags)
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

func wordText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.Is(unicode.Z, r) && !strings.ContainsRune("_.:/=+-@", r)
	})
}

func tagMap(tags []Tag) map[string]string {
	out := make(map[string]string, len(tags))
	for _, t := range tags {
		out[t.Key] = t.Value
	}
	return out
}

func tagKeys(tags []Tag) []string { return slices.Sorted(maps.Keys(tagMap(tags))) }

// Tags are a map's, by name.
func Tags(m map[string]string) []Tag {
	var out []Tag
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, Tag{k, m[k]})
	}
	return out
}

func limitExceeded(quota string, most int) error {
	return ecr.Errorf(CodeLimitExceeded, "Cannot exceed quota for %s: %d", quota, most)
}
