package main

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"ociproxy/test/infra/schema"
)

// provider serves the schemas. It has no state: the values of a resource follow from its arguments.
type provider struct {
	tfprotov5.ProviderServer // what OpenTofu does not call

	config          *tfprotov5.Schema
	resources, data map[string]*tfprotov5.Schema

	mu              sync.Mutex
	region, account string // of the configuration
}

func newProvider(s schema.Provider) (*provider, error) {
	config, err := convert(s.Config)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	p := &provider{config: config, resources: map[string]*tfprotov5.Schema{}, data: map[string]*tfprotov5.Schema{}}
	for name, b := range s.Resources {
		if p.resources[name], err = convert(b); err != nil {
			return nil, fmt.Errorf("resource %s: %w", name, err)
		}
	}
	for name, b := range s.Data {
		if p.data[name], err = convert(b); err != nil {
			return nil, fmt.Errorf("data %s: %w", name, err)
		}
	}
	return p, nil
}

func (p *provider) GetMetadata(context.Context, *tfprotov5.GetMetadataRequest) (*tfprotov5.GetMetadataResponse, error) {
	r := &tfprotov5.GetMetadataResponse{}
	for name := range p.resources {
		r.Resources = append(r.Resources, tfprotov5.ResourceMetadata{TypeName: name})
	}
	for name := range p.data {
		r.DataSources = append(r.DataSources, tfprotov5.DataSourceMetadata{TypeName: name})
	}
	return r, nil
}

func (p *provider) GetProviderSchema(context.Context, *tfprotov5.GetProviderSchemaRequest) (*tfprotov5.GetProviderSchemaResponse, error) {
	return &tfprotov5.GetProviderSchemaResponse{Provider: p.config, ResourceSchemas: p.resources, DataSourceSchemas: p.data}, nil
}

func (p *provider) GetResourceIdentitySchemas(context.Context, *tfprotov5.GetResourceIdentitySchemasRequest) (*tfprotov5.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov5.GetResourceIdentitySchemasResponse{}, nil
}

func (p *provider) GetFunctions(context.Context, *tfprotov5.GetFunctionsRequest) (*tfprotov5.GetFunctionsResponse, error) {
	return &tfprotov5.GetFunctionsResponse{}, nil
}

func (p *provider) PrepareProviderConfig(_ context.Context, r *tfprotov5.PrepareProviderConfigRequest) (*tfprotov5.PrepareProviderConfigResponse, error) {
	return &tfprotov5.PrepareProviderConfigResponse{PreparedConfig: r.Config}, nil
}

func (p *provider) ConfigureProvider(_ context.Context, r *tfprotov5.ConfigureProviderRequest) (*tfprotov5.ConfigureProviderResponse, error) {
	config, err := r.Config.Unmarshal(p.config.ValueType())
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.region, p.account = argument(config, "region"), cmp.Or(first(config, "allowed_account_ids"), "123456789012")
	return &tfprotov5.ConfigureProviderResponse{}, nil
}

func (p *provider) StopProvider(context.Context, *tfprotov5.StopProviderRequest) (*tfprotov5.StopProviderResponse, error) {
	return &tfprotov5.StopProviderResponse{}, nil
}

func (p *provider) ValidateResourceTypeConfig(context.Context, *tfprotov5.ValidateResourceTypeConfigRequest) (*tfprotov5.ValidateResourceTypeConfigResponse, error) {
	return &tfprotov5.ValidateResourceTypeConfigResponse{}, nil
}

func (p *provider) ValidateDataSourceConfig(context.Context, *tfprotov5.ValidateDataSourceConfigRequest) (*tfprotov5.ValidateDataSourceConfigResponse, error) {
	return &tfprotov5.ValidateDataSourceConfigResponse{}, nil
}

func (p *provider) UpgradeResourceState(_ context.Context, r *tfprotov5.UpgradeResourceStateRequest) (*tfprotov5.UpgradeResourceStateResponse, error) {
	typ := p.resources[r.TypeName].ValueType()
	state, err := r.RawState.Unmarshal(typ)
	if err != nil {
		return nil, err
	}
	value, err := tfprotov5.NewDynamicValue(typ, state)
	return &tfprotov5.UpgradeResourceStateResponse{UpgradedState: &value}, err
}

func (p *provider) ReadResource(_ context.Context, r *tfprotov5.ReadResourceRequest) (*tfprotov5.ReadResourceResponse, error) {
	return &tfprotov5.ReadResourceResponse{NewState: r.CurrentState}, nil
}

func (p *provider) PlanResourceChange(_ context.Context, r *tfprotov5.PlanResourceChangeRequest) (*tfprotov5.PlanResourceChangeResponse, error) {
	s := p.resources[r.TypeName]
	planned, err := change(s, r.ProposedNewState, func(tftypes.Value) filler {
		return func(_ string, t tftypes.Type) tftypes.Value { return tftypes.NewValue(t, tftypes.UnknownValue) }
	})
	return &tfprotov5.PlanResourceChangeResponse{PlannedState: planned}, err
}

func (p *provider) ApplyResourceChange(_ context.Context, r *tfprotov5.ApplyResourceChangeRequest) (*tfprotov5.ApplyResourceChangeResponse, error) {
	applied, err := change(p.resources[r.TypeName], r.PlannedState, func(v tftypes.Value) filler { return p.values(r.TypeName, v) })
	return &tfprotov5.ApplyResourceChangeResponse{NewState: applied}, err
}

func (p *provider) ReadDataSource(_ context.Context, r *tfprotov5.ReadDataSourceRequest) (*tfprotov5.ReadDataSourceResponse, error) {
	read, err := change(p.data[r.TypeName], r.Config, func(v tftypes.Value) filler { return p.values(r.TypeName, v) })
	return &tfprotov5.ReadDataSourceResponse{State: read}, err
}
