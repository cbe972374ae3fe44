package spelling_test

import (
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/spelling"
)

func TestNearest(t *testing.T) {
	words := []string{"PutImage", "PutImageTagMutability", "ListImages", "push"}
	for s, want := range map[string]string{
		"PutImages":                   "PutImage",
		"PutImgae":                    "PutImage", // swapped
		"PuImage":                     "PutImage",
		"putImage":                    "PutImage",
		"pus":                         "push",
		"ps":                          "",
		"DeleteImage":                 "",
		"":                            "",
		strings.Repeat("PutImage", 9): "",
	} {
		if got := spelling.Nearest(s, words); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", s, got, want)
		}
	}
}
