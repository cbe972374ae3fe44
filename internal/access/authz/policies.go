package authz

import (
	"sync"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/policy"
)

// managedPolicies has AWS's policies and our own by name.
var managedPolicies = sync.OnceValue(func() map[string]*policy.Compiled {
	out := map[string]*policy.Compiled{
		access.PolicyReferrers: policy.Compile(policy.Document{Version: policy.Version2012, Statements: []policy.Statement{{
			Effect: policy.Allow, Action: []string{"ecr:ListImageReferrers"}, Resource: []string{"*"},
		}}}),
	}
	for _, m := range policy.ManagedPolicies() {
		out[m.Name] = policy.Compile(m.Document)
	}
	return out
})

// managed is the policies of those names. A name that is not known stands for
// nothing.
func managed(names []string) []policy.Named {
	var out []policy.Named
	for _, name := range names {
		if p := managedPolicies()[name]; p != nil {
			out = append(out, policy.Named{Name: name, Policy: p})
		}
	}
	return out
}

// repositoryPolicy is the policy with that text, none for "".
func repositoryPolicy(text string) []policy.Named {
	if text == "" {
		return nil
	}
	return []policy.Named{{Name: "repository policy", Policy: repositoryPolicies.compiled(text)}}
}

// repositoryPolicies saves to read the same policies again for each request.
var repositoryPolicies cache

// cache remembers what texts compile to: at most cacheSize of them, so it
// holds some tens of megabytes if all are as long as ECR allows.
type cache struct {
	mu     sync.Mutex
	byText map[string]*policy.Compiled // guarded by mu
}

const cacheSize = 512

func (c *cache) compiled(text string) *policy.Compiled {
	c.mu.Lock()
	p := c.byText[text]
	c.mu.Unlock()
	if p != nil {
		return p
	}
	p = compile(text)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byText == nil {
		c.byText = map[string]*policy.Compiled{}
	}
	for other := range c.byText { // any one, in no order that a caller could use
		if len(c.byText) < cacheSize {
			break
		}
		delete(c.byText, other)
	}
	c.byText[text] = p
	return p
}

// compile reads a repository policy. One that cannot be read (it was when it
// was set) may have denied anything, so it denies everything, except what
// mends it.
func compile(text string) *policy.Compiled {
	doc, err := policy.Parse([]byte(text))
	if err != nil {
		doc = policy.Document{Version: policy.Version2012, Statements: []policy.Statement{{
			Sid:       "unreadable",
			Effect:    policy.Deny,
			Principal: policy.Principals{Everyone: true},
			NotAction: []string{"ecr:GetRepositoryPolicy", "ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy"},
		}}}
	}
	return policy.Compile(doc)
}
