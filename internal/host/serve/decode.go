package serve

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/spelling"
)

// decoder reads settings of a file and of the environment, and collects what is
// wrong.
type decoder struct {
	errs   lang.Errors
	places map[string]state.Position // of fields, by their way: "registries[0].account"
}

func (d *decoder) errorf(at state.Position, way, format string, args ...any) {
	d.errs = append(d.errs, &lang.Error{Position: at, Field: way, Message: fmt.Sprintf(format, args...)})
}

// wrong reports what is wrong with the field at way, where it was given, or the
// file.
func (d *decoder) wrong(way, format string, args ...any) {
	at, given := d.places[way]
	if !given {
		at = d.places[""]
	}
	d.errorf(at, way, format, args...)
}

// field is one of a struct of settings.
type field struct {
	reflect.StructField
	name string
	at   int
}

func fieldsOf(t reflect.Type) (all []field) {
	for i := range t.NumField() {
		if f := t.Field(i); f.Tag.Get("field") != "" {
			all = append(all, field{f, f.Tag.Get("field"), i})
		}
	}
	return all
}

func join(way, name string) string {
	if way == "" {
		return name
	}
	return way + "." + name
}

// value reads v into into. Null is as good as not given.
func (d *decoder) value(v *lang.Value, into reflect.Value, way string) {
	if v.Kind == lang.Null || v.Kind == lang.Broken {
		return
	}
	d.places[way] = v.At
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		d.value(v, into.Elem(), way)
	case reflect.Struct:
		d.mapping(v, into, way)
	case reflect.Bool:
		if v.Kind != lang.Boolean {
			d.errorf(v.At, way, "want true or false, not %s", kind(v))
			return
		}
		into.SetBool(v.True())
	case reflect.Slice:
		if v.Kind != lang.List {
			d.errorf(v.At, way, "want a list, not %s", kind(v))
			return
		}
		into.Set(reflect.MakeSlice(into.Type(), len(v.Items), len(v.Items)))
		for i, item := range v.Items {
			d.value(item, into.Index(i), fmt.Sprintf("%s[%d]", way, i))
		}
	case reflect.Map:
		if v.Kind != lang.Mapping {
			d.errorf(v.At, way, "want a mapping, not %s", kind(v))
			return
		}
		into.Set(reflect.MakeMap(into.Type()))
		for _, m := range v.Members {
			text := reflect.New(into.Type().Elem()).Elem()
			d.value(m.Value, text, join(way, m.Key))
			into.SetMapIndex(reflect.ValueOf(m.Key), text)
		}
	default:
		switch v.Kind {
		case lang.Text, lang.Integer:
			into.SetString(v.Text)
		default:
			d.errorf(v.At, way, "want a string, not %s", kind(v))
		}
	}
}

func (d *decoder) mapping(v *lang.Value, into reflect.Value, way string) {
	if v.Kind != lang.Mapping {
		d.errorf(v.At, way, "want a mapping, not %s", kind(v))
		return
	}
	fields := fieldsOf(into.Type())
	var names []string
	for _, f := range fields {
		names = append(names, f.name)
	}
members:
	for _, m := range v.Members {
		for _, f := range fields {
			if f.name == m.Key {
				d.value(m.Value, into.Field(f.at), join(way, f.name))
				continue members
			}
		}
		hint := "the fields are " + strings.Join(names, ", ")
		if near := spelling.Nearest(m.Key, names); near != "" {
			hint = "did you mean " + near + "?"
		}
		d.errorf(m.At, join(way, lang.Clip(m.Key)), "there is no such field: %s", hint)
	}
	for _, f := range fields {
		if f.Tag.Get("required") != "" && into.Field(f.at).IsZero() && v.Get(f.name) == nil {
			d.errorf(v.At, join(way, f.name), "required: %s", f.Tag.Get("about"))
		}
	}
}

// envPrefix begins the names of the environment variables of fields.
const envPrefix = "KONTOR_"

// env is the environment variable of the field at way.
func env(way string) string { return envPrefix + strings.ToUpper(strings.ReplaceAll(way, ".", "_")) }

// environment lets variables take precedence over what into has.
func (d *decoder) environment(into reflect.Value, way string, getenv func(string) string) {
	for _, f := range fieldsOf(into.Type()) {
		v, name := into.Field(f.at), join(way, f.name)
		switch v.Kind() {
		case reflect.Struct:
			d.environment(v, name, getenv)
			continue
		case reflect.Pointer:
			inner := reflect.New(v.Type().Elem())
			if !v.IsNil() {
				inner.Elem().Set(v.Elem())
			}
			d.environment(inner.Elem(), name, getenv)
			if !inner.Elem().IsZero() {
				v.Set(inner)
			}
			continue
		}
		text := getenv(env(name))
		if text == "" {
			continue
		}
		at := state.Position{File: env(name)}
		d.places[name] = at
		switch {
		case v.Kind() == reflect.String:
			v.SetString(text)
		case v.Kind() == reflect.Bool:
			switch text {
			case "true", "false":
				v.SetBool(text == "true")
			default:
				d.errorf(at, "", "want true or false, not %q", lang.Clip(text))
			}
		case v.Kind() == reflect.Map:
			v.Set(reflect.MakeMap(v.Type()))
			for _, pair := range parts(text) {
				key, value, ok := strings.Cut(pair, "=")
				if !ok {
					d.errorf(at, "", "%s: want NAME=VALUE, such as requests=100", lang.Clip(pair))
					continue
				}
				d.places[join(name, key)] = at
				v.SetMapIndex(reflect.ValueOf(key), reflect.ValueOf(value))
			}
		case v.Type().Elem().Kind() == reflect.String:
			list := parts(text)
			v.Set(reflect.ValueOf(list))
			for i := range list {
				d.places[fmt.Sprintf("%s[%d]", name, i)] = at
			}
		default: // a list of mappings, as YAML or JSON
			parsed, errs := lang.Parse(lang.Source{Name: env(name), Data: []byte(text)})
			d.errs = append(d.errs, errs...)
			if parsed != nil {
				v.SetZero()
				d.value(parsed, v, name)
			}
		}
	}
}

// parts are the values of a list that commas separate.
func parts(text string) (all []string) {
	for s := range strings.SplitSeq(text, ",") {
		if s = strings.TrimSpace(s); s != "" {
			all = append(all, s)
		}
	}
	return all
}

// kind says what v is. It does not show text, which may be a secret.
func kind(v *lang.Value) string {
	switch v.Kind {
	case lang.Text:
		return "a string"
	case lang.Integer, lang.Number:
		return "a number"
	}
	return v.String()
}
