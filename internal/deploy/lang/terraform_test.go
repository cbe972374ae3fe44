package lang_test

import (
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
)

// The short forms of a template are the long ones, at their places, in brackets too.
func TestParseCloudFormation(t *testing.T) {
	const text = "a: !Ref AWS::Region\nb: {c: !Ref AWS::StackName, d: [!GetAtt x.y, {Type: AWS::ECR::Repository, \"x\":[ecr:PutImage, \"ecr:*\"]}]}\ne: !Sub |\n  ${AWS::Region}::x\nf: !Join [\"::\", [!Ref x]]\nCondition::x: !Condition y\n"
	v, errs := lang.ParseCloudFormation(lang.Source{Name: "t.yaml", Data: []byte(text)})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	got, err := v.AppendJSON(nil, nil, nil)
	const want = `{"a":{"Ref":"AWS::Region"},"b":{"c":{"Ref":"AWS::StackName"},"d":[{"Fn::GetAtt":"x.y"},{"Type":"AWS::ECR::Repository","x":["ecr:PutImage","ecr:*"]}]},` +
		`"e":{"Fn::Sub":"${AWS::Region}::x\n"},"f":{"Fn::Join":["::",[{"Ref":"x"}]]},"Condition::x":{"Condition":"y"}}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	if at := v.Get("b").Get("d").Items[0].Members[0].At.String(); at != "t.yaml:2:32" {
		t.Errorf("at %s", at)
	}
	if _, errs := lang.Parse(lang.Source{Name: "t.yaml", Data: []byte("a: !Ref x")}); len(errs) != 1 || !strings.Contains(errs[0].Message, "type tags such as !Ref are not supported") {
		t.Errorf("not a template: %v", errs)
	}
	if _, errs := lang.ParseCloudFormation(lang.Source{Name: "t.yaml", Data: []byte("a: !!set x")}); len(errs) != 1 {
		t.Errorf("a type: %v", errs)
	}
}

func TestParseTerraform(t *testing.T) {
	body, errs := lang.ParseTerraform(lang.Source{Name: "a.tf", Data: []byte("\ufeffresource \"a\" \"b\" {\n  c = d.e[\"f\"]\n}\n")})
	if len(errs) > 0 || len(body.Blocks) != 1 || body.Blocks[0].Labels[1] != "b" {
		t.Errorf("%v, %+v", errs, body)
	}
	for text, want := range map[string]string{
		"a = ":                              "a.tf:1:5: ",
		"a = \x00":                          "a.tf:1:5: the file contains a NUL character",
		"a = " + strings.Repeat("(", 5_000): "a.tf:1:105: this expression is too long or nested too deeply",
		"a = " + strings.Repeat("!", 5_000) + "true":    "a.tf:1:1004: this expression is too long or nested too deeply",
		"a = " + strings.Repeat("b?c:", 5_000) + "d":    "a.tf:1:2004: this expression is too long or nested too deeply",
		"a = " + strings.Repeat("\"${", 5_000):          "a.tf:1:",
		"<<<<<<< a\nx = 1\n=======\nx = 2\n>>>>>>> b\n": "a.tf:1:1: a merge conflict",
	} {
		if _, errs := lang.ParseTerraform(lang.Source{Name: "a.tf", Data: []byte(text)}); len(errs) == 0 || !strings.HasPrefix(errs.Error(), want) {
			t.Errorf("%.40q: %v", text, errs)
		}
	}
}
