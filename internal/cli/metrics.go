package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/kontor-registry/kontor/internal/metrics"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const (
	envMetricsListen = "KONTOR_METRICS_LISTEN"
	envUploadAge     = "KONTOR_UPLOAD_AGE"
)

// metricsListener serves figures on a port of their own. A nil one serves
// nothing.
type metricsListener struct {
	metrics *metrics.Metrics
	server  *http.Server
	ended   chan error // receives the end of every listener
	serving int
}

// listenMetrics serves figures on address, HOST:PORT; nothing for "". Nobody
// need log in to read them, and they are plain HTTP: beyond this machine only
// with insecure.
func listenMetrics(ctx context.Context, address string, insecure bool) (*metricsListener, error) {
	if address == "" {
		return nil, nil
	}
	host, port, err := listenAddress(address)
	if err != nil {
		return nil, err
	}
	if !isLoopback(host) && !insecure {
		return nil, usagef("--metrics-listen %s: other machines would read the figures over plain HTTP: listen on localhost, or say --insecure-http", address)
	}
	ls, err := listen(ctx, host, port)
	if err != nil {
		return nil, fmt.Errorf("--metrics-listen: %w", err)
	}
	m := metrics.New()
	l := &metricsListener{metrics: m, ended: make(chan error, len(ls)), serving: len(ls), server: &http.Server{
		Handler: m.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}}
	for _, one := range ls {
		go func() { l.ended <- l.server.Serve(one) }()
	}
	return l, nil
}

// on returns the store to use, and who is told of requests.
func (l *metricsListener) on(s meta.Store) (meta.Store, server.Observer) {
	if l == nil {
		return s, nil
	}
	return l.metrics.Timed(s), l.metrics
}

// close stops serving figures.
func (l *metricsListener) close() error {
	if l == nil {
		return nil
	}
	err := l.server.Close()
	for range l.serving {
		if end := <-l.ended; !errors.Is(end, http.ErrServerClosed) && !errors.Is(end, net.ErrClosed) {
			err = errors.Join(err, end)
		}
	}
	return err
}

// uploadAge reads --upload-age; 0 for the default.
func (e *Env) uploadAge(flag string) (time.Duration, error) {
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
