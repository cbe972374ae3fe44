package proof

import (
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/policy"
)

// varies are the condition keys whose value a request of p chooses, or that are
// not known of p.
func varies(p principal) []string {
	var keys []string
	if p.caller.AnySession {
		keys = append(keys, "aws:userid")
	}
	if p.caller.Type == policy.RoleSession && (!p.known || mayTagSessions(p.Trust)) {
		keys = append(keys, "aws:PrincipalTag/*")
	}
	return keys
}

// mayTagSessions reports whether a role's trust policy may let in sessions with
// their own tags, which replace the role's. "" is a policy that is not known.
func mayTagSessions(trust string) bool {
	doc, err := policy.Parse([]byte(trust))
	if err != nil {
		return true
	}
	for _, s := range doc.Statements {
		if s.Effect != policy.Allow {
			continue
		}
		// Whom it lets in, and when, is left open: it may be anyone.
		allowed := policy.Compile(policy.Document{Statements: []policy.Statement{{
			Effect: policy.Allow, Action: s.Action, NotAction: s.NotAction, Resource: []string{"*"},
		}}})
		d := policy.Evaluate(policy.Request{
			Principal: policy.Caller{Type: policy.User, Account: "000000000000"}, Action: "sts:TagSession", Resource: "*",
			Identity: []policy.Named{{Name: "trust policy", Policy: allowed}},
		})
		if d.Outcome == policy.Allowed {
			return true
		}
	}
	return false
}

// lookup knows the condition keys that do not depend on the request; those that
// no request for the action by who has are known to be absent.
func lookup(who *principal, r *repository, action policy.Action) func(key string) (values []string, known bool) {
	service := who.caller.Type == policy.Service
	return func(key string) ([]string, bool) {
		switch key {
		case "aws:requestedregion":
			return []string{string(r.In.Region)}, true
		case "aws:principalarn", "aws:principalaccount", "aws:principaltype", "aws:principalisawsservice", "aws:resourceaccount", "aws:username":
			return nil, true // package policy has them
		case "aws:principalservicename", "aws:principalservicenameslist",
			"aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid", "aws:sourceorgpaths":
			return nil, !service // "only if the call to your resource is made directly by an AWS service principal"
		case "aws:principalorgid", "aws:principalorgpaths":
			return nil, service
		case "aws:userid":
			return nil, service || who.caller.UniqueID != ""
		case "aws:tagkeys":
			return nil, !tags(action)
		case "kontor:maxseverity":
			if action.Name != "ecr:BatchGetImage" {
				return nil, true // of images only
			}
			if r.image == nil || r.image.severity == "" {
				return nil, false
			}
			return []string{r.image.severity}, true
		case "ecr:accountsetting":
			return nil, action.Name != "ecr:GetAccountSetting" && action.Name != "ecr:PutAccountSetting"
		case "kontor:signedby":
			if action.Name == "ecr:BatchGetImage" && (r.image == nil || r.image.signedBy == nil) {
				return nil, false
			}
			if action.Name == "ecr:BatchGetImage" {
				return r.image.signedBy, true
			}
			return nil, true // of images only
		}
		prefix, tag, _ := strings.Cut(key, "/")
		switch prefix {
		case "aws:requesttag":
			return nil, !tags(action)
		case "aws:principaltag":
			return nil, who.known || who.caller.Type == policy.RootUser || service
		case "aws:resourcetag", "ecr:resourcetag":
			if onRepository(action) {
				for k, v := range r.Tags {
					if strings.EqualFold(k, tag) {
						return []string{v}, true
					}
				}
			}
			return nil, true
		}
		return nil, false
	}
}

// tags reports whether requests for the action say tags.
func tags(a policy.Action) bool {
	switch a.Name {
	case "ecr:CreateRepository", "ecr:TagResource", "ecr:UntagResource":
		return true
	}
	return false
}

// onRepository reports whether the action is on a repository that exists, so
// that its policy and its tags count.
func onRepository(a policy.Action) bool { return a.Repository && a.Name != "ecr:CreateRepository" }

// actionOf is the action of ECR, or what represents one that is not.
func actionOf(name access.Action) policy.Action {
	if a, ok := policy.LookupAction(string(name)); ok {
		return a
	}
	return policy.Action{Name: string(name), Repository: true}
}
