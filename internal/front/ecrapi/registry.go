package ecrapi

import "context"

func (c *call) putRegistryPolicy(ctx context.Context, in *PutRegistryPolicyRequest) (*PutRegistryPolicyResponse, error) {
	at := c.in(nil)
	policy, err := c.SetRegistryPolicy(ctx, at, *in.PolicyText)
	if err != nil {
		return nil, err
	}
	return &PutRegistryPolicyResponse{RegistryId: text(at.Account), PolicyText: &policy}, nil
}

func (c *call) getRegistryPolicy(ctx context.Context, _ *GetRegistryPolicyRequest) (*GetRegistryPolicyResponse, error) {
	at := c.in(nil)
	policy, err := c.RegistryPolicy(ctx, at)
	if err != nil {
		return nil, err
	}
	return &GetRegistryPolicyResponse{RegistryId: text(at.Account), PolicyText: &policy}, nil
}

func (c *call) deleteRegistryPolicy(ctx context.Context, _ *DeleteRegistryPolicyRequest) (*DeleteRegistryPolicyResponse, error) {
	at := c.in(nil)
	policy, err := c.DeleteRegistryPolicy(ctx, at)
	if err != nil {
		return nil, err
	}
	return &DeleteRegistryPolicyResponse{RegistryId: text(at.Account), PolicyText: &policy}, nil
}

func (c *call) getAccountSetting(ctx context.Context, in *GetAccountSettingRequest) (*GetAccountSettingResponse, error) {
	value, err := c.AccountSetting(ctx, c.in(nil), *in.Name)
	if err != nil {
		return nil, err
	}
	return &GetAccountSettingResponse{Name: in.Name, Value: &value}, nil
}

func (c *call) putAccountSetting(ctx context.Context, in *PutAccountSettingRequest) (*PutAccountSettingResponse, error) {
	if err := c.SetAccountSetting(ctx, c.in(nil), *in.Name, *in.Value); err != nil {
		return nil, err
	}
	return &PutAccountSettingResponse{Name: in.Name, Value: in.Value}, nil
}
