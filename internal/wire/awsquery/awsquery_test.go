package awsquery_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/awsquery"
)

func TestFormOfRequests(t *testing.T) {
	const form = "application/x-www-form-urlencoded; charset=utf-8"
	tests := []struct {
		name, method, target, contentType, body string
		want                                    url.Values
		err                                     string
	}{
		{name: "POST", method: "POST", target: "/", contentType: form, body: "Action=GetCallerIdentity&Version=2011-06-15",
			want: url.Values{"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"}}},
		{name: "GET", method: "GET", target: "/?Action=GetCallerIdentity&Version=2011-06-15",
			want: url.Values{"Action": {"GetCallerIdentity"}, "Version": {"2011-06-15"}}},
		{name: "a GET's body is nothing", method: "GET", target: "/?Action=A", body: "Version=1", want: url.Values{"Action": {"A"}}},
		{name: "presigned POST", method: "POST", target: "/?X-Amz-Date=20150830T123600Z", contentType: form, body: "Action=A",
			want: url.Values{"Action": {"A"}, "X-Amz-Date": {"20150830T123600Z"}}},
		{name: "escapes", method: "POST", target: "/", contentType: form, body: "Name=a%2Bb+c", want: url.Values{"Name": {"a+b c"}}},
		{name: "given twice", method: "GET", target: "/?Action=A&Action=B", err: "The parameter 'Action' is given more than once"},
		{name: "given in both places", method: "POST", target: "/?Action=A", contentType: form, body: "Action=A", err: "The parameter 'Action' is given more than once"},
		{name: "bad query", method: "GET", target: "/?Action=%zz", err: "The query string contains a syntax error"},
		{name: "bad body", method: "POST", target: "/", contentType: form, body: "Action=%zz", err: "The request body contains a syntax error"},
		{name: "JSON", method: "POST", target: "/", contentType: "application/json", body: "{}",
			err: "The request must be a GET or a POST of application/x-www-form-urlencoded"},
		{name: "PUT", method: "PUT", target: "/?Action=A", contentType: form,
			err: "The request must be a GET or a POST of application/x-www-form-urlencoded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.target, nil)
			r.Header.Set("Content-Type", tt.contentType)
			got, err := awsquery.Form(r, []byte(tt.body))
			if tt.err != "" {
				if err == nil || ecr.CodeOf(err) != ecr.CodeSerialization || !strings.HasSuffix(err.Error(), tt.err) {
					t.Fatalf("Form = %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("Form (-want +got):\n%s", d)
			}
		})
	}
}

func FuzzForm(f *testing.F) {
	f.Add("Action=GetCallerIdentity", "Version=2011-06-15")
	f.Add("a=%41&b", "a;b=c")
	f.Fuzz(func(t *testing.T, query, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		form, err := awsquery.Form(r, []byte(body))
		if err != nil && ecr.CodeOf(err) != ecr.CodeSerialization {
			t.Errorf("Form = %v", err)
		}
		for name, values := range form {
			if len(values) != 1 {
				t.Errorf("%q has %d values", name, len(values))
			}
		}
	})
}

func TestWrite(t *testing.T) {
	const ns = "https://sts.amazonaws.com/doc/2011-06-15/"
	tests := []struct {
		name   string
		write  func(w http.ResponseWriter)
		status int
		body   string
	}{
		{"a response", func(w http.ResponseWriter) {
			awsquery.Write(w, "id-1", ns, "GetThing", struct {
				Arn  string
				Name string `xml:"ThingName"`
			}{"arn:aws:x", "<&>"})
		}, 200, `<GetThingResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetThingResult><Arn>arn:aws:x</Arn>` +
			`<ThingName>&lt;&amp;&gt;</ThingName></GetThingResult><ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></GetThingResponse>`},
		{"an error", func(w http.ResponseWriter) {
			awsquery.WriteError(w, "id-1", ns, awsquery.Error{Status: 403, Fault: awsquery.Sender, Code: "AccessDenied", Message: "a < b"})
		}, 403, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code>` +
			`<Message>a &lt; b</Message></Error><RequestId>id-1</RequestId></ErrorResponse>`},
		{"a response that cannot be encoded", func(w http.ResponseWriter) { awsquery.Write(w, "id-1", ns, "GetThing", struct{ F func() }{func() {}}) },
			500, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Receiver</Type><Code>InternalFailure</Code>` +
				`<Message>The response could not be encoded.</Message></Error><RequestId>id-1</RequestId></ErrorResponse>`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			tt.write(w)
			if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
			if d := cmp.Diff(tt.body, w.Body.String()); d != "" {
				t.Errorf("body (-want +got):\n%s", d)
			}
			if w.Header().Get("Content-Type") != "text/xml" || w.Header().Get("x-amzn-RequestId") != "id-1" {
				t.Errorf("headers %v", w.Header())
			}
		})
	}
}

// Parameters are counted before they are read.
func TestFormOfManyParameters(t *testing.T) {
	for n, ok := range map[int]bool{4999: true, 5000: true, 5001: false, 300_000: false} {
		t.Run(fmt.Sprint(n, " parameters"), func(t *testing.T) {
			var b strings.Builder
			for i := range n {
				if i > 0 {
					b.WriteByte('&')
				}
				fmt.Fprintf(&b, "%x=", i)
			}
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(b.String()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			form, err := awsquery.Form(r, []byte(b.String()))
			if (err == nil) != ok || ok && len(form) != n || !ok && ecr.CodeOf(err) != ecr.CodeSerialization {
				t.Errorf("%d parameters: %d, %v", n, len(form), err)
			}
		})
	}
}
