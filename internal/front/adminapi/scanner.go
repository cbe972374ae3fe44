package adminapi

import (
	"context"

	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func (c *call) getScanner(ctx context.Context, in *admin.GetScannerRequest) (*admin.GetScannerResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	s, err := c.h.cfg.Scanning.As(c.p).ScannerStatus(ctx, at)
	if err != nil {
		return nil, err
	}
	out := &admin.GetScannerResponse{Waiting: s.Queue.Waiting, Running: s.Queue.Running, OldestAskedAt: s.Queue.Since}
	if s.Configured {
		out.Scanner = &admin.Scanner{
			Name: s.Name, Kind: s.About.Kind, Product: s.About.Name, Vendor: s.About.Vendor, Version: s.About.Version,
			DatabaseUpdatedAt: s.About.UpdatedAt, Failure: s.Failure, Concurrency: s.Slots,
		}
	}
	return out, nil
}
