package fields

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What is said of the names of others tells of fields that there are, and no
// field of ours is taken for another's.
func TestForeignNames(t *testing.T) {
	word := regexp.MustCompile(`[a-z]+(?:_[a-z]+)+`)
	known := map[string]bool{}
	for _, f := range All() {
		known[f.Name] = true
	}
	for in, list := range foreign {
		if Names(in) == nil {
			t.Errorf("there is no object %q", in)
		}
		seen := map[string]bool{}
		for _, h := range list {
			for _, w := range word.FindAllString(h.text, -1) {
				if !known[w] {
					t.Errorf("%s: %q tells of %s, which is not a field", in, h.text, w)
				}
			}
			if !strings.Contains(h.text, " ") && !slices.Contains(Names(in), h.text) {
				t.Errorf("%s: %q is neither a field of that nor a sentence", in, h.text)
			}
			for name := range strings.FieldsSeq(h.names) {
				if name != snake(name) || slices.Contains(Names(in), name) || seen[name] {
					t.Errorf("%s: %q is not in snake case, is a field, or is there twice", in, name)
				}
				seen[name] = true
			}
		}
	}
}

func TestSnake(t *testing.T) {
	for s, want := range map[string]string{
		"is_immutable": "is_immutable", "ImageTagMutability": "image_tag_mutability", "kmsKey": "kms_key", "force-delete": "force_delete",
		"KMSKey": "kmskey", "ScanOnPush": "scan_on_push", "": "", "É-a": "é_a",
	} {
		if got := snake(s); got != want {
			t.Errorf("%q is %q, want %q", s, got, want)
		}
	}
}
