package lifecycle_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/lifecycle"
)

// rule is the text of one rule of priority n.
func rule(n int, selection, action string) string {
	return fmt.Sprintf(`{"rulePriority":%d,"selection":{%s},"action":{%s}}`, n, selection, action)
}

// policy is the text of a policy, long enough whatever its rules.
func policy(rules ...string) string {
	return `{"rules":[` + strings.Join(rules, ",") + `]}` + strings.Repeat(" ", lifecycle.MinText)
}

const (
	expire   = `"type":"expire"`
	archive  = `"type":"transition","targetStorageClass":"archive"`
	keepOne  = `"countType":"imageCountMoreThan","countNumber":1`
	anyImage = `"tagStatus":"any",`
	untagged = `"tagStatus":"untagged",`
	tagged   = `"tagStatus":"tagged",`
)

func pushed(days int) string {
	return fmt.Sprintf(`"countType":"sinceImagePushed","countUnit":"days","countNumber":%d`, days)
}

// Amazon ECR user guide, "Examples of lifecycle policies in Amazon ECR".
var documented = map[string]string{
	"filtering on image age":      policy(rule(1, tagged+`"tagPatternList":["prod*"],`+pushed(14), expire)),
	"filtering on pull time":      policy(rule(1, anyImage+`"countType":"sinceImagePulled","countUnit":"days","countNumber":90`, archive)),
	"filtering on archive time":   policy(rule(1, anyImage+`"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":365`, expire)),
	"filtering on image count":    policy(rule(1, untagged+keepOne, expire)),
	"filtering on multiple rules": policy(rule(1, tagged+`"tagPatternList":["prod*"],`+keepOne, expire), rule(2, tagged+`"tagPatternList":["beta*"],`+keepOne, expire)),
	"filtering on multiple tags":  policy(rule(1, tagged+`"tagPatternList":["alpha*","beta*"],`+pushed(5), expire)),
	"the same with prefixes":      policy(rule(1, tagged+`"tagPrefixList":["alpha","beta"],`+pushed(5), expire)),
	"filtering on all images":     policy(rule(1, tagged+`"tagPatternList":["alpha*"],`+keepOne, expire), rule(2, untagged+pushed(1), expire), rule(3, anyImage+keepOne, expire)),
	"archive after 30 days":       policy(rule(1, tagged+`"tagPatternList":["prod*"],`+pushed(30), archive)),
	"archive, then expire": policy(rule(1, anyImage+pushed(30), archive),
		rule(2, anyImage+`"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":365`, expire)),
}

func TestParseDocumented(t *testing.T) {
	for name, text := range documented {
		t.Run(name, func(t *testing.T) {
			p, err := lifecycle.Parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			// these texts are in ECR's order already
			if diff := cmp.Diff(strings.TrimSpace(text), p.String()); diff != "" {
				t.Errorf("printed (-text +printed):\n%s", diff)
			}
			if err := lifecycle.Validate(p); err != nil {
				t.Errorf("Validate: %v", err)
			}
		})
	}
}

