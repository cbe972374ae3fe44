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

// managed is the policies of those names. A name that is not known represents
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

// identityPolicies adds documents to list. One that cannot be read denies
// everything.
func identityPolicies(list []policy.Named, documents []access.Document) []policy.Named {
	for _, d := range documents {
		list = append(list, policy.Named{Name: d.Name, Policy: identityCache.compiled(d.Text)})
	}
	return list
}

// resourcePolicies are the policies with those texts, "" for none.
func resourcePolicies(repository, registry string) []policy.Named {
	var list []policy.Named
	if repository != "" {
		list = append(list, policy.Named{Name: "repository policy", Policy: repositoryCache.compiled(repository)})
	}
	if registry != "" {
		list = append(list, policy.Named{Name: "registry policy", Policy: registryCache.compiled(registry)})
	}
	return list
}

// The caches save to read the same policies again for each request. A policy
// that cannot be read (it was when it was set) may have denied anything, so it
// denies everything, except what mends it; identity policies are mended by
// other services.
var (
	repositoryCache = cache{mend: []string{"ecr:GetRepositoryPolicy", "ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy"}}
	registryCache   = cache{mend: []string{"ecr:GetRegistryPolicy", "ecr:PutRegistryPolicy", "ecr:DeleteRegistryPolicy"}}
	identityCache   = cache{identity: true}
)

// cache remembers what texts compile to: at most cacheSize of them, so it
// holds some tens of megabytes if all are as long as AWS allows.
type cache struct {
	identity bool
	mend     []string

	mu     sync.RWMutex
	byText map[string]*policy.Compiled // guarded by mu
}

const cacheSize = 512

func (c *cache) compiled(text string) *policy.Compiled {
	c.mu.RLock()
	p := c.byText[text]
	c.mu.RUnlock()
	if p != nil {
		return p
	}
	p = c.compile(text)
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

func (c *cache) compile(text string) *policy.Compiled {
	doc, err := policy.Parse([]byte(text))
	if err == nil {
		return policy.Compile(doc)
	}
	s := policy.Statement{Sid: "unreadable", Effect: policy.Deny, NotAction: c.mend}
	if c.identity {
		s.Action, s.Resource = []string{"*"}, []string{"*"}
	} else {
		s.Principal.Everyone = true
	}
	return policy.Compile(policy.Document{Version: policy.Version2012, Statements: []policy.Statement{s}})
}
