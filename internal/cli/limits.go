package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/server"
)

// limitFlag defines --limit; see limits.
func limitFlag(cmd *cobra.Command, p *[]string) {
	cmd.Flags().StringArrayVar(p, "limit", nil,
		fmt.Sprintf("set a limit, as `NAME=VALUE`; may be given several times; docs/limits.md lists them (default none is changed; env %s, separated by commas)", envLimits))
	var words []string
	for _, n := range server.LimitNames() {
		words = append(words, n+"=")
	}
	completeWords(cmd, "limit", words...)
}

// parseLimits are those of the environment variable, and over them those of the
// flag.
func parseLimits(e *Env, flags []string) (server.Limits, error) {
	var l server.Limits
	set := func(from, s string) error {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return usagef("%s %s: want NAME=VALUE, such as requests=100", from, s)
		}
		if err := l.Set(name, value); err != nil {
			return usagef("%s %v", from, err)
		}
		return nil
	}
	if v := e.Getenv(envLimits); v != "" {
		for s := range strings.SplitSeq(v, ",") {
			if err := set(envLimits, strings.TrimSpace(s)); err != nil {
				return l, err
			}
		}
	}
	for _, s := range flags {
		if err := set("--limit", s); err != nil {
			return l, err
		}
	}
	return l, nil
}
