package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/report/rollout"
)

// Outputs writes a table for each registry.
func Outputs(w io.Writer, all rollout.Outputs, o Options) error {
	pr := newPrinter(o)
	for i, r := range all.Registries {
		if i > 0 {
			pr.linef(plain, "")
		}
		pr.linef(bold, "%s  %s", clean(r.Name), r.Host)
		rows := make([][2]string, len(r.Repositories))
		for i, x := range r.Repositories {
			rows[i] = [2]string{x.URI, x.ARN}
		}
		for _, l := range align("  ", rows) {
			pr.linef(plain, "%s", l)
		}
	}
	return pr.flush(w)
}

// OutputsDotenv writes lines of KEY=value that a shell and docker's --env-file
// read: KONTOR_REGISTRY, KONTOR_ACCOUNT, KONTOR_REGION, and for each
// repository its URI as KONTOR_URI_NAME and ARN as KONTOR_ARN_NAME, the name
// in upper case with '_' for all else. With several registries each key has
// the registry's name after KONTOR. Values need no quoting: they hold letters,
// digits and "./:_-[]", and others are an error. So are two of the same key.
func OutputsDotenv(w io.Writer, all rollout.Outputs) error {
	pairs, err := outputPairs(all, "KONTOR_", variable)
	if err != nil {
		return err
	}
	return writePairs(w, pairs)
}

// OutputsGitHub writes the outputs of a step of GitHub Actions, name=value:
// registry, account, region, uri_NAME and arn_NAME, in lower case and with the
// registry's name before them when there are several, and json with what
// JSON writes in one line.
func OutputsGitHub(w io.Writer, all rollout.Outputs) error {
	pairs, err := outputPairs(all, "", func(s string) string { return strings.ToLower(variable(s)) })
	if err != nil {
		return err
	}
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return writePairs(w, append(pairs, [2]string{"json", string(b)}))
}

// outputPairs are keys and values; key writes a part of a key.
func outputPairs(all rollout.Outputs, prefix string, key func(string) string) ([][2]string, error) {
	var pairs [][2]string
	from := map[string]string{}
	add := func(name, what, value string) error {
		if other, ok := from[name]; ok {
			return fmt.Errorf("%s and %s both become the variable %s: use --json", other, what, name)
		}
		if i := strings.IndexFunc(value, needsQuotes); i >= 0 {
			return fmt.Errorf("the host of %s has the character %q, which variables do not take: correct endpoint:, or use --json", what, value[i:i+1])
		}
		from[name] = what
		pairs = append(pairs, [2]string{name, value})
		return nil
	}
	for _, r := range all.Registries {
		p := prefix
		if len(all.Registries) > 1 {
			p += key(r.Name + "_")
		}
		registry := "registry " + r.Name
		err := errors.Join(add(p+key("registry"), registry, r.Host), add(p+key("account"), registry, string(r.Account)), add(p+key("region"), registry, string(r.Region)))
		for _, x := range r.Repositories {
			what := "repository " + string(x.Name)
			if err == nil {
				err = add(p+key("uri_"+string(x.Name)), what, x.URI)
			}
			if err == nil {
				err = add(p+key("arn_"+string(x.Name)), what, x.ARN)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return pairs, nil
}

// needsQuotes reports whether a shell may see more in r than a character.
func needsQuotes(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("./:_-[]", r)
}

func writePairs(w io.Writer, pairs [][2]string) error {
	pr := newPrinter(Options{})
	for _, p := range pairs {
		pr.linef(plain, "%s=%s", p[0], p[1])
	}
	return pr.flush(w)
}

func variable(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(s))
}
