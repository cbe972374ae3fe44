package cli

import (
	"net"
	"strconv"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/host"
)

const maxPort = 1<<16 - 1

// listenAddress takes --listen apart.
func listenAddress(s string) (name string, port int, err error) {
	name, p, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, usagef("--listen %s: want HOST:PORT, such as %s or [::1]:5050", s, host.DefaultListen)
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return "", 0, usagef("--listen %s: the port is a number from 0 to %d, 0 for any free one", s, maxPort)
	}
	return name, int(n), nil
}

// parseRegistry checks what --account and --region say.
func parseRegistry(account, region string) (ecr.RegistryID, error) {
	a, err := ecr.ParseAccountID(account)
	if err != nil {
		return ecr.RegistryID{}, usagef("--account: %v", err)
	}
	r, err := ecr.ParseRegion(region)
	if err != nil {
		return ecr.RegistryID{}, usagef("--region: %v", err)
	}
	return ecr.RegistryID{Account: a, Region: r}, nil
}
