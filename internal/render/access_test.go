package render_test

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/render/page"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/rollout"
)

// accessWorld has every outcome: someone allowed, denied, denied in part,
// allowed under conditions, and not seen.
func accessWorld(t *testing.T) *proof.Prover {
	t.Helper()
	in := ecr.RegistryID{Account: "111111111111", Region: "us-east-2"}
	user := func(account, name string, statements ...string) proof.Principal {
		p := proof.Principal{ARN: "arn:aws:iam::" + account + ":user/" + name}
		for _, s := range statements {
			p.Documents = append(p.Documents, access.Document{Name: "own", Text: `{"Version":"2012-10-17","Statement":[` + s + `]}`})
		}
		return p
	}
	const (
		pull   = `{"Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Resource":"*"}`
		office = `{"Sid":"Office","Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}`
		half   = `{"Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:BatchGetImage"],"Resource":"*"}`
		no     = `{"Sid":"Never","Effect":"Deny","Action":"ecr:BatchGetImage","Resource":"*"}`
	)
	p, err := proof.New(proof.World{
		Repositories: []proof.Repository{
			{In: in, Name: "api", Policy: `{"Version":"2012-10-17","Statement":[{"Sid":"KontorPull","Effect":"Allow","Principal":{"AWS":["222222222222","333333333333"]},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}]}`},
			{In: in, Name: "team/website"},
		},
		Principals: []proof.Principal{
			user("111111111111", "ann", office), user("111111111111", "bob", pull, no),
			user("222222222222", "carl", pull), user("222222222222", "dora", half), user("222222222222", "eve"),
		},
		Seen: []string{"111111111111", "222222222222"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAccess(t *testing.T) {
	p := accessWorld(t)
	in := ecr.RegistryID{Account: "111111111111", Region: "us-east-2"}
	for _, c := range []struct{ name, who, right, repository string }{
		{"allowed", "arn:aws:iam::222222222222:user/carl", "pull", "api"},
		{"denied", "arn:aws:iam::222222222222:user/eve", "push", "api"},
		{"partly", "arn:aws:iam::222222222222:user/dora", "pull", "api"},
		{"deny", "arn:aws:iam::111111111111:user/bob", "ecr:BatchGetImage", "team/website"},
		{"depends", "arn:aws:iam::111111111111:user/ann", "admin", "api"},
		{"unseen", "arn:aws:iam::333333333333:user/frank", "pull", "api"},
		{"missing", "arn:aws:iam::222222222222:user/nobody", "pull", "api"},
		{"account", "333333333333", "push", "team/website"},
	} {
		t.Run(c.name, func(t *testing.T) {
			actions, err := proof.ParseRight(c.right)
			if err != nil {
				t.Fatal(err)
			}
			a, err := p.Check(c.who, actions, in, ecr.RepositoryName(c.repository))
			if err != nil {
				t.Fatal(err)
			}
			check := report.NewAccess(c.right, a, `pull_principals: ["`+c.who+`"]`, []string{"account 333333333333 was not seen"})
			golden(t, "access-"+c.name+".txt", func(w io.Writer) error { return render.Access(w, check, render.Options{}) })
			if c.name == "denied" {
				golden(t, "access-denied.json", func(w io.Writer) error { return render.JSON(w, check) })
				golden(t, "access-denied-color.txt", func(w io.Writer) error { return render.Access(w, check, render.Options{Color: true}) })
			}
		})
	}
}

func TestWhoCan(t *testing.T) {
	list, err := accessWorld(t).WhoCan(proof.Pull.Actions(), ecr.RegistryID{Account: "111111111111", Region: "us-east-2"}, "api")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "access-who-can.txt", func(w io.Writer) error {
		return render.WhoCan(w, report.NewWhoCan("pull", list, []string{"account 333333333333 was not seen"}), render.Options{})
	})
	golden(t, "access-who-can.json", func(w io.Writer) error { return render.JSON(w, report.NewWhoCan("pull", list[:1], nil)) })
	var none strings.Builder
	if err := render.WhoCan(&none, report.NewWhoCan("push", nil, nil), render.Options{}); err != nil || none.String() != "No one can push.\n" {
		t.Errorf("none: %q, %v", none.String(), err)
	}
}

func TestMatrix(t *testing.T) {
	m := report.NewMatrix(accessWorld(t).Matrix(), []string{"account 333333333333 was not seen"})
	golden(t, "access-matrix.txt", func(w io.Writer) error { return render.Matrix(w, m, render.Options{}) })
	golden(t, "access-matrix.json", func(w io.Writer) error { return render.JSON(w, m) })
	golden(t, "access-matrix.html", func(w io.Writer) error { return page.MatrixHTML(w, m) })
}

// The page loads and runs nothing, whatever the names are.
func TestMatrixPageIsInert(t *testing.T) {
	const evil = "\"/><script>alert('&')</script>\x00\x1b[31m\n"
	m := report.NewMatrix(proof.Matrix{
		Principals: []string{evil, proof.Anyone}, Repositories: []string{"arn:aws:ecr:us-east-1:111111111111:repository/" + evil, evil},
		Cells: [][][]proof.Outcome{
			slices.Repeat([][]proof.Outcome{{proof.Allowed, proof.Denied, proof.Partly, proof.Depends}}, 2),
			slices.Repeat([][]proof.Outcome{slices.Repeat([]proof.Outcome{proof.Unseen}, 4)}, 2),
		},
	}, []string{evil})
	var html, text strings.Builder
	if err := errors.Join(page.MatrixHTML(&html, m), render.Matrix(&text, m, render.Options{})); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"<script", "\x00", "\x1b", "http:", "https:", " src=", " href="} {
		t.Run(s, func(t *testing.T) {
			if strings.Contains(html.String(), s) {
				t.Errorf("the page has %q", s)
			}
		})
	}
	if strings.ContainsAny(text.String(), "\x00\x1b") {
		t.Errorf("the text has control characters: %q", text.String())
	}
	d := xml.NewDecoder(strings.NewReader(html.String()))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for cells := 0; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			if cells != 4 {
				t.Errorf("%d cells, want 4", cells)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "td" {
			cells++
		}
	}
}

func TestAccessTests(t *testing.T) {
	const repository = "arn:aws:ecr:us-east-2:111111111111:repository/api"
	results := rollout.AccessTests{Tests: []rollout.AccessTest{
		{Principal: "222222222222", Repository: repository, Right: "pull", Expect: "may", Outcome: proof.Unseen, Where: "kontor.yaml:9:5"},
		{Principal: "arn:aws:iam::222222222222:user/eve", Repository: repository, Right: "push", Expect: "may not", Outcome: proof.Partly,
			Failure: "ecr:BatchGetImage is allowed\x1b[2J", Where: "kontor.yaml:10:5"},
	}}
	golden(t, "access-tests.txt", func(w io.Writer) error { return render.AccessTests(w, results, render.Options{}) })
	golden(t, "access-tests.json", func(w io.Writer) error { return render.JSON(w, results) })
	var none strings.Builder
	if err := render.JSON(&none, rollout.AccessTests{Tests: []rollout.AccessTest{}}); err != nil || !strings.Contains(none.String(), `"tests": []`) {
		t.Errorf("none: %q, %v", none.String(), err)
	}
}
