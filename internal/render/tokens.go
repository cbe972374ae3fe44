package render

import (
	"encoding/json"
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// NewToken writes a machine token that was made, with its password, and how to log in
// to the registry at host.
func NewToken(w io.Writer, r admin.CreateUserTokenResponse, host string, o Options) error {
	p := newPrinter(o)
	p.linef(bold, "Token %s of user %s. It is not shown again.", clean(r.Token.Name), clean(r.Token.UserName))
	p.linef(plain, "%s", clean(r.Password))
	p.linef(faint, "%s", tokenLimits(r.Token))
	p.linef(faint, "Log in with it: docker login %s -u kontor --password-stdin", clean(host))
	return p.flush(w)
}

// Tokens writes the machine tokens of a user.
func Tokens(w io.Writer, r admin.ListUserTokensResponse, o Options) error {
	p := newPrinter(o)
	for _, t := range r.Tokens {
		used := "Never used."
		if !t.LastUsedAt.IsZero() {
			used = "Last used on " + words.Moment(t.LastUsedAt) + " from " + clean(t.LastUsedFrom) + "."
		}
		p.linef(bold, "%s (%s)", clean(t.Name), clean(t.ID))
		p.linef(plain, "  %s", tokenLimits(t))
		p.linef(plain, "  Created on %s. %s", words.Moment(t.CreatedAt), used)
	}
	if len(r.Tokens) == 0 {
		p.linef(plain, "User %s has no tokens.", clean(r.UserName))
	} else if r.Off {
		p.linef(yellow, "%s", report.TokensOff)
	}
	return p.flush(w)
}

// tokenLimits says what a token is good for, and for how long.
func tokenLimits(t admin.UserToken) string {
	end := "Does not expire."
	switch {
	case t.Expired:
		end = "Expired on " + words.Moment(t.ExpiresAt) + "."
	case !t.ExpiresAt.IsZero():
		end = "Expires on " + words.Moment(t.ExpiresAt) + "."
	}
	return clean(scopeWords(t)) + " " + end
}

// scopeWords says what a scope allows, as far as it is one that patterns made.
func scopeWords(t admin.UserToken) string {
	if t.Policy == "" {
		return "May do what user " + t.UserName + " may."
	}
	var doc struct {
		Statement []struct {
			Sid      string
			Resource []string
		}
	}
	var parts []string
	if json.Unmarshal([]byte(t.Policy), &doc) == nil {
		for _, s := range doc.Statement {
			verb := map[string]string{"Pull": "pull from", "Push": "push to and pull from"}[s.Sid]
			if verb == "" {
				parts = nil
				break
			}
			var names []string
			for _, arn := range s.Resource {
				_, name, _ := strings.Cut(arn, ":repository/")
				names = append(names, name)
			}
			parts = append(parts, verb+" "+strings.Join(names, ", "))
		}
	}
	if parts == nil {
		return "Limited by a policy; see --json."
	}
	return "May " + strings.Join(parts, ", and ") + "."
}
