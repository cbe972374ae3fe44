package serve

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/events/delivery"
	"github.com/kontor-registry/kontor/internal/upstream"
)

// Bounds of events.
const (
	leastQueue = 100
	mostQueue  = 1_000_000
	mostDays   = 3_650
)

// events checks the hosts and the receivers of events.
func (c *Config) events(d *decoder) {
	s, to := &c.Settings.Events, &c.Host.Server.Events
	for i, h := range s.Hosts {
		way := fmt.Sprintf("events.hosts[%d]", i)
		host, err := delivery.ParseHost(h.Host)
		if err != nil {
			d.wrong(way+".host", "%v", err)
		}
		host.PlainHTTP = h.InsecureHTTP
		if h.CAFile != "" {
			pem, err := os.ReadFile(filepath.Clean(h.CAFile))
			if err == nil {
				host.Trust, err = upstream.ParseTrust(pem)
			}
			if err != nil {
				d.wrong(way+".ca_file", "%v", err)
			}
		}
		to.Hosts = append(to.Hosts, host)
	}
	number := func(way, text string, least, most int) int {
		if text == "" {
			return 0
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < least || n > most {
			d.wrong(way, "%q: want a number from %d to %d", text, least, most)
		}
		return n
	}
	to.Queue = number("events.queue", s.Queue, leastQueue, mostQueue)
	to.LogTime = time.Duration(number("events.log_days", s.LogDays, 1, mostDays)) * 24 * time.Hour
	check := delivery.New(*to)
	names := map[string]bool{}
	for i, r := range s.Receivers {
		way := fmt.Sprintf("events.receivers[%d]", i)
		n := delivery.Declared{NewReceiver: delivery.NewReceiver{
			Name: r.Name, URL: r.URL, Format: events.Format(r.Format), Types: r.Types, Repositories: r.Repositories, Secret: r.Secret, Headers: r.Headers, OfFile: true,
		}}
		if err := check.Check(n.NewReceiver, true); err != nil {
			text := err.Error()
			if known := (*ecr.Error)(nil); errors.As(err, &known) {
				text = known.Message
			}
			d.wrong(way, "%s", text)
		}
		if r.Secret == "" {
			d.wrong(way, "secret or secret_file is required")
		}
		if names[r.Name] {
			d.wrong(way+".name", "%s is another receiver's already", r.Name)
		}
		names[r.Name] = true
		for j, a := range r.Accounts {
			account, err := ecr.ParseAccountID(a)
			served := false
			for _, of := range c.Host.Registries {
				served = served || of.Account == account
			}
			if err == nil && !served {
				err = fmt.Errorf("account %s has no registry here", account)
			}
			if err != nil {
				d.wrong(fmt.Sprintf("%s.accounts[%d]", way, j), "%v", err)
			}
			n.Accounts = append(n.Accounts, account)
		}
		c.Host.Server.EventReceivers = append(c.Host.Server.EventReceivers, n)
	}
}
