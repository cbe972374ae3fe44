package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
)

// newAPI calls the ECR API at url, and asks for nothing twice.
func newAPI(c *http.Client, url, region string, who aws.CredentialsProvider) *ecr.Client {
	return ecr.New(ecr.Options{
		Region: region, BaseEndpoint: &url, HTTPClient: sdkClient{c}, Retryer: aws.NopRetryer{}, Credentials: who,
	})
}

// sdkClient replaces the bodies of the SDK's requests. smithy-go (1.28)
// closes the body it gave away as soon as the header of the answer is there,
// and a write that finds it closed ends with io.EOF: net/http, still waiting
// for the end of the body when a server answers fast, takes that for a failed
// request and closes the connection, with the rest of the answer unread. The
// SDK's usual retries hide it; here an answer that is cut off is a finding.
type sdkClient struct{ http *http.Client }

// Do sends req with a copy of its body, which is in memory anyway.
func (c sdkClient) Do(req *http.Request) (*http.Response, error) {
	if req.Body == nil {
		return c.http.Do(req)
	}
	b, err := io.ReadAll(req.Body)
	if err := errors.Join(err, req.Body.Close()); err != nil {
		return nil, err
	}
	own := req.WithContext(req.Context())
	own.Body = io.NopCloser(bytes.NewReader(b))
	return c.http.Do(own)
}
