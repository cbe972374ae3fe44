package main

import (
	"strings"
	"testing"
	"time"
)

// TestOutcomes runs packages that end in every way that there is. What they
// print is shown unless they pass, and whatever is not passed is an error.
func TestOutcomes(t *testing.T) {
	tests := []struct {
		pkg    string
		err    string   // part of the error; "" for none
		shown  []string // parts of the output
		hidden []string // no parts of it
	}{
		{"./passes", "", []string{"ok  \toutcomes/passes", "2 passed, 0 failed, 0 skipped"}, []string{"of a test that passes"}},
		{"./fails", "exit status 1", []string{
			"printed by a test that fails", "said by a part that fails", "FAIL\toutcomes/fails", "1 passed, 2 failed, 0 skipped",
		}, []string{"of a test that passes"}},
		{"./panics", "exit status 1", []string{
			"printed by a test that panics", "panic: on purpose", "panics.panicsHere", "FAIL\toutcomes/panics",
		}, nil},
		{"./hangs", "exit status 1", []string{
			"printed by a test that hangs", "panic: test timed out after 3s", "TestHangs/part", "goroutine ", "hangs.hangsHere", "FAIL\toutcomes/hangs",
		}, nil},
		{"./killed", "exit status 1", []string{"printed by a test that is killed", "signal: killed", "FAIL\toutcomes/killed"}, nil},
		{"./exits", "exit status 1", []string{"printed after the tests", "FAIL\toutcomes/exits"}, nil},
		{"./skips", "skipped, which is not passed: outcomes/skips TestSkips", []string{"1 passed, 0 failed, 1 skipped"}, nil},
		{"./broken", "exit status 1", []string{"undefined: undefined", "FAIL\toutcomes/broken [build failed]"}, nil},
		{"./none", "no test ran", []string{"0 passed, 0 failed, 0 skipped"}, nil},
		{"./nowhere", "exit status 1", []string{"nowhere"}, nil},
		{"./...", "exit status 1", []string{
			"ok  \toutcomes/passes", "said by a part that fails", "panic: on purpose", "panic: test timed out", "signal: killed", "printed after the tests", "undefined: undefined",
		}, []string{"of a test that passes"}},
	}
	for _, test := range tests {
		t.Run(test.pkg, func(t *testing.T) {
			var out strings.Builder
			r := &runner{out: &out, timeout: 3 * time.Second}
			err := r.goTest(t.Context(), "testdata/outcomes", nil, test.pkg)
			if err == nil && test.err != "" || err != nil && (test.err == "" || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("error %v, want %q", err, test.err)
			}
			for _, want := range test.shown {
				if strings.Count(out.String(), want) == 0 {
					t.Errorf("it does not show %q:\n%s", want, &out)
				}
			}
			for _, hidden := range test.hidden {
				if strings.Contains(out.String(), hidden) {
					t.Errorf("it shows %q:\n%s", hidden, &out)
				}
			}
		})
	}
}

// TestTimings: packages and the tests without parts are timed.
func TestTimings(t *testing.T) {
	var out strings.Builder
	r := &runner{out: &out, timeout: time.Minute}
	if err := r.goTest(t.Context(), "testdata/outcomes", nil, "./passes"); err != nil {
		t.Fatal(err)
	}
	if len(r.packages) != 1 || len(r.tests) != 1 || r.tests[0].what != (test{"outcomes/passes", "TestPasses/part"}) {
		t.Errorf("timed %v and %v", r.packages, r.tests)
	}
	out.Reset()
	r.printSlowest("tests", []timing{{test{"a", "Fast"}, time.Second}, {test{"b", "Slow"}, time.Minute}})
	if want := "=== slowest tests:\n    60.0s  b Slow\n     1.0s  a Fast\n"; out.String() != want {
		t.Errorf("printed %q, want %q", &out, want)
	}
}
