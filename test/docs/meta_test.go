//go:build unix

package docs

import (
	"strings"
	"testing"
)

// TestHarnessFails: a harness that cannot fail proves nothing. Fences are
// written with ' for the backtick.
func TestHarnessFails(t *testing.T) {
	m := newMachine(t)
	tests := []struct {
		name string
		page string
		want string // part of the error; "" for none
	}{
		{"a page without blocks", "Text.\n", ""},
		{"blocks share a shell", "'''sh\nx=1; cd /\n'''\n'''sh\ntest $x$PWD = 1/\n'''\n", ""},
		{"a block that fails", "'''sh\ntrue\n'''\n'''sh\necho before\nfalse\necho after\n'''\n", "p.md:4: exit status 1\nbefore\n"},
		{"later blocks do not run", "'''sh\nfalse\n'''\n'''sh\ntouch /nowhere/file\n'''\n", "p.md:1: exit status 1"},
		{"fails", "'''sh fails\necho no; exit 3\n'''\n'''text output\nno\n'''\n", ""},
		{"fails stops at the first error", "'''sh fails\nfalse\ntrue\n'''\n", ""},
		{"fails but succeeds", "'''sh fails\ntrue\n'''\n", "p.md:1: exit status 1\nit succeeded"},
		{"the output", "'''sh\nprintf '1 \\n2\\n3\\n'\n'''\n'''text output\n2\n3\n'''\n", ""},
		{"an output with wildcards", "'''sh\nseq 100; echo in 3 ms flat\n'''\n'''text output\n2\n...\n9\n10\n...\nin ... ms ...at\n'''\n", ""},
		{"another output", "'''sh\necho one\n'''\n'''text output\ntwo\n'''\n", "p.md:4: the output is another:\none\n"},
		{"lines in another order", "'''sh\necho 1; echo 2\n'''\n'''text output\n2\n...\n1\n'''\n", "p.md:4: the output is another"},
		{"another end of a line", "'''sh\necho in 3 ms\n'''\n'''text output\nin ... s flat\n'''\n", "p.md:4: the output is another"},
		{"the output of nothing", "'''text output\ntwo\n'''\n", "p.md:1: there is no block before it that prints"},
		{"not run", "'''sh not-run: needs a cloud\nfalse\n'''\n", ""},
		{"not run without a reason", "'''sh not-run:\ntrue\n'''\n", "p.md:1: not-run without a reason"},
		{"yaml not run without a reason", "'''yaml not-run:  \na: 1\n'''\n", "p.md:1: not-run without a reason"},
		{"a language that would be overlooked", "'''bash\nfalse\n'''\n", `p.md:1: unknown kind of block "bash"`},
		{"a word that would be overlooked", "'''sh notrun: reason\nfalse\n'''\n", "p.md:1: unknown kind of block"},
		{"a block without an end", "'''sh\ntrue\n", "p.md:1: the code block has no end"},
		{"a file", "'''yaml kontor.yaml\necr_repositories: {a1: {}}\n'''\n'''sh\nkontor validate\n'''\n'''text output\n... 1 repository.\n'''\n", ""},
		{"a file outside", "'''yaml ../kontor.yaml\na: 1\n'''\n", "p.md:1: unknown kind of block"},
		{"a valid example", "'''yaml\necr_repositories: {a1: {}}\n'''\n", ""},
		{"an invalid example", "'''yaml\necr_repositories: {a1: {nope: 1}}\n'''\n", "p.md:1: exit status 1\n/dev/stdin:1:"},
		{"Go from nowhere", "'''go\nfunc f()\n'''\n", "p.md:1: name the Go file"},
		{"Go that is not there", "'''go test/docs/meta_test.go\nfunc " + "nowhere()\n'''\n", "p.md:1: this is not in test/docs/meta_test.go"},
		{"Go that is there", "'''go test/docs/meta_test.go\nfunc TestHarnessFails(t *testing.T) {\nm := newMachine(t)\n'''\n", ""},
		{"in the background", "'''sh background\necho 'Press Ctrl-C to stop'; sleep 1; exit 3\n'''\n", "p.md:1: after Ctrl-C it ends with code 3"},
		{"a registry", "'''sh background\nkontor up\n'''\n'''text output\nlocalhost:5050: account 000000000000, ...\n'''\n'''sh\nkontor login\n'''\n'''text output\nLogged in to localhost:5050 for ...\n'''\n", ""},
		{"in the background, but it ends", "'''sh background\necho over\n'''\n", "p.md:1: exit status 1\nover\nit ended"},
		{"a tool's configuration", "'''toml a.toml\na = 1\n'''\n'''json b.json\n{}\n'''\n'''dockerfile Dockerfile\nFROM scratch\n'''\n'''sh\ncat a.toml b.json Dockerfile\n'''\n'''text output\na = 1\n{}\nFROM scratch\n'''\n", ""},
		{"containerd", "'''sh\nctr images ls -q\n'''\n", ""},
		{"no such image in containerd", "'''sh\nctr images tag localhost:1/a:b localhost:1/a:c\n'''\n", "p.md:1: exit status 1"},
		{"docker", "'''sh\ndocker image ls -q\n'''\n", ""},
		{"no such image in docker", "'''sh\ndocker tag localhost:1/a:b localhost:1/a:c\n'''\n", "p.md:1: exit status 1"},
		{"BuildKit, which is not there", "'''sh not-run: " + needsBuildKit + "\nfalse\n'''\n", ""},
		{"a workflow", "'''yaml workflow\njobs:\n  a:\n    steps:\n      - uses: actions/checkout@v4\n      - run: |\n          kontor version >\"$GITHUB_OUTPUT\"\n          cat \"$GITHUB_OUTPUT\"\n'''\n'''text output\nkontor ...\n'''\n", ""},
		{"a workflow's wrong command", "'''yaml workflow\njobs:\n  a:\n    steps:\n      - run: kontor plan --nope\n'''\n", "p.md:1: exit status 2"},
		{"a workflow's wrong command after others", "'''yaml workflow\njobs:\n  a:\n    steps:\n      - run: cd / && kontor plan --nope\n'''\n", "p.md:1: exit status 2"},
		{"a workflow's script for GitHub only", "'''yaml workflow\njobs:\n  a:\n    steps:\n      - run: kontor plan ${{ inputs.x }}\n'''\n", "give it an environment variable"},
		{"a workflow's step that is none", "'''yaml workflow\njobs:\n  a:\n    steps:\n      - name: x\n'''\n", "p.md:1: job a: a step has either run or uses"},
		{"a workflow without jobs", "'''yaml workflow\nname: x\n'''\n", "p.md:1: the workflow has no jobs"},
		{"it stays out of the user's home", "'''sh\ntest -z \"$(ls -A ~)\"; test -z \"$AWS_PROFILE\"\n'''\n", ""},
	}
	t.Setenv("AWS_PROFILE", "mine")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := parsePage("p.md", strings.ReplaceAll(tt.page, "'''", "```"))
			if err == nil {
				err = m.run(t.Context(), p, t.TempDir(), t.TempDir())
			}
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("it fails: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestLinkCheckFails(t *testing.T) {
	tests := []struct{ name, page, want string }{
		{"links that lead somewhere", "# A `b`, c\n[a](../LICENSE) [b](#a-b-c) [c](https://example.com/x) `[d](nowhere)`\n```text\n[e](nowhere)\n```\n", ""},
		{"a page that is gone", "x\n[a](nowhere.md)", "docs/p.md:2: the link to nowhere.md leads nowhere"},
		{"a heading that is gone", "[a](#nowhere)", "docs/p.md:1: docs/p.md has no heading #nowhere"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := parsePage("docs/p.md", tt.page)
			if err != nil {
				t.Fatal(err)
			}
			if err := checkLinks(p, map[string]page{p.name: p}); (err == nil) != (tt.want == "") || err != nil && err.Error() != tt.want {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
