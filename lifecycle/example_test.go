package lifecycle_test

import (
	"fmt"
	"time"

	"github.com/kontor-registry/kontor/lifecycle"
)

// exampleText keeps releases, deletes untagged images after a day, pull
// request images after a week, and all but two others.
const exampleText = `{"rules": [
  {"rulePriority": 1, "selection": {"tagStatus": "tagged", "tagPatternList": ["release-*"],
    "countType": "imageCountMoreThan", "countNumber": 999999}, "action": {"type": "expire"}},
  {"rulePriority": 2, "selection": {"tagStatus": "untagged",
    "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1}, "action": {"type": "expire"}},
  {"rulePriority": 3, "selection": {"tagStatus": "tagged", "tagPatternList": ["pr-*"],
    "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 7}, "action": {"type": "expire"}},
  {"rulePriority": 4, "selection": {"tagStatus": "any",
    "countType": "imageCountMoreThan", "countNumber": 2}, "action": {"type": "expire"}}]}`

var exampleNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// exampleImages are what a repository may hold. The digests are shortened.
func exampleImages() []lifecycle.Image {
	day := func(n int) time.Time { return exampleNow.AddDate(0, 0, -n) }
	return []lifecycle.Image{
		{Digest: "sha256:1a", Tags: []string{"release-1"}, PushedAt: day(300), Children: []string{"sha256:2b"}},
		{Digest: "sha256:2b", PushedAt: day(300)},
		{Digest: "sha256:3c", Tags: []string{"pr-7"}, PushedAt: day(8)},
		{Digest: "sha256:4d", Tags: []string{"pr-8"}, PushedAt: day(3)},
		{Digest: "sha256:5e", Tags: []string{"main-5"}, PushedAt: day(20)},
	}
}

func examplePolicy() lifecycle.Policy {
	p, err := lifecycle.Parse([]byte(exampleText))
	if err != nil {
		panic(err)
	}
	return p
}

func Example() {
	p, err := lifecycle.Parse([]byte(exampleText))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range lifecycle.Decide(p, exampleImages(), exampleNow) {
		fmt.Print(o.Digest, " ", o.Action)
		if o.Rule != 0 {
			fmt.Print(", rule ", o.Rule)
		}
		if g := o.GuardedBy; g != nil {
			fmt.Print(", kept by the ", g.Kind, " ", g.By)
		}
		fmt.Println()
	}
	// Output:
	// sha256:1a keep
	// sha256:2b keep, rule 2, kept by the index sha256:1a
	// sha256:3c expire, rule 3
	// sha256:4d keep
	// sha256:5e expire, rule 4
}

func ExampleParse() {
	_, err := lifecycle.Parse([]byte(`{"rules": [{"rulePriority": 1,
  "selection": {"tagStatus": "tagged", "countType": "imageCountMoreThan", "countNumber": 0},
  "action": {"type": "expire"}}]}`))
	fmt.Println(err)
	// Output:
	// 2:90: rules[0].selection.countNumber: numeric instance is lower than the required minimum (minimum: 1, found: 0)
}

func ExampleEvaluate() {
	// rules alone, before the guards: this is what AWS's previews show
	for _, o := range lifecycle.Evaluate(examplePolicy(), exampleImages(), exampleNow) {
		fmt.Println(o.Digest, o.Action, "owner", o.Owner)
	}
	// Output:
	// sha256:1a keep owner 1
	// sha256:2b expire owner 2
	// sha256:3c expire owner 3
	// sha256:4d keep owner 3
	// sha256:5e expire owner 4
}

func ExamplePredictAWS() {
	for _, o := range lifecycle.PredictAWS().Decide(examplePolicy(), []lifecycle.Image{
		{Digest: "sha256:1a", Tags: []string{"a"}, PushedAt: exampleNow.AddDate(0, 0, -9)},
		{Digest: "sha256:2b", Tags: []string{"b"}, PushedAt: exampleNow.AddDate(0, 0, -9)},
		{Digest: "sha256:3c", Tags: []string{"c"}, PushedAt: exampleNow},
	}, exampleNow) {
		fmt.Printf("%s %s %q\n", o.Digest, o.Action, o.Assumed)
	}
	// Output:
	// sha256:1a expire ""
	// sha256:2b expire "tie"
	// sha256:3c keep ""
}

func ExampleOptions_Decide() {
	o := lifecycle.Options{Held: lifecycle.Held{"sha256:3c": "lease shop/web"}}
	held := o.Decide(examplePolicy(), exampleImages(), exampleNow)[2]
	fmt.Println(held.Action, held.GuardedBy.Kind, held.GuardedBy.By)
	// Output:
	// keep held lease shop/web
}

func ExampleExplain() {
	e, _ := lifecycle.Explain(examplePolicy(), exampleImages(), exampleNow, "sha256:4d")
	fmt.Println(e.Outcome.Action, "until", e.Changes.Format(time.DateOnly))
	for _, r := range e.Reasons {
		fmt.Println(r.Rule.Priority, r.Verdict, r.Missing)
	}
	// Output:
	// keep until 2026-03-05
	// 1 tags [release-*]
	// 2 tags []
	// 3 keeps []
	// 4 outranked []
}

func ExampleForecast() {
	f := lifecycle.Forecast(examplePolicy(), exampleImages(), exampleNow, lifecycle.Horizon{Days: 7})
	for _, run := range f.Runs {
		for _, d := range run.Gone {
			fmt.Println(run.At.Format(time.DateOnly), d.Image.Digest, "rule", d.Outcome.Rule)
		}
	}
	// Output:
	// 2026-03-01 sha256:3c rule 3
	// 2026-03-01 sha256:5e rule 4
	// 2026-03-06 sha256:4d rule 3
}

func ExampleLintText() {
	found, err := lifecycle.LintText([]byte(`{"rules": [
  {"rulePriority": 1, "selection": {"tagStatus": "tagged", "tagPatternList": ["latest", "main"],
    "countType": "imageCountMoreThan", "countNumber": 999999}, "action": {"type": "expire"}},
  {"rulePriority": 2, "selection": {"tagStatus": "untagged",
    "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1}, "action": {"type": "expire"}}]}`), nil, exampleNow)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range found {
		fmt.Printf("%d:%d: %s: %s (%s); %s\n", f.Line, f.Column, f.Severity, f.Message, f.Code, f.Remedy)
	}
	// Output:
	// 2:78: warning: rule 1 selects only images with tags for each of ["latest","main"] (KON3001); if images with any of these tags are meant, write one rule for each element
}

func ExampleDiff() {
	shorter := examplePolicy()
	shorter.Rules[2].Selection.CountNumber = 2
	for _, c := range lifecycle.Diff(examplePolicy(), shorter, exampleImages(), exampleNow).Lost {
		fmt.Println("lost:", c.Image.Digest, c.Image.Tags, "by rule", c.After.Rule)
	}
	// Output:
	// lost: sha256:4d [pr-8] by rule 3
}

func ExampleTest_Run() {
	t := lifecycle.Test{Tags: []string{"release-1"}, AgeDays: 300, Expect: lifecycle.Kept}
	fmt.Println(t.Run(examplePolicy(), exampleNow).Passed)
	// Output:
	// true
}
