package metrics

import (
	"errors"
	"net"
	"net/http"
	"time"
)

// Listener serves figures, without a login, on their own ports.
type Listener struct {
	*Metrics
	server  *http.Server
	ended   chan error // receives the end of every listener
	serving int
	at      string
}

// Serve serves figures that are all zero, until Close.
func Serve(ls []net.Listener) *Listener {
	m := New()
	l := &Listener{Metrics: m, ended: make(chan error, len(ls)), serving: len(ls), server: &http.Server{
		Handler: m.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}}
	if len(ls) > 0 {
		l.at = ls[0].Addr().String()
	}
	for _, one := range ls {
		go func() { l.ended <- l.server.Serve(one) }()
	}
	return l
}

// Addr is the host and port of the first listener, as 127.0.0.1:9090.
func (l *Listener) Addr() string { return l.at }

// Close stops serving figures.
func (l *Listener) Close() error {
	err := l.server.Close()
	for range l.serving {
		if end := <-l.ended; !errors.Is(end, http.ErrServerClosed) && !errors.Is(end, net.ErrClosed) {
			err = errors.Join(err, end)
		}
	}
	return err
}
