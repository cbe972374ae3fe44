package render

import (
	"io"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// AccessTests writes which of the file's access_tests hold.
func AccessTests(w io.Writer, results []AccessTest, o Options) error {
	p := newPrinter(o)
	failed := 0
	for _, r := range results {
		if r.Failure == "" {
			p.linef(green, "ok    %s %s %s %s", words.Principal(r.Principal), r.Expect, clean(r.Right), clean(r.Repository))
			continue
		}
		failed++
		p.linef(red, "FAIL  %s %s %s %s: %s", words.Principal(r.Principal), r.Expect, clean(r.Right), clean(r.Repository), clean(r.Failure))
	}
	p.linef(plain, "%s, %d failed", words.Count(len(results), "access test", "access tests"), failed)
	return p.flush(w)
}

// AccessTest is one assertion of the file's access_tests, and what came of it.
type AccessTest struct {
	Principal  string `json:"principal"`
	Repository string `json:"repository"` // ARN
	Right      string `json:"right"`
	Expect     string `json:"expect"` // "may" or "may not"
	// Outcome is what was found, Failure why the test does not hold, "" when it
	// does. Where is the place of the test in the file.
	Outcome proof.Outcome `json:"outcome"`
	Failure string        `json:"failure,omitempty"`
	Where   string        `json:"where"`
}

// Failed reports whether the test does not hold.
func (t AccessTest) Failed() bool { return t.Failure != "" }

// AccessTestsJSON writes the results as JSON.
func AccessTestsJSON(w io.Writer, results []AccessTest) error {
	return JSON(w, struct {
		Tests []AccessTest `json:"tests"`
	}{append([]AccessTest{}, results...)})
}
