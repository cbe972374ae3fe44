package stsapi_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/stsapi"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/wire/awsquery"
)

var caller = access.Principal{
	Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/administrator", UniqueID: "AIDAQ3EGHISAMPLEQ3EGH",
	KeyID: "AKIAIOSFODNN7EXAMPLE", Policies: []string{access.PolicyAdministrator},
}

// service is never asked: what these tests call fails before, or needs nothing.
var service = iam.New(iam.Config{Gate: gate.New(gate.Config{}), Partition: "aws"})

func handler(log io.Writer) *stsapi.Handler {
	return stsapi.New(stsapi.Config{Log: slog.New(slog.NewTextHandler(log, nil))})
}

func TestServe(t *testing.T) {
	const (
		sts = "https://sts.amazonaws.com/doc/2011-06-15/"
	)
	refusal := func(namespace, code, message string) string {
		return `<ErrorResponse xmlns="` + namespace + `"><Error><Type>Sender</Type><Code>` + code + `</Code><Message>` + message +
			`</Message></Error><RequestId>id-1</RequestId></ErrorResponse>`
	}
	tests := []struct {
		name, form string
		status     int
		body       string
	}{
		// The shape of the sample response in the API reference of
		// GetCallerIdentity.
		{"who am I", "Action=GetCallerIdentity&Version=2011-06-15", 200,
			`<GetCallerIdentityResponse xmlns="` + sts + `"><GetCallerIdentityResult><Arn>arn:aws:iam::111122223333:user/administrator</Arn>` +
				`<UserId>AIDAQ3EGHISAMPLEQ3EGH</UserId><Account>111122223333</Account></GetCallerIdentityResult>` +
				`<ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></GetCallerIdentityResponse>`},
		{"another action of STS", "Action=AssumeRoleWithSAML&Version=2011-06-15", 400,
			refusal(sts, "InvalidAction", "The action AssumeRoleWithSAML is not valid for this web service.")},
		{"names differ by case", "Action=getcalleridentity&Version=2011-06-15", 400,
			refusal(sts, "InvalidAction", "The action getcalleridentity is not valid for this web service.")},
		{"an action of IAM", "Action=ListUsers&Version=2010-05-08", 400,
			refusal(sts, "InvalidAction", "The action ListUsers is not valid for this web service.")},
		{"no role", "Action=AssumeRole&Version=2011-06-15&RoleSessionName=ab", 400,
			refusal(sts, "ValidationError", "1 validation error detected: Value null at &#39;roleArn&#39; failed to satisfy constraint: Member must not be null")},
		{"no number", "Action=GetSessionToken&Version=2011-06-15&DurationSeconds=x", 400,
			refusal(sts, "MalformedQueryString", "The parameter &#39;DurationSeconds&#39; is not a number")},
		{"no version", "Action=GetCallerIdentity", 400,
			refusal(sts, "InvalidAction", "Could not find operation GetCallerIdentity for version NO_VERSION_SPECIFIED")},
		{"another version", "Action=GetCallerIdentity&Version=2000-01-01", 400,
			refusal(sts, "InvalidAction", "Could not find operation GetCallerIdentity for version 2000-01-01")},
		{"no action", "Version=2011-06-15", 400,
			refusal(sts, "MissingAction", "The request is missing an action or a required parameter.")},
		{"text is escaped", "Action=%3Cb%3E&Version=2011-06-15", 400,
			refusal(sts, "InvalidAction", "The action &lt;b&gt; is not valid for this web service.")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			form, err := url.ParseQuery(tt.form)
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			handler(io.Discard).Serve(w, httptest.NewRequest(http.MethodPost, "/", nil),
				stsapi.Request{IAM: service, Principal: caller, Form: form, ID: "id-1"})
			if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
			if d := cmp.Diff(tt.body, w.Body.String()); d != "" {
				t.Errorf("body (-want +got):\n%s", d)
			}
		})
	}
}

// Every code has a wire form. Codes that STS does not return become server errors,
// and only the message of the others is sent.
func TestServeErrorKnowsEveryCode(t *testing.T) {
	for _, code := range append(ecr.Codes(), iam.Codes()...) {
		t.Run(string(code), func(t *testing.T) {
			var log bytes.Buffer
			w := httptest.NewRecorder()
			handler(&log).ServeError(w, httptest.NewRequest(http.MethodPost, "/", nil), "id-1",
				&ecr.Error{Code: code, Message: "the message", Err: errors.New("the cause")})
			var got struct {
				Error     struct{ Type, Code, Message string }
				RequestID string `xml:"RequestId"`
			}
			if err := xml.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if got.Error.Code == "" || got.RequestID != "id-1" || w.Code < 400 {
				t.Errorf("%d %+v", w.Code, got)
			}
			if receiver := w.Code >= 500; receiver != (got.Error.Type == "Receiver") || !receiver && got.Error.Type != "Sender" {
				t.Errorf("status %d with type %s", w.Code, got.Error.Type)
			}
			if hidden := got.Error.Code == "InternalFailure"; hidden == (got.Error.Message == "the message") {
				t.Errorf("code %s with message %q", got.Error.Code, got.Error.Message)
			}
			if strings.Contains(w.Body.String(), "the cause") || !strings.Contains(log.String(), "the cause") {
				t.Errorf("the cause belongs in the log only: body %s, log %s", w.Body, log.String())
			}
		})
	}
}

func TestServeError(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		status int
		code   string
		logged bool
	}{
		{"not signed", ecr.Errorf(ecr.CodeIncompleteSignature, "m"), 403, "IncompleteSignature", false},
		{"unknown key", ecr.Errorf(ecr.CodeUnrecognizedClient, "m"), 403, "InvalidClientTokenId", false},
		{"wrong signature", ecr.Errorf(ecr.CodeInvalidSignature, "m"), 403, "SignatureDoesNotMatch", false},
		{"bad form", ecr.Errorf(ecr.CodeSerialization, "m"), 400, "MalformedQueryString", false},
		{"anything else", errors.New("disk on fire"), 500, "InternalFailure", true},
		{"an unknown code", ecr.Errorf("NewException", "m"), 500, "InternalFailure", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			w := httptest.NewRecorder()
			handler(&log).ServeError(w, httptest.NewRequest(http.MethodPost, "/", nil), "id-1", tt.err)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), "<Code>"+tt.code+"</Code>") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if (log.Len() > 0) != tt.logged {
				t.Errorf("log %q", log.String())
			}
			if strings.Contains(w.Body.String(), "disk on fire") {
				t.Errorf("the client learns the cause: %s", w.Body)
			}
		})
	}
}

// The AWS SDK understands what we write.
func TestSDK(t *testing.T) {
	h := handler(io.Discard)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		form, err := awsquery.Form(r, body)
		if err != nil {
			h.ServeError(w, r, "id-1", err)
			return
		}
		h.Serve(w, r, stsapi.Request{IAM: service, Principal: caller, Form: form, ID: "id-1"})
	}))
	defer server.Close()
	client := sts.New(sts.Options{
		BaseEndpoint: aws.String(server.URL), Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
	})
	out, err := client.GetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if *out.Account != "111122223333" || *out.Arn != caller.ARN || *out.UserId != caller.UniqueID {
		t.Errorf("GetCallerIdentity = %s, %s, %s", *out.Account, *out.Arn, *out.UserId)
	}
	_, err = client.GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: aws.String("bob")})
	var refused smithy.APIError
	if !errors.As(err, &refused) || refused.ErrorCode() != "InvalidAction" || refused.ErrorFault() == smithy.FaultServer {
		t.Errorf("GetFederationToken = %v", err)
	}
}
