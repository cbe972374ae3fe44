package ecrapi

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/wire/awsjson"
	"github.com/kontor-registry/kontor/policy"
)

// An sdkOperation is a method of the SDK's client that is an operation.
type sdkOperation struct {
	method        reflect.Method
	input, output reflect.Type
}

func sdkOperations() map[string]sdkOperation {
	ops := map[string]sdkOperation{}
	client := reflect.TypeFor[*sdk.Client]()
	for i := range client.NumMethod() {
		m := client.Method(i)
		t := m.Type
		if t.NumIn() == 4 && t.NumOut() == 2 && t.In(2).Kind() == reflect.Pointer && t.In(2).Elem().Name() == m.Name+"Input" {
			ops[m.Name] = sdkOperation{m, t.In(2).Elem(), t.Out(0).Elem()}
		}
	}
	return ops
}

// The model, and with it the generated types, has what the SDK has: its
// operations, its members and their types, its enumerations.
func TestTypesMatchSDK(t *testing.T) {
	ops := sdkOperations()
	if diff := cmp.Diff(slices.Sorted(maps.Keys(ops)), slices.Sorted(maps.Keys(modelled))); diff != "" {
		t.Fatalf("operations (-SDK +model):\n%s", diff)
	}
	if len(ops) != 62 {
		t.Errorf("%d operations, want 62", len(ops))
	}
	compared := map[reflect.Type]bool{}
	for _, name := range slices.Sorted(maps.Keys(ops)) {
		compareTypes(t, name, ops[name].input, reflect.TypeOf(wireTypes[name].request()).Elem(), compared)
		compareTypes(t, name, ops[name].output, reflect.TypeOf(wireTypes[name].response()).Elem(), compared)
	}
}

// The actions of ECR that policies know are the SDK's operations, and three that
// have none (Service Authorization Reference, "Permission only").
func TestActionsMatchSDK(t *testing.T) {
	want := []string{"ecr:BatchImportUpstreamImage", "ecr:GetImageCopyStatus", "ecr:ReplicateImage"}
	for name := range sdkOperations() {
		want = append(want, "ecr:"+name)
	}
	slices.Sort(want)
	var got []string
	for _, a := range policy.Actions() {
		got = append(got, a.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-SDK +policy):\n%s", diff)
	}
}

func compareTypes(t *testing.T, path string, theirs, ours reflect.Type, compared map[reflect.Type]bool) {
	t.Helper()
	if compared[ours] {
		return
	}
	compared[ours] = true
	describe := func(typ reflect.Type) map[string]string {
		fields := map[string]string{}
		for i := range typ.NumField() {
			if f := typ.Field(i); f.IsExported() && f.Name != "ResultMetadata" {
				fields[f.Name] = kindOf(f.Type)
			}
		}
		return fields
	}
	if diff := cmp.Diff(describe(theirs), describe(ours)); diff != "" {
		t.Errorf("%s: %s (-SDK +ours):\n%s", path, ours.Name(), diff)
		return
	}
	for i := range ours.NumField() {
		f := ours.Field(i)
		their, _ := theirs.FieldByName(f.Name)
		if a, b := structOf(their.Type), structOf(f.Type); a != nil {
			compareTypes(t, path+"."+f.Name, a, b, compared)
		}
		compareEnums(t, path+"."+f.Name, their.Type, ours, i)
	}
}

// compareEnums holds the value set of field i of ours, where it is part of a
// request, against the SDK's.
func compareEnums(t *testing.T, path string, theirs, ours reflect.Type, i int) {
	t.Helper()
	s, ok := shapes[ours.Name()]
	if !ok {
		return
	}
	values := theirs
	of := shapes[s.members[i].shape]
	if values.Kind() == reflect.Slice {
		values, of = values.Elem(), shapes[of.element]
	}
	method, ok := values.MethodByName("Values")
	if !ok {
		return
	}
	list := method.Func.Call([]reflect.Value{reflect.Zero(values)})[0]
	var want []string
	for j := range list.Len() {
		want = append(want, list.Index(j).String())
	}
	got := slices.Clone(of.enum)
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: values (-SDK +table):\n%s", path, diff)
	}
}

// kindOf names a type as the wire sees it.
func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]() || t == reflect.TypeFor[awsjson.Time]():
		return "time"
	case t.Kind() == reflect.Pointer:
		return kindOf(t.Elem())
	case t.Kind() == reflect.Slice:
		return "list of " + kindOf(t.Elem())
	case t.Kind() == reflect.Map:
		return "map of " + kindOf(t.Elem())
	}
	return t.Kind().String()
}

// structOf is the structure within t, or nil.
func structOf(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || kindOf(t) == "time" {
		return nil
	}
	return t
}

// The members that the SDK's client refuses to leave out are those that the
// table requires.
func TestRequiredMatchesSDK(t *testing.T) {
	client := sdk.New(sdk.Options{
		Region:      "us-east-1",
		Credentials: aws.AnonymousCredentials{},
		HTTPClient:  refuse{},
		Retryer:     aws.NopRetryer{},
	})
	for name, op := range sdkOperations() {
		out := op.method.Func.Call([]reflect.Value{reflect.ValueOf(client), reflect.ValueOf(context.Background()), reflect.New(op.input)})
		var theirs []string
		var invalid smithy.InvalidParamsError
		if err, ok := out[1].Interface().(error); ok && errors.As(err, &invalid) {
			for _, e := range invalid.Errs() {
				var param smithy.InvalidParamError
				if !errors.As(e, &param) {
					t.Fatalf("%s: %v", name, e)
				}
				_, field, _ := strings.Cut(param.Field(), ".")
				theirs = append(theirs, strings.ToLower(field[:1])+field[1:])
			}
		}
		var ours []string
		for _, m := range shapes[reflect.TypeOf(wireTypes[name].request()).Elem().Name()].members {
			if m.required {
				ours = append(ours, m.name)
			}
		}
		slices.Sort(theirs)
		slices.Sort(ours)
		if diff := cmp.Diff(theirs, ours); diff != "" {
			t.Errorf("%s: required (-SDK +table):\n%s", name, diff)
		}
	}
}
