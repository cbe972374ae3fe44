package iamapi

import (
	"net/url"
	"strconv"
	"time"

	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// params reads the parameters of a request. The first that cannot be read is
// err; after it, everything reads as absent.
type params struct {
	form url.Values
	err  error
}

// maxMembers bounds lists: more than any list may have.
const maxMembers = 1000

func (p *params) text(name string) string { return p.form.Get(name) }

// need is a parameter that has to be there.
func (p *params) need(name string) string {
	v := p.form.Get(name)
	if v == "" {
		p.fail(ecr.Errorf(ecr.CodeValidation, "1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", lowerFirst(name)))
	}
	return v
}

func lowerFirst(s string) string { return string(s[0]|0x20) + s[1:] }

func (p *params) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *params) number(name string) int {
	v := p.form.Get(name)
	if v == "" {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		p.fail(ecr.Errorf(ecr.CodeSerialization, "The parameter '%s' is not a number", name))
	}
	if n == 0 {
		return -1 // given, and wrong wherever numbers count something
	}
	return n
}

func (p *params) seconds(name string) time.Duration {
	return time.Duration(p.number(name)) * time.Second
}

func (p *params) boolean(name string) bool {
	switch v := p.form.Get(name); v {
	case "", "false":
		return false
	case "true":
		return true
	default:
		p.fail(ecr.Errorf(ecr.CodeSerialization, "The parameter '%s' is neither true nor false", name))
		return false
	}
}

// members calls each with the prefixes name.member.1, name.member.2, ... as
// long as has reports that there is one.
func (p *params) members(name string, has func(prefix string) bool, each func(prefix string)) {
	for i := 1; ; i++ {
		prefix := name + ".member." + strconv.Itoa(i)
		if !has(prefix) {
			return
		}
		if i > maxMembers {
			p.fail(ecr.Errorf(ecr.CodeValidation, "1 validation error detected: '%s' has more than %d members", lowerFirst(name), maxMembers))
			return
		}
		each(prefix)
	}
}

// texts is a list of strings.
func (p *params) texts(name string) (out []string) {
	p.members(name, p.form.Has, func(prefix string) { out = append(out, p.form.Get(prefix)) })
	return out
}

// tags is a list of keys and values.
func (p *params) tags(name string) (out []iam.Tag) {
	p.members(name, func(prefix string) bool { return p.form.Has(prefix + ".Key") }, func(prefix string) {
		out = append(out, iam.Tag{Key: p.form.Get(prefix + ".Key"), Value: p.form.Get(prefix + ".Value")})
	})
	return out
}

// context is a list of condition keys with values.
func (p *params) context(name string) map[string][]string {
	out := map[string][]string{}
	p.members(name, func(prefix string) bool { return p.form.Has(prefix + ".ContextKeyName") }, func(prefix string) {
		out[p.form.Get(prefix+".ContextKeyName")] = p.texts(prefix + ".ContextKeyValues")
	})
	return out
}

func (p *params) page() iam.Page {
	return iam.Page{PathPrefix: p.text("PathPrefix"), Marker: p.text("Marker"), Limit: p.number("MaxItems")}
}
