package traces

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/kontor-registry/kontor/internal/server"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// environment is one of these variables only.
func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// Where traces go, by the configuration and by the variables of OpenTelemetry.
func TestEndpoint(t *testing.T) {
	for _, c := range []struct {
		name, endpoint string
		env            []string
		want           string // URL, "" for off
		wrong          string
	}{
		{"off", "", nil, "", ""},
		{"configured", "http://collector:4318", nil, "http://collector:4318/v1/traces", ""},
		{"configured with a path", "https://collector/otlp/", nil, "https://collector/otlp/v1/traces", ""},
		{"by a variable", "", []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"}, "http://collector:4318/v1/traces", ""},
		{"by the variable of traces", "", []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector/in", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://other"}, "http://collector/in", ""},
		{"the configuration wins", "http://one", []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://two"}, "http://one/v1/traces", ""},
		{"turned off", "http://collector", []string{"OTEL_SDK_DISABLED", "true"}, "", ""},
		{"no exporter", "http://collector", []string{"OTEL_TRACES_EXPORTER", "none"}, "", ""},
		{"no URL", "", []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"}, "", "OTEL_EXPORTER_OTLP_ENDPOINT"},
		{"gRPC", "http://collector", []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}, "", "http/protobuf only"},
		{"a header without a value", "http://collector", []string{"OTEL_EXPORTER_OTLP_HEADERS", "secret"}, "", "OTEL_EXPORTER_OTLP_HEADERS"},
		{"a timeout that is none", "http://collector", []string{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s"}, "", "milliseconds"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := newExporter(Config{Endpoint: c.endpoint, Getenv: environment(c.env...), Log: quiet()})
			switch {
			case c.wrong != "":
				if err == nil || !strings.Contains(err.Error(), c.wrong) || strings.Contains(err.Error(), "secret") {
					t.Errorf("%v, want %s", err, c.wrong)
				}
			case err != nil:
				t.Error(err)
			case (e == nil) != (c.want == "") || e != nil && e.url != c.want:
				t.Errorf("%+v, want %s", e, c.want)
			}
		})
	}
}

// Check finds what Start would refuse, and what the SDK would pass over.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name  string
		env   []string
		want  string
		wrong string
	}{
		{"nowhere", nil, "", ""},
		{"a secret in the URL", []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "https://me:secret@collector/secret"}, "https://collector", ""},
		{"a part of the requests", []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", "OTEL_TRACES_SAMPLER", "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG", "0.01"}, "http://c", ""},
		{"no sampler", []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", "OTEL_TRACES_SAMPLER", "sometimes"}, "", `OTEL_TRACES_SAMPLER: "sometimes": want one of always_off, always_on, `},
		{"no ratio", []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", "OTEL_TRACES_SAMPLER", "traceidratio", "OTEL_TRACES_SAMPLER_ARG", "1%"}, "", `OTEL_TRACES_SAMPLER_ARG: "1%": want the part of the requests to trace, from 0 to 1`},
		{"no number", []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", "OTEL_BSP_MAX_QUEUE_SIZE", "many"}, "", `OTEL_BSP_MAX_QUEUE_SIZE: "many": want a whole number above 0`},
		{"gRPC", []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}, "", "OTEL_EXPORTER_OTLP_PROTOCOL"},
		{"turned off", []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", "OTEL_SDK_DISABLED", "true", "OTEL_TRACES_SAMPLER", "sometimes"}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, err := Check(Config{Getenv: environment(c.env...)})
			if at != c.want || (err == nil) != (c.wrong == "") || err != nil && !strings.HasPrefix(err.Error(), c.wrong) {
				t.Errorf("%q, %v; want %q, %s", at, err, c.want, c.wrong)
			}
		})
	}
}

// A collector that is busy is asked again, with the headers of the environment; one that
// refuses is not.
func TestCollectorIsAskedAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		asked  int
	}{{"busy", http.StatusServiceUnavailable, 2}, {"refuses", http.StatusBadRequest, 1}} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			asked := 0 // guarded by mu
			collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				asked++
				b, err := io.ReadAll(r.Body)
				if err != nil || len(b) == 0 || r.Header.Get("Api-Key") != "a secret" || r.Header.Get("Content-Type") != "application/x-protobuf" || r.URL.Path != "/v1/traces" {
					t.Errorf("%s %v, %d bytes, %v", r.URL, r.Header, len(b), err)
				}
				if asked == 1 {
					w.WriteHeader(c.status)
				}
			}))
			defer collector.Close()
			tr, err := Start(t.Context(), Config{Endpoint: collector.URL, Getenv: environment("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20secret"), Log: quiet()})
			if err != nil {
				t.Fatal(err)
			}
			_, end := tr.Request(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/", nil))
			end("id", server.Observation{Operation: "oci GET"})
			if err := tr.provider.ForceFlush(t.Context()); (err != nil) != (c.status == http.StatusBadRequest) {
				t.Error(err)
			}
			if err := tr.Close(); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if asked != c.asked {
				t.Errorf("asked %d times, want %d", asked, c.asked)
			}
		})
	}
}

// What the server does on its own has no spans, and costs nothing.
func TestNoSpanWithoutRequest(t *testing.T) {
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a span was sent") }))
	defer collector.Close()
	tr, err := Start(t.Context(), Config{Endpoint: collector.URL, Getenv: environment(), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	_, end := tr.Operation(context.Background(), "Collect")
	end(nil)
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
}
