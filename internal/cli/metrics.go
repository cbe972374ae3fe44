package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/metrics"
)

const (
	envMetricsListen = "KONTOR_METRICS_LISTEN"
	envUploadAge     = "KONTOR_UPLOAD_AGE"
)

// listenMetrics serves figures on address, HOST:PORT; nothing, and nil, for "".
// Nobody need log in to read them, and they are plain HTTP: beyond this machine
// only with insecure.
func listenMetrics(ctx context.Context, address string, insecure bool) (*metrics.Listener, error) {
	if address == "" {
		return nil, nil
	}
	name, port, err := listenAddress(address)
	if err != nil {
		return nil, err
	}
	if !host.IsLoopback(name) && !insecure {
		return nil, usagef("--metrics-listen %s: other machines would read the figures over plain HTTP: listen on localhost, or say --insecure-http", address)
	}
	ls, err := host.Listen(ctx, name, port)
	if err != nil {
		return nil, fmt.Errorf("--metrics-listen: %w", err)
	}
	return metrics.Serve(ls), nil
}

// uploadAge reads --upload-age; 0 for the default.
func uploadAge(e *Env, flag string) (time.Duration, error) {
	s := e.or(flag, envUploadAge, "")
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Minute {
		return 0, usagef("--upload-age %s: want a time of a minute or more, such as 24h", s)
	}
	return d, nil
}
