package authz

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

// absent are the condition keys that no request has, because of what this
// server is not: no caller is an AWS service, nor acts through one.
var absent = []string{
	"aws:calledvia", "aws:calledviafirst", "aws:calledvialast",
	"aws:principalservicename", "aws:principalservicenameslist",
	"aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid", "aws:sourceorgpaths",
}

// principalKeys are those that package policy answers itself. Where it has no
// value, there is none.
var principalKeys = []string{
	"aws:principalaccount", "aws:principalarn", "aws:principalisawsservice", "aws:principaltype",
	"aws:resourceaccount", "aws:userid", "aws:username",
}

// requestKeys are those that Request and its Principal have. They say false of
// what they do not know.
var requestKeys = map[string]func(r *Request) ([]string, bool){
	"aws:sourceip": func(r *Request) ([]string, bool) {
		a := r.Principal.Request.Source
		return []string{a.Unmap().WithZone("").String()}, a.IsValid()
	},
	"aws:securetransport": ofRequest(func(r *Request) string { return strconv.FormatBool(r.Principal.Request.TLS) }),
	"aws:useragent":       ofRequest(func(r *Request) string { return r.Principal.Request.UserAgent }),
	"aws:currenttime": ofRequest(func(r *Request) string {
		return r.Principal.Request.At.UTC().Format(time.RFC3339)
	}),
	"aws:epochtime":      ofRequest(func(r *Request) string { return strconv.FormatInt(r.Principal.Request.At.Unix(), 10) }),
	"aws:viaawsservice":  func(*Request) ([]string, bool) { return []string{"false"}, true },
	"aws:tokenissuetime": ofSession(func(r *Request) string { return r.Principal.Session.IssuedAt.UTC().Format(time.RFC3339) }),
	"aws:sourceidentity": ofSession(func(r *Request) string { return r.Principal.Session.SourceIdentity }),
	// "only when the principal uses temporary security credentials"
	"aws:multifactorauthpresent": ofSession(func(r *Request) string { return strconv.FormatBool(r.Principal.Session.MFA) }),
	"aws:multifactorauthage": ofSession(func(r *Request) string {
		if !r.Principal.Session.MFA {
			return ""
		}
		return strconv.FormatInt(int64(r.Principal.Request.At.Sub(r.Principal.Session.IssuedAt)/time.Second), 10)
	}),
	"aws:principalorgid":  ofOrganizations(func(r *Request) ecr.AccountID { return r.Principal.Account }),
	"aws:resourceorgid":   ofOrganizations(func(r *Request) ecr.AccountID { return r.Owner }),
	"aws:requestedregion": func(r *Request) ([]string, bool) { return some(string(r.Region)), r.Region != "" },
	"aws:tagkeys":         func(r *Request) ([]string, bool) { return r.TagKeys, true },
	"ecr:accountsetting":  func(r *Request) ([]string, bool) { return some(r.AccountSetting), true },
}

// tagKeys are the prefixes of the keys that end in a tag's name.
var tagKeys = map[string]func(r *Request) map[string]string{
	"aws:requesttag/":   func(r *Request) map[string]string { return r.RequestTags },
	"aws:resourcetag/":  func(r *Request) map[string]string { return r.ResourceTags },
	"ecr:resourcetag/":  func(r *Request) map[string]string { return r.ResourceTags },
	"aws:principaltag/": func(*Request) map[string]string { return nil }, // package policy has them
}

// imageKeys are those about the image that is acted on, which are Kontor's own.
var imageKeys = []string{KeySignedBy, KeyMaxSeverity}

// KeyMaxSeverity is the highest severity that the last scan of an image found, or
// UNSCANNED, NONE or UNSUPPORTED: see ecr.Severity.
const KeyMaxSeverity = "kontor:maxseverity"

// IsImageKey reports whether key, in any letter case, is one about the image that is
// acted on.
func IsImageKey(key string) bool { return slices.Contains(imageKeys, strings.ToLower(key)) }

// KeySignedBy is the names of the signers whose signatures an image has, in lower case.
const KeySignedBy = "kontor:signedby"