func TestParseValues(t *testing.T) {
	got, err := lifecycle.Parse([]byte(`{ "rules": [ { "action": {"type": "transition", "targetStorageClass": "archive"},
		"description": "<old> \u00e4 & \"x\"", "rulePriority": 10,
		"selection": {"countNumber": 30, "countUnit": "days", "countType": "sinceImagePushed", "storageClass": "standard",
		  "tagPrefixList": ["v", "r"], "tagStatus": "tagged"} } ] }`))
	if err != nil {
		t.Fatal(err)
	}
	want := lifecycle.Policy{Rules: []lifecycle.Rule{{
		Priority:    10,
		Description: `<old> ä & "x"`,
		Selection: lifecycle.Selection{TagStatus: lifecycle.Tagged, TagPrefixes: []string{"v", "r"}, StorageClass: lifecycle.Standard,
			CountType: lifecycle.SinceImagePushed, CountUnit: lifecycle.Days, CountNumber: 30},
		Action: lifecycle.Action{Type: lifecycle.Transition, TargetStorageClass: lifecycle.Archive},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	const text = `{"rules":[{"rulePriority":10,"description":"<old> ä & \"x\"","selection":{"tagStatus":"tagged","tagPrefixList":["v","r"],` +
		`"storageClass":"standard","countType":"sinceImagePushed","countUnit":"days","countNumber":30},` +
		`"action":{"type":"transition","targetStorageClass":"archive"}}]}`
	if got.String() != text {
		t.Errorf("printed %s\nwant    %s", got, text)
	}
}

// refusal is the part of an Error that does not depend on the place.
type refusal struct{ Code, Path, Detail string }

func refusals(t *testing.T, err error) []refusal {
	t.Helper()
	var es lifecycle.Errors
	if err != nil && !errors.As(err, &es) {
		t.Fatalf("%T is not an Errors", err)
	}
	var out []refusal
	for _, e := range es {
		out = append(out, refusal{string(e.Code), e.Path, e.Detail})
	}
	return out
}

const (
	oneOf   = "instance failed to match exactly one schema (matched 0 out of 4)"
	oneOfTo = "instance failed to match exactly one schema (matched 0 out of 2)"
)

// What PutLifecyclePolicy says of several errors.
func TestDetail(t *testing.T) {
	const null = `instance type (null) does not match any allowed primitive type (allowed: ["array"])`
	for name, c := range map[string]struct{ text, want string }{
		"both lists null": {policy(rule(1, anyImage+`"tagPrefixList":null,"tagPatternList":null,`+keepOne, expire)), null + "\n" + null},
		"two rules": {policy(rule(0, untagged+keepOne, expire), rule(2, `"tagStatus":"some",`+keepOne, expire)),
			"numeric instance is lower than the required minimum (minimum: 1, found: 0)\n" + `instance value ("some") not found in enum (possible values: ["any","tagged","untagged"])`},
		"a rule that matches no form for two reasons": {policy(rule(1, untagged+`"storageClass":"archive","countUnit":"days",`+keepOne, expire)), oneOf},
		"two rules that match no form":                {policy(rule(1, untagged+`"countUnit":"days",`+keepOne, expire), rule(2, anyImage+`"countUnit":null,`+keepOne, expire)), oneOf + "\n" + oneOf},
		"a rule and its action":                       {policy(rule(1, untagged+`"countUnit":"days",`+keepOne, `"type":"transition"`)), oneOf + "\n" + oneOfTo},
		"schema before rules":                         {policy(rule(1, untagged+keepOne, expire), rule(2, untagged+keepOne, expire), rule(3, untagged+keepOne, `"type":"x"`)), `instance value ("x") not found in enum (possible values: ["expire","transition"])`},
		"of the rules the first":                      {policy(rule(1, untagged+keepOne, expire), rule(1, untagged+keepOne, expire)), "Rule priorities must be unique."},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := lifecycle.Parse([]byte(c.text))
			var es lifecycle.Errors
			if !errors.As(err, &es) || es.Detail() != c.want {
				t.Errorf("%v\n got %q\nwant %q", err, es.Detail(), c.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	many := make([]string, 51)
	for i := range many {
		many[i] = rule(i+1, tagged+fmt.Sprintf(`"tagPrefixList":["v%d."],`, i)+keepOne, expire)
	}
	for _, c := range []struct {
		name string
		text string
		want []refusal
	}{
		// PutLifecyclePolicy, lifecyclePolicyText: length constraints
		{"shorter than 100", `{"rules":[` + rule(1, untagged+keepOne, expire)[:20], []refusal{
			{"length", "", "must have length greater than or equal to 100"},
			{"syntax", "rules[0]", "Could not map policyString into LifecyclePolicy."}}},
		{"empty text", "", []refusal{
			{"length", "", "must have length greater than or equal to 100"},
			{"syntax", "", "Could not map policyString into LifecyclePolicy."}}},
		{"no rules, short", `{"rules":[]}`, []refusal{
			{"length", "", "must have length greater than or equal to 100"},
			{"schema", "rules", "array is too short: must have at least 1 elements but instance has 0 elements"}}},
		{"longer than 30720", policy(rule(1, untagged+keepOne, expire)) + strings.Repeat(" ", 30_720), []refusal{
			{"length", "", "must have length less than or equal to 30720"}}},
		// Lifecycle policy properties: form
		{"an array", policy()[9:], []refusal{{"syntax", "", "Could not map policyString into LifecyclePolicy."}}},
		{"trailing data", policy(rule(1, untagged+keepOne, expire)) + "{}", []refusal{
			{"syntax", "", "Could not map policyString into LifecyclePolicy."}}},
		{"a key twice", policy(rule(1, untagged+`"tagStatus":"any",`+keepOne, expire)), []refusal{
			{"syntax", "rules[0].selection.tagStatus", "Could not map policyString into LifecyclePolicy."}}},
		{"rules absent", `{"no_rules":[]}` + strings.Repeat(" ", 100), []refusal{
			{"schema", "", `object has missing required properties (["rules"])`},
			{"schema", "", `object instance has properties which are not allowed by the schema: (["no_rules"])`}}},
		{"rules an object", `{"rules":{}}` + strings.Repeat(" ", 100), []refusal{
			{"schema", "rules", `instance type (object) does not match any allowed primitive type (allowed: ["array"])`}}},
		{"rule a string", policy(`"x"`), []refusal{
			{"schema", "rules[0]", `instance type (string) does not match any allowed primitive type (allowed: ["object"])`}}},
		{"rule empty of all", policy(`{}`), []refusal{
			{"schema", "rules[0]", `object has missing required properties (["action","rulePriority","selection"])`}}},
		{"selection and action absent", policy(`{"rulePriority":1}`), []refusal{
			{"schema", "rules[0]", `object has missing required properties (["action","selection"])`}}},
		{"unknown keys", policy(`{"priority":1,"name":"x",` + rule(1, untagged+keepOne, expire)[1:]), []refusal{
			{"schema", "rules[0]", `object instance has properties which are not allowed by the schema: (["name","priority"])`}}},
		{"case matters", policy(rule(1, `"tagstatus":"any",`+keepOne, expire)), []refusal{
			{"schema", "rules[0].selection", `object has missing required properties (["tagStatus"])`},
			{"schema", "rules[0].selection", `object instance has properties which are not allowed by the schema: (["tagstatus"])`}}},
		{"priority a string", policy(strings.Replace(rule(1, untagged+keepOne, expire), ":1", `:"1"`, 1)), []refusal{
			{"schema", "rules[0].rulePriority", `instance type (string) does not match any allowed primitive type (allowed: ["integer"])`}}},
		{"count a fraction", policy(rule(1, untagged+keepOne+`.5`, expire)), []refusal{
			{"schema", "rules[0].selection.countNumber", `instance type (number) does not match any allowed primitive type (allowed: ["integer"])`}}},
		{"description an integer", policy(`{"description":1,` + rule(1, untagged+keepOne, expire)[1:]), []refusal{
			{"schema", "rules[0].description", `instance type (integer) does not match any allowed primitive type (allowed: ["string"])`}}},
		{"count beyond 32 bits", policy(rule(1, untagged+keepOne+"0000000000", expire)), []refusal{
			{"schema", "rules[0].selection.countNumber", "Could not map policyString into LifecyclePolicy."}}},
		{"countUnit null", policy(rule(1, untagged+keepOne+`,"countUnit":null`, expire)), []refusal{
			{"schema", "rules[0].selection.countUnit", oneOf}}},
		{"target null", policy(rule(1, untagged+keepOne, `"type":"expire","targetStorageClass":null`)), []refusal{
			{"schema", "rules[0].action.targetStorageClass", oneOfTo}}},
		{"empty list", policy(rule(1, untagged+`"tagPrefixList":[],`+keepOne, expire)), []refusal{
			{"schema", "rules[0].selection.tagPrefixList", "array is too short: must have at least 1 elements but instance has 0 elements"}}},
		{"empty element", policy(rule(1, tagged+`"tagPrefixList":[""],`+keepOne, expire)), []refusal{
			{"schema", "rules[0].selection.tagPrefixList[0]", `string "" is too short (length: 0, required minimum: 1)`}}},
		{"51 rules", policy(many...), []refusal{
			{"schema", "rules", "array is too long: must have at most 50 elements but instance has 51 elements"}}},
		// Lifecycle policy properties: values
		{"priority 0", policy(rule(0, untagged+keepOne, expire)), []refusal{
			{"schema", "rules[0].rulePriority", "numeric instance is lower than the required minimum (minimum: 1, found: 0)"}}},
		{"count 0", policy(rule(1, untagged+`"countType":"imageCountMoreThan","countNumber":0`, expire)), []refusal{
			{"schema", "rules[0].selection.countNumber", "numeric instance is lower than the required minimum (minimum: 1, found: 0)"}}},
		{"tag status unknown", policy(rule(1, `"tagStatus":"TAGGED",`+keepOne, expire)), []refusal{
			{"schema", "rules[0].selection.tagStatus", `instance value ("TAGGED") not found in enum (possible values: ["any","tagged","untagged"])`}}},
		{"unit unknown", policy(rule(1, untagged+`"countType":"sinceImagePushed","countUnit":"hours","countNumber":1`, expire)), []refusal{
			{"schema", "rules[0].selection.countUnit", `instance value ("hours") not found in enum (possible values: ["days"])`}}},
		{"unit empty", policy(rule(1, untagged+keepOne+`,"countUnit":""`, expire)), []refusal{
			{"schema", "rules[0].selection.countUnit", `instance value ("") not found in enum (possible values: ["days"])`}}},
		{"class unknown", policy(rule(1, untagged+keepOne+`,"storageClass":"STANDARD"`, expire)), []refusal{
			{"schema", "rules[0].selection.storageClass", `instance value ("STANDARD") not found in enum (possible values: ["archive","standard"])`}}},
		{"action unknown", policy(rule(1, untagged+keepOne, `"type":"delete"`)), []refusal{
			{"schema", "rules[0].action.type", `instance value ("delete") not found in enum (possible values: ["expire","transition"])`}}},
		{"target standard", policy(rule(1, untagged+keepOne, `"type":"transition","targetStorageClass":"standard"`)), []refusal{
			{"schema", "rules[0].action.targetStorageClass", `instance value ("standard") not found in enum (possible values: ["archive"])`}}},
		// Lifecycle policy properties: combinations
		{"count type unknown", policy(rule(1, untagged+`"countType":"sinceImageTagged","countNumber":1`, expire)), []refusal{
			{"schema", "rules[0].selection.countType", oneOf}}},
		{"count with unit", policy(rule(1, untagged+keepOne+`,"countUnit":"days"`, expire)), []refusal{
			{"schema", "rules[0].selection.countUnit", oneOf}}},
		{"pushed without unit", policy(rule(1, untagged+`"countType":"sinceImagePushed","countNumber":1`, expire)), []refusal{
			{"schema", "rules[0].selection.countUnit", oneOf}}},
		{"pulled and expire", policy(rule(1, untagged+`"countType":"sinceImagePulled","countUnit":"days","countNumber":1`, expire)), []refusal{
			{"schema", "rules[0].action.type", oneOf}}},
		{"count of archived", policy(rule(1, untagged+keepOne+`,"storageClass":"archive"`, expire)), []refusal{
			{"schema", "rules[0].selection.storageClass", oneOf}}},
		{"transitioned without class", policy(rule(1, untagged+`"countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`, expire)), []refusal{
			{"schema", "rules[0].selection.storageClass", oneOf}}},
		{"transitioned and transition", policy(rule(1, untagged+`"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`, archive)), []refusal{
			{"schema", "rules[0].action.type", oneOf}}},
		{"archived for 89 days", policy(rule(1, untagged+`"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":89`, expire)), []refusal{
			{"schema", "rules[0].selection.countNumber", "numeric instance is lower than the required minimum (minimum: 90, found: 89)"}}},
		{"expire with target", policy(rule(1, untagged+keepOne, expire+`,"targetStorageClass":"archive"`)), []refusal{
			{"schema", "rules[0].action.targetStorageClass", oneOfTo}}},
		{"transition without target", policy(rule(1, untagged+keepOne, `"type":"transition"`)), []refusal{
			{"schema", "rules[0].action.targetStorageClass", oneOfTo}}},
		// Lifecycle policy properties: tag lists
		{"tagged without list", policy(rule(1, tagged+keepOne, expire)), []refusal{
			{"rule", "rules[0].selection", "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED."}}},
		{"tagged with both lists", policy(rule(1, tagged+`"tagPrefixList":["a"],"tagPatternList":["b*"],`+keepOne, expire)), []refusal{
			{"rule", "rules[0].selection", "Must specify only one of tagPrefixList or tagPatternList when tagStatus=TAGGED."}}},
		{"any with list", policy(rule(1, anyImage+`"tagPatternList":["b*"],`+keepOne, expire)), []refusal{
			{"rule", "rules[0].selection.tagPatternList", "Cannot specify tagPrefixList or tagPatternList when tagStatus=ANY."}}},
		{"five wildcards", policy(rule(1, tagged+`"tagPatternList":["*test*1*2*3","test*1*2*3*4*5"],`+keepOne, expire)), []refusal{
			{"rule", "rules[0].selection.tagPatternList[1]", "Tag pattern must not contain more than 4 wildcards."}}},
		// Automate the cleanup of images: evaluation rules, lifecycle policy template
		{"a priority twice", policy(rule(7, tagged+`"tagPrefixList":["a"],`+keepOne, expire), rule(7, untagged+keepOne, expire)), []refusal{
			{"rule", "rules[1].rulePriority", "Rule priorities must be unique."}}},
		{"untagged twice", policy(rule(1, untagged+keepOne, expire), rule(2, untagged+pushed(3), expire)), []refusal{
			{"rule", "rules[1].selection.tagStatus", "Only one rule can select Untagged images per storage class"}}},
		{"any before others", policy(rule(1, anyImage+keepOne, expire), rule(2, untagged+keepOne, expire)), []refusal{
			{"rule", "rules[0].rulePriority", "Rule for tagStatus=ANY must have the lowest priority per storage class"}}},
		{"any twice", policy(rule(2, anyImage+keepOne, expire), rule(1, anyImage+pushed(3), expire)), []refusal{
			{"rule", "rules[1].rulePriority", "Rule for tagStatus=ANY must have the lowest priority per storage class"}}},
		{"explicit standard is the default", policy(rule(1, untagged+keepOne, expire), rule(2, untagged+`"storageClass":"standard",`+keepOne, expire)), []refusal{
			{"rule", "rules[1].selection.tagStatus", "Only one rule can select Untagged images per storage class"}}},
		{"a prefix in two rules", policy(rule(1, tagged+`"tagPrefixList":["a","b"],`+keepOne, expire), rule(2, tagged+`"tagPrefixList":["c","b"],`+pushed(1), expire)), []refusal{
			{"rule", "rules[1].selection.tagPrefixList[1]", "Rules must have a unique set of tagPrefixLists per storage class."}}},
		{"a pattern twice in a rule", policy(rule(1, tagged+`"tagPatternList":["a*","a*"],`+keepOne, expire)), []refusal{
			{"schema", "rules[0].selection.tagPatternList[1]", "array must not contain duplicate elements"}}},
		// all at once, the schema's refusals first, each step in the order of the text
		{"text order", policy(`{"action":{"type":"y"},"selection":{` + untagged + `"countNumber":0,"countType":"imageCountMoreThan"},"rulePriority":0}`), []refusal{
			{"schema", "rules[0].action.type", `instance value ("y") not found in enum (possible values: ["expire","transition"])`},
			{"schema", "rules[0].selection.countNumber", "numeric instance is lower than the required minimum (minimum: 1, found: 0)"},
			{"schema", "rules[0].rulePriority", "numeric instance is lower than the required minimum (minimum: 1, found: 0)"}}},
		{"several", policy(rule(1, tagged+keepOne, expire), rule(1, untagged+keepOne, expire), rule(3, `"tagStatus":"x",`+pushed(0), `"type":"y","z":1`)), []refusal{
			{"schema", "rules[2].action", `object instance has properties which are not allowed by the schema: (["z"])`},
			{"rule", "rules[0].selection", "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED."},
			{"rule", "rules[1].rulePriority", "Rule priorities must be unique."}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := lifecycle.Parse([]byte(c.text))
			if diff := cmp.Diff(c.want, refusals(t, err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if p.Rules != nil {
				t.Error("returned rules with an error")
			}
		})
	}
}

func TestParseAllows(t *testing.T) {
	for name, text := range map[string]string{
		// "per storage class": both classes may have an untagged and an any rule and the same patterns
		"classes apart": policy(
			rule(1, untagged+keepOne, expire),
			rule(2, untagged+`"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`, expire),
			rule(3, tagged+`"tagPatternList":["a*"],`+keepOne, expire),
			rule(4, tagged+`"tagPatternList":["a*"],"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":91`, expire)),
		"gaps and any order":     policy(rule(40, anyImage+keepOne, expire), rule(3, untagged+keepOne, expire)),
		"four wildcards":         policy(rule(1, tagged+`"tagPatternList":["*test*1*2*3"],`+keepOne, expire)),
		"lists mixed over rules": policy(rule(1, tagged+`"tagPatternList":["a"],`+keepOne, expire), rule(2, tagged+`"tagPrefixList":["a"],`+keepOne, expire)),
		"999999 kept":            policy(rule(1, tagged+`"tagPatternList":["a"],"countType":"imageCountMoreThan","countNumber":999999`, expire)),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := lifecycle.Parse([]byte(text)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestErrorPlaces(t *testing.T) {
	const text = "{\n  \"rules\": [\n    {\"rulePriority\": 1, \"description\": \"ää\", \"selection\": {\"tagStatus\": \"any\",\n" +
		"      \"countType\": \"imageCountMoreThan\", \"countNumber\": 5, \"countUnit\": \"days\"},\n     \"action\": {\"type\": \"expire\", \"kind\": 1}}]}"
	_, err := lifecycle.Parse([]byte(text))
	var es lifecycle.Errors
	if !errors.As(err, &es) || len(es) != 1 {
		t.Fatalf("got %v", err)
	}
	want := lifecycle.Error{Code: lifecycle.CodeSchema, Path: "rules[0].action", Offset: strings.Index(text, `"kind"`), Line: 5, Column: 35,
		Detail: `object instance has properties which are not allowed by the schema: (["kind"])`}
	if diff := cmp.Diff(want, *es[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, err = lifecycle.Parse([]byte(strings.Replace(text, `, "kind": 1`, "", 1)))
	if want := "4:73: rules[0].selection.countUnit: imageCountMoreThan takes no countUnit"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	_, err = lifecycle.Parse([]byte("{\n \"rules\": [ä" + strings.Repeat(" ", 100)))
	if want := "2:12: rules[0]: 'ä' where a value should be"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	var one *lifecycle.Error
	if !errors.As(err, &one) || one != err.(lifecycle.Errors)[0] {
		t.Error("errors.As does not find the first Error")
	}
}

func TestValidateBuilt(t *testing.T) {
	for _, c := range []struct {
		name string
		p    lifecycle.Policy
		want []refusal
	}{
		{"zero", lifecycle.Policy{}, []refusal{
			{"length", "", "must have length greater than or equal to 100"},
			{"schema", "rules", "array is too short: must have at least 1 elements but instance has 0 elements"}}},
		{"unit forgotten", lifecycle.Policy{Rules: []lifecycle.Rule{{Priority: 1, Action: lifecycle.Action{Type: lifecycle.Expire},
			Selection: lifecycle.Selection{TagStatus: lifecycle.Any, CountType: lifecycle.SinceImagePushed, CountNumber: 1}}}},
			[]refusal{{"schema", "rules[0].selection.countUnit", oneOf}}},
		{"zero rule", lifecycle.Policy{Rules: make([]lifecycle.Rule, 1)}, []refusal{
			{"schema", "rules[0].rulePriority", "numeric instance is lower than the required minimum (minimum: 1, found: 0)"},
			{"schema", "rules[0].selection.tagStatus", `instance value ("") not found in enum (possible values: ["any","tagged","untagged"])`},
			{"schema", "rules[0].selection.countNumber", "numeric instance is lower than the required minimum (minimum: 1, found: 0)"},
			{"schema", "rules[0].selection.countType", oneOf},
			{"schema", "rules[0].action.type", `instance value ("") not found in enum (possible values: ["expire","transition"])`}}},
		{"not UTF-8", lifecycle.Policy{Rules: []lifecycle.Rule{{Priority: 1, Description: "\xff", Action: lifecycle.Action{Type: lifecycle.Expire},
			Selection: lifecycle.Selection{TagStatus: lifecycle.Any, CountType: lifecycle.ImageCountMoreThan, CountNumber: 1}}}},
			[]refusal{{"schema", "rules[0].description", "Could not map policyString into LifecyclePolicy."}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := lifecycle.Validate(c.p)
			if diff := cmp.Diff(c.want, refusals(t, err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err.(lifecycle.Errors)[0].Line != 0 {
				t.Error("a place without a text")
			}
		})
	}
}

func TestDecode(t *testing.T) {
	// a policy that is in force is read even when its rules contradict one
	// another or come from a later version of the language
	text := `{"rules":[` + rule(1, `"tagStatus":"some","countType":"sinceImageSigned","countUnit":"weeks","countNumber":0`, `"type":"hide"`) + `]}`
	p, err := lifecycle.Decode([]byte(text))
	if err != nil || p.String() != text {
		t.Errorf("got %s, %v", p, err)
	}
	if err := lifecycle.Validate(p); err == nil {
		t.Error("Validate accepts it")
	}
	if _, err := lifecycle.Decode([]byte(`{"rules":[{}]}`)); err == nil {
		t.Error("Decode accepts a rule without members")
	}
	if _, err := lifecycle.Decode([]byte(`[]`)); err == nil {
		t.Error("Decode accepts an array")
	}
}

func TestJSON(t *testing.T) {
	type plan struct{ Lifecycle lifecycle.Policy }
	p, err := lifecycle.Parse([]byte(documented["filtering on all images"]))
	if err != nil {
		t.Fatal(err)
	}
	p.Rules[0].Description = "<a> & b"
	text, err := json.Marshal(plan{p})
	if err != nil {
		t.Fatal(err)
	}
	var back plan
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plan{p}, back); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := json.Unmarshal([]byte(`{"Lifecycle":{"rules":[{"priority":1}]}}`), &back); err == nil {
		t.Error("an unknown member is accepted")
	}
}
