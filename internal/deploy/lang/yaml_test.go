package lang_test

import (
	"testing"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
)

// Mistakes that people make in YAML are answered with what to do.
func TestSyntaxAdvice(t *testing.T) {
	const tab = ": a tab in the indentation, where YAML allows only spaces"
	for name, c := range map[string]struct{ text, want string }{
		"a tab before a key":         {"a:\n\tb: 1\n", "2:1" + tab},
		"two tabs":                   {"a:\n  b:\n\t\tc: 1\n", "3:1" + tab},
		"a tab after spaces":         {"a:\n  b: 1\n \tc: 2\n", "3:2" + tab},
		"a tab before an item":       {"a:\n  b:\n\t- c\n", "3:1" + tab},
		"a tab at the beginning":     {"\ta: 1\n", "1:1" + tab},
		"a tab in a block":           {"a: |\n  {\n\t\"b\": 1}\n", "3:1" + tab},
		"a tab before a comment":     {"a: 1\n\t# b\nc: 2\n", "2:1" + tab},
		"a line with nothing else":   {"a: 1\n\t\nb: 2\n", "2:1" + tab},
		"an alias that is a text":    {"a: [v*, *]\n", "1:10: unexpected scalar value type; quote a string that begins with *"},
		"a reserved character":       {"a: {b: @c}\n", "1:8: '@' is a reserved character; quote the string"},
		"a key behind a key":         {"a: b: c\n", "1:4: mapping value is not allowed in this context; write it on the next line, indented"},
		"a line too far to the left": {"a:\n  b: 1\n c: 2\n", "3:2: value is not allowed in this context; check the indentation of this line"},
		"a template":                 {"a: {{ .Values.b }}\n", "1:5: could not find flow map content; templates are not evaluated: render the file first"},
		"a merge conflict":           {"a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> main\n", "2:1: a merge conflict; resolve it first"},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs := lang.Parse(lang.Source{Name: "k.yaml", Data: []byte(c.text)})
			if len(errs) != 1 || errs[0].Error() != "k.yaml:"+c.want {
				t.Errorf("%v, want %s", errs, c.want)
			}
		})
	}
	// tabs elsewhere are fine
	if _, errs := lang.Parse(lang.Source{Name: "k.yaml", Data: []byte("a:\t1\nb:\t# c\n  -\td\ne: [1,\n\t2]\n")}); len(errs) > 0 {
		t.Error(errs)
	}
}