func some(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// ofRequest is a key of every request that came over the network.
func ofRequest(value func(r *Request) string) func(r *Request) ([]string, bool) {
	return func(r *Request) ([]string, bool) {
		if r.Principal.Request.At.IsZero() {
			return nil, false
		}
		return some(value(r)), true
	}
}

// organizationKeys are known where the server was told of organizations.
var organizationKeys = []string{"aws:principalorgid", "aws:resourceorgid"}

// ofOrganizations is a key about the organization of an account.
func ofOrganizations(account func(r *Request) ecr.AccountID) func(r *Request) ([]string, bool) {
	return func(r *Request) ([]string, bool) {
		o := r.Principal.Request.Organizations
		return some(o[account(r)]), o != nil
	}
}

// ofSession is a key that only temporary credentials have.
func ofSession(value func(r *Request) string) func(r *Request) ([]string, bool) {
	return func(r *Request) ([]string, bool) {
		if r.Principal.Session == nil {
			return nil, true
		}
		return some(value(r)), true
	}
}

// lookup is the policy.Request's.
func (r *Request) lookup(key string) ([]string, bool) {
	if f := requestKeys[key]; f != nil {
		return f(r)
	}
	if slices.Contains(imageKeys, key) {
		if r.Image == nil {
			return nil, true
		}
		return r.Image(key)
	}
	for prefix, of := range tagKeys {
		name, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		tags := of(r)
		found, have := "", false
		for k := range tags {
			// of names that differ in letter case only, always the same
			if strings.EqualFold(k, name) && (!have || k < found) {
				found, have = k, true
			}
		}
		if !have {
			return nil, true
		}
		return []string{tags[found]}, true
	}
	return nil, slices.Contains(absent, key) || slices.Contains(principalKeys, key)
}

// supplied reports whether requests have the key, or surely do not.
func supplied(key string, organizations bool) bool {
	key = strings.ToLower(key)
	if slices.Contains(organizationKeys, key) {
		return organizations
	}
	if requestKeys[key] != nil || slices.Contains(absent, key) || slices.Contains(principalKeys, key) || slices.Contains(imageKeys, key) {
		return true
	}
	for prefix := range tagKeys {
		if len(key) > len(prefix) && strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// Keys are the condition keys, but those about organizations, in lower case and sorted, that requests have or
// surely do not have; those that end in "/" go on with a tag's name.
func Keys() []string {
	known := slices.DeleteFunc(slices.Collect(maps.Keys(requestKeys)), func(k string) bool { return slices.Contains(organizationKeys, k) })
	keys := slices.Concat(known, slices.Collect(maps.Keys(tagKeys)), principalKeys, absent, imageKeys)
	slices.Sort(keys)
	return keys
}

// imageActions are the actions for which imageKeys have values.
var imageActions = []string{"ecr:BatchGetImage"}

// OnImageKey returns a condition key about images on which a Deny of doc depends that
// is not for reading images alone: what it denies next to that never has a value, so
// that it would be denied always, or never.
func OnImageKey(doc policy.Document) (key string, found bool) {
	for _, s := range doc.Statements {
		if s.Effect != policy.Deny || len(s.Action) > 0 && !slices.ContainsFunc(s.Action, func(a string) bool {
			return !slices.ContainsFunc(imageActions, func(b string) bool { return strings.EqualFold(a, b) })
		}) {
			continue
		}
		for _, k := range policy.KeysOf(s, doc.Version) {
			if slices.Contains(imageKeys, strings.ToLower(k)) {
				return k, true
			}
		}
	}
	return "", false
}

// DeniesByUnknown returns the first condition key on which a Deny of doc
// depends and that no request is known to have or not to have. Such a Deny
// would deny everything. organizations says whether the server was told of some.
func DeniesByUnknown(doc policy.Document, organizations bool) (key string, found bool) {
	for _, s := range doc.Statements {
		if s.Effect != policy.Deny {
			continue
		}
		for _, k := range policy.KeysOf(s, doc.Version) {
			if !supplied(k, organizations) {
				return k, true
			}
		}
	}
	return "", false
}
