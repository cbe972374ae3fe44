package policy

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// truth is whether something holds, when condition keys may be unknown.
type truth uint8

const (
	no truth = iota
	maybe
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

func (t truth) not() truth { return yes - t }

// token is one character of a pattern, or one of those below; variable i is
// firstVariable - i.
type token int32

const (
	anyRun        token = -1 // *
	anyOne        token = -2 // ?
	anyRunOfPart  token = -3 // * that represents no colon
	anyOneOfPart  token = -4 // ? likewise
	firstVariable token = -5
)

// pattern is a text that may have wildcards and policy variables. It begins
// with literal; tokens, of which the first is not a character, are the rest.
type pattern struct {
	literal   string
	tokens    []token
	variables []variable
}

// variable is ${key} or ${key, 'fallback'}.
type variable struct {
	key         contextKey
	fallback    string
	hasFallback bool
}

// compilePattern reads text. If wild, * and ? are wildcards; if variables,
// ${...} is a variable, and ${*}, ${?} and ${$} are the characters ("IAM policy
// elements: Variables and tags", Special characters). What variables represent
// never has wildcards.
func compilePattern(text string, wild, variables bool) pattern {
	var p pattern
	for rest := text; rest != ""; {
		if variables && strings.HasPrefix(rest, "${") {
			if end := strings.IndexByte(rest, '}'); end > 0 {
				inner := rest[2:end]
				rest = rest[end+1:]
				switch inner {
				case "*", "?", "$":
					p.tokens = append(p.tokens, token(inner[0]))
				default:
					p.tokens = append(p.tokens, firstVariable-token(len(p.variables)))
					p.variables = append(p.variables, compileVariable(inner))
				}
				continue
			}
		}
		c, n := utf8.DecodeRuneInString(rest)
		rest = rest[n:]
		switch {
		case wild && c == '*':
			p.tokens = append(p.tokens, anyRun)
		case wild && c == '?':
			p.tokens = append(p.tokens, anyOne)
		default:
			p.tokens = append(p.tokens, token(c))
		}
	}
	var literal strings.Builder
	for len(p.tokens) > 0 && p.tokens[0] >= 0 {
		literal.WriteRune(rune(p.tokens[0]))
		p.tokens = p.tokens[1:]
	}
	p.literal = literal.String()
	return p
}

func compileVariable(inner string) variable {
	name, fallback, has := strings.Cut(inner, ",")
	fallback = strings.TrimSpace(fallback)
	if n := len(fallback); has && n >= 2 && fallback[0] == '\'' && fallback[n-1] == '\'' {
		return variable{compileKey(strings.TrimSpace(name)), fallback[1 : n-1], true}
	}
	return variable{key: compileKey(strings.TrimSpace(inner))}
}

// matches is maybe when a variable's key is unknown, and no when one has no
// value. fold ignores letter case.
func (p *pattern) matches(e *evaluation, s string, fold bool) truth {
	rest, ok := cutPrefix(s, p.literal, fold)
	if !ok || len(p.tokens) == 0 {
		return truthOf(ok && rest == "")
	}
	tokens, t := p.expand(e)
	if t != yes {
		return t
	}
	return truthOf(glob(tokens, rest, fold))
}

func cutPrefix(s, prefix string, fold bool) (rest string, ok bool) {
	if !fold {
		return strings.CutPrefix(s, prefix)
	}
	// As far as both are ASCII, which is nearly always.
	for i := range min(len(prefix), len(s)) {
		a, b := prefix[i], s[i]
		if a|b >= utf8.RuneSelf {
			prefix, s = prefix[i:], s[i:]
			return cutPrefixFold(prefix, s)
		}
		if a == b {
			continue
		}
		if c := a | 0x20; c != b|0x20 || c < 'a' || c > 'z' {
			return s, false
		}
	}
	if len(s) < len(prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// cutPrefixFold is cutPrefix without regard to letter case, for all of Unicode.
func cutPrefixFold(prefix, s string) (rest string, ok bool) {
	for prefix != "" && s != "" {
		a, b := rune(prefix[0]), rune(s[0])
		n, m := 1, 1
		if a >= utf8.RuneSelf || b >= utf8.RuneSelf {
			a, n = utf8.DecodeRuneInString(prefix)
			b, m = utf8.DecodeRuneInString(s)
		}
		if !same(a, b, true) {
			return s, false
		}
		prefix, s = prefix[n:], s[m:]
	}
	return s, prefix == ""
}

// expand puts values in the places of variables, until it is called again. Only
// keys with one value have one, and an empty value is none ("Policy variables
// with no value").
func (p *pattern) expand(e *evaluation) ([]token, truth) {
	if p.variables == nil {
		return p.tokens, yes
	}
	if e.expanded == nil {
		e.expanded = make([]token, 0, 64)
	}
	out := e.expanded[:0]
	result := yes
	for _, t := range p.tokens {
		if t > firstVariable {
			out = append(out, t)
			continue
		}
		v := &p.variables[firstVariable-t]
		found := e.lookup(&v.key)
		s := v.fallback
		switch {
		case found.unknown:
			e.keys = append(e.keys, v.key.name)
			result = min(result, maybe)
		case found.n == 1 && found.at(0) != "":
			s = found.at(0)
		case found.n > 1 || !v.hasFallback:
			result = no
		}
		for _, c := range s {
			out = append(out, token(c))
		}
	}
	e.expanded = out
	return out, result
}

// glob matches all of s in time of at most len(tokens) * len(s).
func glob(tokens []token, s string, fold bool) bool {
	if len(tokens) == 1 && tokens[0] == anyRun {
		return true
	}
	i, j := 0, 0
	star, from := -1, 0 // the last *, and where what it represents ends
	for j < len(s) {
		c, n := rune(s[j]), 1
		if c >= utf8.RuneSelf {
			c, n = utf8.DecodeRuneInString(s[j:])
		}
		switch {
		case i < len(tokens) && tokens[i] == anyRun:
			star, from = i, j
			i++
			continue
		case i < len(tokens) && (tokens[i] == anyOne || same(rune(tokens[i]), c, fold)):
			i++
			j += n
			continue
		case star < 0:
			return false
		}
		_, n = utf8.DecodeRuneInString(s[from:])
		from += n
		i, j = star+1, from
	}
	for i < len(tokens) && tokens[i] == anyRun {
		i++
	}
	return i == len(tokens)
}

func same(a, b rune, fold bool) bool {
	return a == b || fold && unicode.ToLower(a) == unicode.ToLower(b)
}

// arnPattern is an ARN, each part of which may have wildcards. Conditions
// compare part by part. In a Resource element, the * at the end of a part may
// represent the parts that follow, too, and only the last part may have
// variables ("IAM JSON policy elements: Resource"; "IAM policy elements:
// Variables and tags", Resource element).
type arnPattern struct {
	any   bool // "*"
	parts [6]pattern
	// given is how many of the parts the text has; the others are "*".
	given int
	// whole is the text in one, and completed, for resources that do not match
	// part by part; none where a text that does not match so never does.
	whole []whole
}

// whole is an ARN's text in one pattern, which has that many colons.
type whole struct {
	pattern
	colons int
}

// compileARN reads a resource. An ARN of fewer than six parts is completed with
// wildcards ("IAM JSON policy elements: Resource", Incomplete ARNs).
func compileARN(text string, variables bool) arnPattern {
	if text == "*" {
		return arnPattern{any: true}
	}
	parts := strings.SplitN(text, ":", 6)
	p := arnPattern{given: len(parts)}
	for i := range p.parts {
		s := "*"
		if i < len(parts) {
			s = parts[i]
		}
		p.parts[i] = compilePattern(s, true, variables && i == 5)
	}
	p.whole = p.compileWhole()
	return p
}

func (p *arnPattern) compileWhole() []whole {
	var w whole
	needed := p.given < len(p.parts)
	for i := range p.parts[:p.given] {
		part := &p.parts[i]
		if i > 0 {
			w.tokens = append(w.tokens, ':')
			w.colons++
		}
		for _, c := range part.literal {
			w.tokens = append(w.tokens, token(c))
		}
		for j, t := range part.tokens {
			switch {
			case i == len(p.parts)-1: // the rest of the text, with its colons
			case t == anyRun && j == len(part.tokens)-1:
				needed = true
			case t == anyRun:
				t = anyRunOfPart
			case t == anyOne:
				t = anyOneOfPart
			}
			w.tokens = append(w.tokens, t)
		}
		w.variables = part.variables // of the last part only
	}
	if !needed {
		return nil
	}
	if p.given == len(p.parts) {
		return []whole{w}
	}
	completed := w
	completed.colons = len(p.parts) - 1
	for range len(p.parts) - p.given {
		completed.tokens = append(slices.Clip(completed.tokens), ':', anyRun)
	}
	return []whole{w, completed}
}

// compileFullARN reads an ARN of a condition: variables may stand in every
// part, and all parts must be there.
func compileFullARN(text string, variables bool) (*arnPattern, bool) {
	if text == "*" {
		return &arnPattern{any: true}, true
	}
	var p arnPattern
	inside := false
	start := 0
	for i := range len(text) {
		switch {
		case variables && strings.HasPrefix(text[i:], "${"):
			inside = true
		case text[i] == '}':
			inside = false
		case text[i] == ':' && !inside && p.given < 5:
			p.parts[p.given] = compilePattern(text[start:i], true, variables)
			p.given, start = p.given+1, i+1
		}
	}
	p.parts[p.given] = compilePattern(text[start:], true, variables)
	p.given++
	return &p, p.given == len(p.parts)
}

// matches compares with a text that was split by splitParts, part by part.
func (p *arnPattern) matches(e *evaluation, parts *[6]string, isARN bool) truth {
	if p.any {
		return yes
	}
	if !isARN {
		return no
	}
	result := yes
	for i := range p.parts {
		part := &p.parts[i]
		switch {
		case len(part.tokens) == 0: // nothing but characters
			if part.literal != parts[i] {
				return no
			}
		case len(part.tokens) == 1 && part.tokens[0] == anyRun:
			if !strings.HasPrefix(parts[i], part.literal) {
				return no
			}
		default:
			if result = min(result, part.matches(e, parts[i], false)); result == no {
				return no
			}
		}
	}
	return result
}

// matchesResource compares with the resource of e, as a Resource element does.
func (p *arnPattern) matchesResource(e *evaluation) truth {
	t := p.matches(e, &e.parts, e.isARN)
	if t == yes || !e.isARN {
		return t
	}
	for i := range p.whole {
		if e.colons <= p.whole[i].colons {
			continue // none is left for a * to take
		}
		tokens, expanded := p.whole[i].expand(e)
		if expanded == yes {
			expanded = truthOf(globParts(tokens, e.r.Resource))
		}
		t = max(t, expanded)
	}
	return t
}

// globParts is glob for tokens that do not go beyond a colon, which takes the
// same time and, unlike glob, memory.
func globParts(tokens []token, s string) bool {
	reached, next := make([]bool, len(tokens)+1), make([]bool, len(tokens)+1)
	reached[0] = true
	for _, c := range s + "\x00" { // the last one only for what represents nothing
		clear(next)
		for i, t := range tokens {
			if !reached[i] {
				continue
			}
			inPart := c != ':'
			switch {
			case t == anyRun, t == anyRunOfPart:
				reached[i+1] = true
				next[i] = t == anyRun || inPart
			case t == anyOne, t == anyOneOfPart && inPart, t == token(c):
				next[i+1] = true
			}
		}
		reached, next = next, reached
	}
	return next[len(tokens)]
}

// splitParts splits an ARN at its first five colons, without allocating.
func splitParts(s string) (parts [6]string, ok bool) {
	for i := range 5 {
		if parts[i], s, ok = strings.Cut(s, ":"); !ok {
			return parts, false
		}
	}
	parts[5] = s
	return parts, parts[0] == "arn"
}
