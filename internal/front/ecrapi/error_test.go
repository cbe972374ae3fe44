package ecrapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Each code has one wire form, and those that the model names have the
// model's: the server's own faults 500, all other exceptions 400.
func TestErrorTable(t *testing.T) {
	var model struct {
		Shapes map[string]struct {
			Exception, Fault bool
		}
	}
	for _, file := range []string{"model/ecr.json", "model/backfill.json"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &model); err != nil { // into one map
			t.Fatal(err)
		}
	}
	common := map[ecr.Code]int{
		ecr.CodeUnknownOperation: 404, ecr.CodeUnavailable: 503, ecr.CodeAccessDenied: 400, ecr.CodeThrottling: 400,
		ecr.CodeSerialization: 400, ecr.CodeUnrecognizedClient: 400, ecr.CodeInvalidSignature: 400,
		ecr.CodeIncompleteSignature: 400, ecr.CodeExpiredToken: 400, ecr.CodeReferencedByManifestList: 400,
	}
	for _, code := range ecr.Codes() {
		status, body := encodeError(ecr.Errorf(code, "text for the caller"), "request-1")
		s := model.Shapes[string(code)]
		want, isCommon := common[code]
		switch {
		case s.Fault:
			want = 500
		case s.Exception:
			want = 400
		case !isCommon:
			t.Errorf("%s is neither of the model nor common", code)
		}
		if status != want {
			t.Errorf("%s: status %d, want %d", code, status, want)
		}
		if !model.Shapes[body.Type].Exception && !isCommon {
			t.Errorf("%s: type %s is not an exception of the model", code, body.Type)
		}
		if *body.Message != "text for the caller" {
			t.Errorf("%s: message %q", code, *body.Message)
		}
	}
	if len(outcomes) != len(ecr.Codes()) {
		t.Errorf("%d outcomes for %d codes", len(outcomes), len(ecr.Codes()))
	}
}

// What is not for the client is in the log, under the request's id, and
// nowhere else.
func TestCauseIsLoggedAndNeverSent(t *testing.T) {
	cause := errors.New("disk /dev/secret is full")
	for _, c := range []struct {
		name   string
		err    error
		kind   string
		logged bool
	}{
		{"unknown error", fmt.Errorf("storing: %w", cause), "ServerException", true},
		{"known error with a cause", &ecr.Error{Code: ecr.CodeUnavailable, Message: "Try again later.", Err: cause}, "ServiceUnavailableException", true},
		{"refusal with a cause", &ecr.Error{Code: ecr.CodeInvalidParameter, Message: "Invalid.", Err: cause}, "InvalidParameterException", true},
		{"unknown code", &ecr.Error{Code: "Odd", Message: "disk /dev/secret", Err: cause}, "ServerException", true},
		{"refusal joined with a failure", errors.Join(ecr.Errorf(ecr.CodeInvalidLayer, "Invalid."), cause), "InvalidLayerException", true},
		{"refused part", &invalidLayerPart{error: ecr.Errorf(ecr.CodeInvalidLayerPart, "Invalid.")}, "InvalidLayerPartException", false},
		{"plain refusal", ecr.Errorf(ecr.CodeImageNotFound, "Requested image not found"), "ImageNotFoundException", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			status, body := encodeError(c.err, "request-1")
			logCause(context.Background(), slog.New(slog.NewTextHandler(&log, nil)), "PutImage", "request-1", status, c.err)
			if body.Type != c.kind || strings.Contains(*body.Message, "secret") {
				t.Errorf("sent %s: %s", body.Type, *body.Message)
			}
			if c.kind == "ServerException" && !strings.Contains(*body.Message, "request-1") {
				t.Errorf("message without the request id: %s", *body.Message)
			}
			logged := strings.Contains(log.String(), "secret") && strings.Contains(log.String(), "request_id=request-1") && strings.Contains(log.String(), "operation=PutImage")
			if logged != c.logged {
				t.Errorf("log: %s", log.String())
			}
		})
	}
}
