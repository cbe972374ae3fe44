// Package traces follows requests through the server, and sends what it saw to a
// collector of OpenTelemetry: a span for each request, and in it one for each operation
// with the gate's decision, each database transaction and each call of the blob store.
//
// It guarantees that no secret is in a span: no header, query, body, principal or address
// of a client; that no request waits for the collector; and that a server without traces
// pays nothing for them, as nothing of this package is then in the way of a request.
//
// Sampling, batches and resources are those of OpenTelemetry's SDK, which reads OTEL_
// variables (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
// Its exporters are not used: they would add 9 MB to the binary, for gRPC.
package traces

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/version"
)

// Config says where to send traces.
type Config struct {
	// Endpoint is the URL of a collector, to which /v1/traces is added; "" is what
	// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT says.
	Endpoint string
	Getenv   func(string) string // required
	Log      *slog.Logger        // required; receives what the collector refuses
}

// Traces are the spans of a server. It is a server.Tracer.
type Traces struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	ctx      propagation.TraceContext
}

// Start returns nil where neither the configuration nor the environment asks for traces.
func Start(ctx context.Context, cfg Config) (*Traces, error) {
	e, err := newExporter(cfg)
	if e == nil || err != nil {
		return nil, err
	}
	r, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "kontor"), attribute.String("service.version", version.String())), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { cfg.Log.Warn("traces not sent", "error", err) }))
	p := sdk.NewTracerProvider(sdk.WithBatcher(e), sdk.WithResource(r))
	return &Traces{provider: p, tracer: p.Tracer("github.com/kontor-registry/kontor")}, nil
}

// samplers are those of the SDK, and whether OTEL_TRACES_SAMPLER_ARG is a ratio for it.
var samplers = map[string]bool{
	"always_on": false, "always_off": false, "traceidratio": true,
	"parentbased_always_on": false, "parentbased_always_off": false, "parentbased_traceidratio": true,
}

// Check returns where Start would send traces, "" for nowhere, without a user, query or
// path, which may be secret. It is stricter than Start: OpenTelemetry's SDK only logs a
// variable that it does not understand, and takes the default.
//
// Errors name the field or variable, and no value of OTEL_EXPORTER_OTLP_HEADERS.
func Check(cfg Config) (string, error) {
	e, err := newExporter(cfg)
	if e == nil || err != nil {
		return "", err
	}
	ratio := false
	if name := cfg.Getenv("OTEL_TRACES_SAMPLER"); name != "" {
		known := false
		if ratio, known = samplers[name]; !known {
			return "", fmt.Errorf("OTEL_TRACES_SAMPLER: %q: want one of %s", name, strings.Join(slices.Sorted(maps.Keys(samplers)), ", "))
		}
	}
	if text := cfg.Getenv("OTEL_TRACES_SAMPLER_ARG"); text != "" && ratio {
		if n, err := strconv.ParseFloat(text, 64); err != nil || !(n >= 0 && n <= 1) {
			return "", fmt.Errorf("OTEL_TRACES_SAMPLER_ARG: %q: want the part of the requests to trace, from 0 to 1", text)
		}
	}
	for _, name := range []string{"OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"} {
		if text := cfg.Getenv(name); text != "" {
			if n, err := strconv.Atoi(text); err != nil || n <= 0 {
				return "", fmt.Errorf("%s: %q: want a whole number above 0", name, text)
			}
		}
	}
	u, err := url.Parse(e.url)
	if err != nil {
		return "", fmt.Errorf("traces: %w", err)
	}
	return u.Scheme + "://" + u.Host, nil
}

// closeTime is how long spans that are left may take to be sent.
const closeTime = 5 * time.Second

// Close sends what is left.
func (t *Traces) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("sending the last traces: %w", err)
	}
	return nil
}

// Request implements server.Tracer. The trace goes on that the client began, if it says so
// in traceparent.
func (t *Traces) Request(r *http.Request) (context.Context, func(string, server.Observation)) {
	ctx := t.ctx.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := t.tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer))
	return ctx, func(id string, o server.Observation) {
		span.SetName(o.Operation)
		span.SetAttributes(attribute.String("http.request.method", method(r.Method)), attribute.Int("http.response.status_code", o.Status),
			attribute.Int64("http.request.body.size", o.BytesIn), attribute.Int64("http.response.body.size", o.BytesOut),
			attribute.String("kontor.registry", o.Registry.String()), attribute.String("kontor.request_id", id))
		if o.Limit != "" {
			span.SetAttributes(attribute.String("kontor.limit", o.Limit))
		}
		if o.Status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// method bounds what a client can make of one.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "_OTHER"
}

// Operation implements gate.Tracer.
func (t *Traces) Operation(ctx context.Context, name string) (context.Context, func(error)) {
	ctx, span := t.within(ctx, "gate "+name)
	return ctx, func(err error) {
		decision := "allowed"
		switch {
		case ecr.CodeOf(err) == ecr.CodeAccessDenied:
			decision = "denied"
		case err != nil:
			decision = "failed"
		}
		span.SetAttributes(attribute.String("kontor.decision", decision))
		end(span, err)
	}
}

// within begins a span of a request; what the server does on its own has none.
func (t *Traces) within(ctx context.Context, name string) (context.Context, trace.Span) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx, trace.SpanFromContext(ctx)
	}
	return t.tracer.Start(ctx, name)
}

// end ends a span. An error is told by its code, as its text may name what a client sent.
func end(span trace.Span, err error) {
	if err != nil {
		code := string(ecr.CodeOf(err))
		switch {
		case errors.Is(err, context.Canceled):
			code = "canceled"
		case errors.Is(err, meta.ErrUnavailable):
			code = "database unavailable"
		case errors.Is(err, blob.ErrNotFound):
			code = "not found"
		case code == "":
			code = "failed"
		}
		span.SetAttributes(attribute.String("error.type", code))
		if ecr.CodeOf(err) == "" || ecr.CodeOf(err) == ecr.CodeUnavailable {
			span.SetStatus(codes.Error, "")
		}
	}
	span.End()
}

// Store is s with a span for each transaction of a request.
func (t *Traces) Store(s meta.Store) meta.Store { return store{s, t} }

type store struct {
	inner meta.Store
	t     *Traces
}

func (s store) View(ctx context.Context, fn func(context.Context, meta.Reader) error) (err error) {
	ctx, span := s.t.within(ctx, "database view")
	defer func() { end(span, err) }()
	return s.inner.View(ctx, fn)
}

func (s store) Snapshot(ctx context.Context) (meta.Reader, func(), error) {
	ctx, span := s.t.within(ctx, "database view")
	r, done, err := s.inner.Snapshot(ctx)
	if err != nil {
		end(span, err)
		return nil, nil, err
	}
	return r, func() {
		done()
		end(span, nil)
	}, nil
}

func (s store) Update(ctx context.Context, fn func(context.Context, meta.Tx) error) (err error) {
	ctx, span := s.t.within(ctx, "database update")
	runs := 0
	defer func() {
		span.SetAttributes(attribute.Int("kontor.database.runs", runs))
		end(span, err)
	}()
	return s.inner.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		runs++
		return fn(ctx, tx)
	})
}

func (s store) IdentityStamp(ctx context.Context) (string, error) { return s.inner.IdentityStamp(ctx) }

func (s store) OneProcess() bool { return s.inner.OneProcess() }

func (s store) Close() error { return s.inner.Close() }

// off reports whether the environment turns traces off.
func off(getenv func(string) string) bool {
	return strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") || getenv("OTEL_TRACES_EXPORTER") == "none"
}
