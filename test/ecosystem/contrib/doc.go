// Package contrib tests what is in contrib: the chart, rendered by helm and decoded
// strictly, and its configuration by the binary; the compose file by compose's own
// loader; units of systemd; alerts by promtool; and the dashboard by a Prometheus that
// reads a server.
package contrib
