package traces

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/protobuf/encoding/protowire"
)

// exporter sends spans as OTLP over HTTP, in protobuf.
// Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp and
// opentelemetry/proto/trace/v1/trace.proto.
type exporter struct {
	url     string
	headers http.Header
	client  *http.Client
}

// newExporter returns nil where traces are off.
func newExporter(cfg Config) (*exporter, error) {
	if off(cfg.Getenv) {
		return nil, nil
	}
	at, name := cfg.Endpoint, "traces.endpoint"
	path := "v1/traces"
	if at == "" {
		if at, name = cfg.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"; at != "" {
			path = "" // it is the whole URL
		} else if at, name = cfg.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), "OTEL_EXPORTER_OTLP_ENDPOINT"; at == "" {
			return nil, nil
		}
	}
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%s: %q: want the URL of a collector, such as http://localhost:4318", name, at)
	}
	if path != "" {
		u = u.JoinPath(path)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if p := cfg.Getenv(name); p != "" && p != "http/protobuf" {
			return nil, fmt.Errorf("%s: %q: traces are sent as http/protobuf only: set it to that, or leave it out", name, p)
		}
	}
	e := &exporter{url: u.String(), headers: http.Header{}}
	text, name := cfg.Getenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS"), "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
	if text == "" {
		text, name = cfg.Getenv("OTEL_EXPORTER_OTLP_HEADERS"), "OTEL_EXPORTER_OTLP_HEADERS"
	}
	for part := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, ok := strings.Cut(part, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil {
			return nil, fmt.Errorf("%s: want NAME=VALUE,NAME=VALUE, with %% and commas in a value escaped as in a URL", name) // the text is a secret
		}
		e.headers.Set(strings.TrimSpace(key), value)
	}
	timeout := 10 * time.Second
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"} {
		if text := cfg.Getenv(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n <= 0 {
				return nil, fmt.Errorf("%s: %q: want a number of milliseconds", name, text)
			}
			timeout = time.Duration(n) * time.Millisecond
			break
		}
	}
	e.client = &http.Client{Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return e, nil
}

// attempts is how often spans are sent before they are dropped.
const attempts = 3

// ExportSpans implements sdk.SpanExporter.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	body := request(spans)
	wait := 500 * time.Millisecond
	for n := 1; ; n++ {
		again, err := e.send(ctx, body)
		if err == nil || !again || n == attempts {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait *= 2
	}
}

// Shutdown implements sdk.SpanExporter.
func (e *exporter) Shutdown(context.Context) error {
	e.client.CloseIdleConnections()
	return nil
}

// send sends a request; again says whether to send it again.
func (e *exporter) send(ctx context.Context, body []byte) (again bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	r.Header = e.headers.Clone()
	r.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := e.client.Do(r)
	if err != nil {
		return true, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is used again
	if err := resp.Body.Close(); err != nil {
		return false, err
	}
	switch s := resp.StatusCode; {
	case s/100 == 2:
		return false, nil
	default:
		return s == http.StatusTooManyRequests || s == http.StatusBadGateway || s == http.StatusServiceUnavailable || s == http.StatusGatewayTimeout,
			fmt.Errorf("the collector answered %s", resp.Status)
	}
}

// request is an ExportTraceServiceRequest. All spans have one resource.
func request(spans []sdk.ReadOnlySpan) []byte {
	if len(spans) == 0 {
		return nil
	}
	var all []byte
	if r := spans[0].Resource(); r != nil {
		var attributes []byte
		for _, a := range r.Attributes() {
			attributes = message(attributes, 1, keyValue(a))
		}
		all = message(all, 1, attributes)
	}
	byScope := map[instrumentation.Scope][]byte{}
	var order []instrumentation.Scope
	for _, s := range spans {
		scope := s.InstrumentationScope()
		if byScope[scope] == nil {
			order = append(order, scope)
			byScope[scope] = message(nil, 1, text(text(nil, 1, scope.Name), 2, scope.Version))
		}
		byScope[scope] = message(byScope[scope], 2, span(s))
	}
	for _, scope := range order {
		all = message(all, 2, byScope[scope])
	}
	return message(nil, 1, all)
}

func span(s sdk.ReadOnlySpan) []byte {
	id, own, parent := s.SpanContext().TraceID(), s.SpanContext().SpanID(), s.Parent().SpanID()
	b := message(nil, 1, id[:])
	b = message(b, 2, own[:])
	b = text(b, 3, s.SpanContext().TraceState().String())
	if parent.IsValid() {
		b = message(b, 4, parent[:])
	}
	b = text(b, 5, s.Name())
	b = number(b, 6, uint64(s.SpanKind()))
	b = protowire.AppendFixed64(protowire.AppendTag(b, 7, protowire.Fixed64Type), uint64(s.StartTime().UnixNano()))
	b = protowire.AppendFixed64(protowire.AppendTag(b, 8, protowire.Fixed64Type), uint64(s.EndTime().UnixNano()))
	for _, a := range s.Attributes() {
		b = message(b, 9, keyValue(a))
	}
	switch s.Status().Code {
	case codes.Error:
		b = message(b, 15, number(text(nil, 2, s.Status().Description), 3, 2))
	case codes.Ok:
		b = message(b, 15, number(nil, 3, 1))
	}
	flags := uint32(s.SpanContext().TraceFlags()) | 0x100 // it is known whether the parent is of another process
	if s.Parent().IsRemote() {
		flags |= 0x200
	}
	return protowire.AppendFixed32(protowire.AppendTag(b, 16, protowire.Fixed32Type), flags)
}

// keyValue is an attribute. Those of the SDK that are lists become texts.
func keyValue(a attribute.KeyValue) []byte {
	var value []byte
	switch a.Value.Type() {
	case attribute.BOOL:
		value = number(nil, 2, protowire.EncodeBool(a.Value.AsBool()))
	case attribute.INT64:
		value = number(nil, 3, uint64(a.Value.AsInt64()))
	case attribute.FLOAT64:
		value = protowire.AppendFixed64(protowire.AppendTag(nil, 4, protowire.Fixed64Type), math.Float64bits(a.Value.AsFloat64()))
	default:
		value = message(nil, 1, []byte(a.Value.String()))
	}
	return message(text(nil, 1, string(a.Key)), 2, value)
}

// message appends a field of bytes: a message, or bytes themselves.
func message(b []byte, field protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), m)
}

// text appends a text, unless it is empty.
func text(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func number(b []byte, field protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), n)
}
