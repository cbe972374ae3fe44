package awsjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

type inner struct {
	Key   *string `json:"Key,omitzero"`
	Value string  `json:"Value"`
}

type input struct {
	Name    *string           `json:"repositoryName,omitzero"`
	Max     *int32            `json:"maxResults"`
	Long    int64             `json:"partLastByte"`
	Ratio   float64           `json:"ratio"`
	Force   bool              `json:"force"`
	Blob    []byte            `json:"layerPartBlob"`
	IDs     []string          `json:"ids"`
	Tags    []inner           `json:"tags"`
	Map     map[string]string `json:"map"`
	Nested  *inner            `json:"nested"`
	At      *awsjson.Time     `json:"createdAt,omitzero"`
	Ignored string            `json:"-"`
	Plain   string
	private string
}

func p[T any](v T) *T { return &v }

func TestDecode(t *testing.T) {
	tests := []struct {
		name, body string
		want       input
		err        string // message of a SerializationException
	}{
		{name: "empty object", body: `{}`},
		{name: "no body", body: ""},
		{name: "everything", body: ` { "repositoryName" : "a/b" , "maxResults":12,"partLastByte":9007199254740993,"ratio":1e-1,"force":true,
			"layerPartBlob":"aGk\/", "ids":["x","y"],"tags":[{"Key":"k","Value":"v"},{}],"map":{"a":"b"},"nested":{"Value":"n"},
			"createdAt":1.563223656E9,"Plain":"p"} `,
			want: input{Name: p("a/b"), Max: p(int32(12)), Long: 9007199254740993, Ratio: 0.1, Force: true, Blob: []byte("hi?"),
				IDs: []string{"x", "y"}, Tags: []inner{{Key: p("k"), Value: "v"}, {}}, Map: map[string]string{"a": "b"},
				Nested: &inner{Value: "n"}, At: p(awsjson.Time(time.Unix(1563223656, 0).UTC())), Plain: "p"}},
		{name: "names of another case are unknown", body: `{"RepositoryName":"x","repositoryname":"y","tags":[{"key":"k","value":"v"}]}`,
			want: input{Tags: []inner{{}}}},
		{name: "unknown members are ignored, whatever they hold", body: `{"x":{"a":[1,{"b":"}]\"\\"}]},"y":[],"repositoryName":"r","z":-1.5e3}`,
			want: input{Name: p("r")}},
		{name: "escaped names", body: `{"repository\u004eame":"r"}`, want: input{Name: p("r")}},
		{name: "null is absent", body: `{"repositoryName":null,"force":null,"ids":null,"nested":null,"createdAt":null,"map":null}`},
		{name: "null in a list", body: `{"ids":["a",null]}`, want: input{IDs: []string{"a", ""}}},
		{name: "an empty list is not an absent one", body: `{"ids":[]}`, want: input{IDs: []string{}}},
		{name: "the last of two counts", body: `{"nested":{"Key":"k"},"nested":{"Value":"v"}}`, want: input{Nested: &inner{Value: "v"}}},
		{name: "fields that are no members stay untouched", body: `{"Ignored":"x","-":"x","private":"x"}`},
		{name: "integers in other forms", body: `{"maxResults":1.2e1}`, want: input{Max: p(int32(12))}},
		{name: "escapes", body: `{"repositoryName":"a\u00e9\n\ud83d\ude00"}`, want: input{Name: p("aé\n😀")}},

		{name: "not JSON", body: `{"repositoryName":`, err: "The request body is not valid JSON"},
		{name: "more than one value", body: `{} {}`, err: "The request body is not valid JSON"},
		{name: "not an object", body: `["repositoryName"]`, err: "The request body is not a JSON object"},
		{name: "null", body: `null`, err: "The request body is not a JSON object"},
		{name: "not UTF-8", body: "{\"repositoryName\":\"\xff\"}", err: "The request body is not UTF-8"},
		{name: "number for string", body: `{"repositoryName":1}`, err: "NUMBER_VALUE can not be converted to a String: 'repositoryName'"},
		{name: "string for integer", body: `{"maxResults":"1"}`, err: "STRING_VALUE can not be converted to an Integer: 'maxResults'"},
		{name: "fraction for integer", body: `{"maxResults":1.5}`, err: "NUMBER_VALUE can not be converted to an Integer: 'maxResults'"},
		{name: "integer too large", body: `{"maxResults":2147483648}`, err: "NUMBER_VALUE can not be converted to an Integer: 'maxResults'"},
		{name: "boolean for list", body: `{"ids":true}`, err: "TRUE_VALUE can not be converted to a List: 'ids'"},
		{name: "string for boolean", body: `{"force":"true"}`, err: "STRING_VALUE can not be converted to a Boolean: 'force'"},
		{name: "list for structure", body: `{"nested":[]}`, err: "Start of list found where not expected: 'nested'"},
		{name: "structure for string", body: `{"tags":[{},{"Value":{}}]}`, err: "Start of structure or map found where not expected: 'tags[1].Value'"},
		{name: "bad base64", body: `{"layerPartBlob":"a"}`, err: "Invalid base64 at 'layerPartBlob'"},
		{name: "string for timestamp", body: `{"createdAt":"2019"}`, err: "STRING_VALUE can not be converted to a Timestamp: 'createdAt'"},
		{name: "number in a map of strings", body: `{"map":{"a":1}}`, err: "NUMBER_VALUE can not be converted to a String: 'map.a'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got input
			err := awsjson.Decode([]byte(tt.body), &got)
			if tt.err != "" {
				if !errors.Is(err, &ecr.Error{Code: ecr.CodeSerialization, Message: tt.err}) {
					t.Fatalf("Decode = %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			opts := cmp.Options{cmp.AllowUnexported(input{}), cmp.Comparer(func(a, b awsjson.Time) bool { return a.Time().Equal(b.Time()) })}
			if d := cmp.Diff(tt.want, got, opts); d != "" {
				t.Errorf("Decode (-want +got):\n%s", d)
			}
			if got.private != "" {
				t.Error("an unexported field was set")
			}
		})
	}
}

// Whatever encoding/json writes for a value, Decode reads back.
func TestDecodeReadsWhatIsEncoded(t *testing.T) {
	text := rapid.String()
	rapid.Check(t, func(t *rapid.T) {
		in := input{
			Name: p(text.Draw(t, "name")), Max: p(rapid.Int32().Draw(t, "max")), Long: rapid.Int64().Draw(t, "long"),
			Ratio: rapid.Float64().Draw(t, "ratio"), Force: rapid.Bool().Draw(t, "force"),
			Blob: rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(t, "blob"), IDs: rapid.SliceOfN(text, 1, 3).Draw(t, "ids"),
			Map: rapid.MapOfN(text, text, 1, 3).Draw(t, "map"), Nested: &inner{Value: text.Draw(t, "value")},
		}
		body, err := json.MarshalIndent(in, "", rapid.SampledFrom([]string{"", "\t"}).Draw(t, "indent"))
		if err != nil {
			t.Fatal(err)
		}
		var got input
		if err := awsjson.Decode(body, &got); err != nil {
			t.Fatalf("Decode(%s): %v", body, err)
		}
		if d := cmp.Diff(in, got, cmp.AllowUnexported(input{})); d != "" {
			t.Fatalf("Decode(%s) (-want +got):\n%s", body, d)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{}`, `{"repositoryName":"a","tags":[{"Key":"k"}],"x":[[{}]],"createdAt":1e9}`, `{"layerPartBlob":"aGk="}`, `[`, `{"a":"\\"}`, " { \"ids\" : [ ] } "} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got input
		err := awsjson.Decode(body, &got)
		if err != nil && ecr.CodeOf(err) != ecr.CodeSerialization {
			t.Errorf("Decode(%q) = %v", body, err)
		}
		if err == nil && len(strings.TrimSpace(string(body))) > 0 && !json.Valid(body) {
			t.Errorf("Decode(%q) accepts what is not JSON", body)
		}
	})
}

func TestTime(t *testing.T) {
	tests := []struct {
		at   time.Time
		want string
	}{
		{time.Date(2019, 7, 15, 20, 47, 36, 0, time.UTC), "1563223656"},
		{time.Date(2019, 7, 15, 20, 47, 36, 123_999_000, time.UTC), "1563223656.123"},
		{time.Date(2019, 7, 15, 20, 47, 36, 500_000_000, time.UTC), "1563223656.5"},
		{time.Date(2019, 7, 15, 20, 47, 36, 7_000_000, time.UTC), "1563223656.007"},
		{time.UnixMilli(-1500), "-1.5"},
		{time.Unix(0, 0), "0"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			b, err := json.Marshal(awsjson.Time(tt.at))
			if err != nil || string(b) != tt.want {
				t.Errorf("Marshal(%v) = %s, %v; want %s", tt.at, b, err, tt.want)
			}
			var back awsjson.Time
			if err := json.Unmarshal(b, &back); err != nil || !back.Time().Equal(tt.at.Truncate(time.Millisecond)) {
				t.Errorf("Unmarshal(%s) = %v, %v", b, back.Time(), err)
			}
		})
	}
	if b, err := json.Marshal(struct {
		A *awsjson.Time `json:"a,omitzero"`
		B awsjson.Time  `json:"b,omitzero"`
	}{A: awsjson.NewTime(time.Time{})}); err != nil || string(b) != `{}` {
		t.Errorf("zero times = %s, %v", b, err)
	}
	var bad awsjson.Time
	if err := json.Unmarshal([]byte("1e300"), &bad); err == nil {
		t.Error("1e300 is a time")
	}
}

func TestOperation(t *testing.T) {
	const prefix = "AmazonEC2ContainerRegistry_V20150921"
	tests := []struct {
		name    string
		targets []string
		want    string
	}{
		{"an operation", []string{prefix + ".PutImage"}, "PutImage"},
		{"none", nil, ""},
		{"no operation", []string{prefix + "."}, ""},
		{"another service", []string{"DynamoDB_20120810.ListTables"}, ""},
		{"prefix of another case", []string{strings.ToLower(prefix) + ".PutImage"}, ""},
		{"two", []string{prefix + ".PutImage", prefix + ".ListImages"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			for _, target := range tt.targets {
				r.Header.Add("X-Amz-Target", target)
			}
			got, err := awsjson.Operation(r, prefix)
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Fatalf("Operation = %q, %v", got, err)
			}
			if err != nil && ecr.CodeOf(err) != ecr.CodeUnknownOperation {
				t.Errorf("err = %v", err)
			}
		})
	}
}

func TestReadBody(t *testing.T) {
	read := func(body string, length int64, limit int64) (string, error) {
		r := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(strings.NewReader(body)))
		r.ContentLength = length
		b, err := awsjson.ReadBody(r, limit)
		return string(b), err
	}
	for _, length := range []int64{5, -1} {
		t.Run(fmt.Sprint("length ", length), func(t *testing.T) { // known, and chunked
			if got, err := read("12345", length, 5); got != "12345" || err != nil {
				t.Errorf("at the limit, length %d: %q, %v", length, got, err)
			}
			if _, err := read("12345", length, 4); ecr.CodeOf(err) != ecr.CodeSerialization {
				t.Errorf("over the limit, length %d: %v", length, err)
			}
		})
	}
	broken := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader("12"), failing{}))
	if _, err := awsjson.ReadBody(broken, 5); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a broken connection: %v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestWrite(t *testing.T) {
	tests := []struct {
		name   string
		write  func(w http.ResponseWriter)
		status int
		body   string
	}{
		{"a response, not escaped for HTML", func(w http.ResponseWriter) {
			awsjson.WriteJSON(w, 200, "id-1", map[string]string{"policyText": `{"a":"<&>"}`})
		}, 200, `{"policyText":"{\"a\":\"<&>\"}"}`},
		{"an empty response", func(w http.ResponseWriter) { awsjson.WriteJSON(w, 200, "id-1", struct{}{}) }, 200, `{}`},
		{"an error", func(w http.ResponseWriter) {
			awsjson.WriteError(w, 400, "id-1", "RepositoryNotFoundException", "The repository")
		}, 400, `{"__type":"RepositoryNotFoundException","message":"The repository"}`},
		{"a response that cannot be encoded", func(w http.ResponseWriter) { awsjson.WriteJSON(w, 200, "id-1", func() {}) },
			500, `{"__type":"ServerException","message":"The response could not be encoded."}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			tt.write(w)
			if w.Code != tt.status || w.Body.String() != tt.body {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, tt.status, tt.body)
			}
			if got := w.Header().Get("Content-Type"); got != "application/x-amz-json-1.1" {
				t.Errorf("Content-Type %q", got)
			}
			if got := w.Header().Get("x-amzn-RequestId"); got != "id-1" {
				t.Errorf("x-amzn-RequestId %q", got)
			}
		})
	}
}
