package host

import (
	"fmt"
	"strconv"
	"time"
)

// ParseLifecycleEvery reads a duration or "off", for server.Config.LifecycleEvery;
// "" is its default. So are those below.
func ParseLifecycleEvery(s string) (time.Duration, error) {
	switch s {
	case "":
		return 0, nil
	case "off":
		return -1, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Second {
		return 0, fmt.Errorf("%s: want a duration from 1s, such as 15m or 1h, or off", s)
	}
	return d, nil
}

// maxRecycleDays is a hundred years, maxActivityDays ten.
const (
	maxRecycleDays  = 36_500
	maxActivityDays = 3_650
)

// ParseRecycleDays reads a number of days, for server.Config.RecycleTime.
func ParseRecycleDays(s string) (time.Duration, error) {
	n, err := parseDays(s, maxRecycleDays)
	if n < 0 {
		return -1, err
	}
	return time.Duration(n) * 24 * time.Hour, err
}

// ParseActivityDays reads a number of days, for server.Config.ActivityDays.
func ParseActivityDays(s string) (int, error) { return parseDays(s, maxActivityDays) }

// parseDays reads a number of days: 0 for "", which is the default, and -1 for none.
func parseDays(s string, most int) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	switch {
	case err != nil || n < 0 || n > most:
		return 0, fmt.Errorf("%s: want a number of days from 0 to %d", s, most)
	case n == 0:
		return -1, nil
	}
	return n, nil
}

// ParseUploadAge reads a duration, for server.Config.UploadAge.
func ParseUploadAge(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Minute {
		return 0, fmt.Errorf("%s: want a duration of 1m or more, such as 24h", s)
	}
	return d, nil
}

// CheckConsoleListen says what is wrong with an address for the web console; "" is none.
func CheckConsoleListen(text string, off, secure bool) error {
	if text == "" {
		return nil
	}
	name, _, err := ParseListen(text)
	switch {
	case err != nil:
		return err
	case off:
		return fmt.Errorf("%s: the web console is off: turn it on, or leave the address out", text)
	case !IsLoopback(name) && !secure:
		return fmt.Errorf("%s: other machines would send passwords over plain HTTP: listen on localhost, or serve https", text)
	}
	return nil
}

// ParseConsole reads on, which is the default, or off, and reports whether the web
// console is off.
func ParseConsole(text string) (off bool, err error) {
	switch text {
	case "", "on":
		return false, nil
	case "off":
		return true, nil
	}
	return false, fmt.Errorf("%q: want on or off", text)
}
