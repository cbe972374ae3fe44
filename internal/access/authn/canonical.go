package authn

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// canonicalRequest is the text whose hash is signed: "Create a canonical
// request" in the signing documentation, with path segments encoded twice as
// for every service but S3.
func canonicalRequest(r *http.Request, s signature, payloadHash string) (string, error) {
	query, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(r.Method)
	b.WriteByte('\n')
	b.WriteString(canonicalPath(r.URL.EscapedPath()))
	b.WriteByte('\n')
	b.WriteString(canonicalQuery(query, s.presigned))
	b.WriteByte('\n')
	for _, name := range s.signedHeaders {
		values, ok := headerValues(r, name)
		if !ok {
			return "", mismatch()
		}
		b.WriteString(name)
		b.WriteByte(':')
		for i, v := range values {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(collapse(v))
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.WriteString(strings.Join(s.signedHeaders, ";"))
	b.WriteByte('\n')
	b.WriteString(payloadHash)
	return b.String(), nil
}

// headerValues returns the values of a signed header in the order sent;
// net/http keeps some headers outside the map.
func headerValues(r *http.Request, name string) ([]string, bool) {
	if name == "host" {
		return []string{r.Host}, r.Host != ""
	}
	values := r.Header[http.CanonicalHeaderKey(name)]
	switch {
	case len(values) > 0:
		return values, true
	case name == "content-length" && r.ContentLength >= 0:
		return []string{strconv.FormatInt(r.ContentLength, 10)}, true
	case name == "transfer-encoding" && len(r.TransferEncoding) > 0:
		return r.TransferEncoding, true
	}
	return nil, false
}

// collapse trims v and makes each run of spaces one.
func collapse(v string) string {
	v = strings.Trim(v, " \t")
	for strings.Contains(v, "  ") {
		v = strings.ReplaceAll(v, "  ", " ")
	}
	return v
}

// canonicalPath takes a path as sent, removes empty and dot segments and
// encodes the rest once more.
func canonicalPath(escaped string) string {
	var segments []string
	parts := strings.Split(escaped, "/")
	for _, p := range parts {
		switch p {
		case "", ".":
		case "..":
			segments = segments[:max(0, len(segments)-1)]
		default:
			segments = append(segments, encode(p))
		}
	}
	path := "/" + strings.Join(segments, "/")
	if last := parts[len(parts)-1]; len(segments) > 0 && (last == "" || last == "." || last == "..") {
		path += "/"
	}
	return path
}

// A pair is one decoded parameter of a query.
type pair struct{ key, value string }

// parseQuery decodes a raw query, keeping order and repetitions. A plus sign
// is a space, as in every form.
func parseQuery(raw string) ([]pair, error) {
	var pairs []pair
	for raw != "" {
		var part string
		part, raw, _ = strings.Cut(raw, "&")
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		key, err := url.QueryUnescape(k)
		if err != nil {
			return nil, incomplete("The query string is not encoded correctly near '%s'.", short(k))
		}
		value, err := url.QueryUnescape(v)
		if err != nil {
			return nil, incomplete("The query string is not encoded correctly near '%s'.", short(k))
		}
		pairs = append(pairs, pair{key, value})
	}
	return pairs, nil
}

// canonicalQuery encodes the pairs and sorts them by key, then value. A
// presigned request's own signature is left out.
func canonicalQuery(pairs []pair, presigned bool) string {
	encoded := make([]pair, 0, len(pairs))
	for _, p := range pairs {
		if presigned && p.key == "X-Amz-Signature" {
			continue
		}
		encoded = append(encoded, pair{encode(p.key), encode(p.value)})
	}
	slices.SortFunc(encoded, func(a, b pair) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.value, b.value)) })
	var b strings.Builder
	for i, p := range encoded {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.key)
		b.WriteByte('=')
		b.WriteString(p.value)
	}
	return b.String()
}

// encode leaves RFC 3986's unreserved characters and writes every other byte
// as %XX.
func encode(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}
