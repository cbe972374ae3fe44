package ecrapi

import "testing"

// Replication over the API: what a configuration may say, the status of images, and
// backfills. What is copied is for the tests of package replication.
func TestReplication(t *testing.T) {
	s := newServer(t)
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "app"}`)
	manifest, _ := s.image(t, "app", "a layer", "")
	const (
		app      = `"repositoryName": "app", "imageId": {"imageTag": "v1"}`
		registry = `"registryId": "000000000000"`
		west     = `{"region": "eu-west-1", ` + registry + `}`
		rules    = `{"rules": [{"destinations": [` + west + `], "repositoryFilters": [{"filter": "app", "filterType": "PREFIX_MATCH"}]}]}`
		backfill = "ReplicationBackfillNotFoundException: The replication backfill with id '12345678-1234-1234-1234-123456789012' does not exist in the registry with id '000000000000'"
		invalid  = "InvalidParameterException: Invalid parameter at 'replicationConfiguration' failed to satisfy constraint: "
	)
	put := func() {
		t.Helper()
		ok[PutImageResponse](t, s, "PutImage", `{"repositoryName": "app", "imageTag": "v1", "imageManifest": `+quoted(t, manifest)+`}`)
	}
	s.steps(t,
		step{"DescribeRegistry", `{}`, `{` + registry + `, "replicationConfiguration": {"rules": []}}`},
		step{"PutReplicationConfiguration", `{"replicationConfiguration": {"rules": []}}`, `{"replicationConfiguration": {"rules": []}}`},
		step{"PutReplicationConfiguration", `{"replicationConfiguration": {"rules": [{"destinations": [{"region": "us-east-1", ` + registry + `}]}]}}`,
			invalid + "'Replication destination cannot be the same as the source registry'"},
		step{"PutReplicationConfiguration", `{"replicationConfiguration": ` + rules + `}`, `{"replicationConfiguration": ` + rules + `}`},
		step{"DescribeRegistry", `{}`, `{` + registry + `, "replicationConfiguration": ` + rules + `}`},
	)
	put()
	s.steps(t,
		step{"DescribeImageReplicationStatus", `{` + app + `}`, `{` + app + `, "replicationStatuses": [{"region": "eu-west-1", ` + registry + `, "status": "IN_PROGRESS"}]}`},
		step{"DescribeImageReplicationStatus", `{"repositoryName": "nowhere", "imageId": {"imageTag": "v1"}}`,
			"RepositoryNotFoundException: The repository with name 'nowhere' does not exist in the registry with id '000000000000'"},
		step{"DescribeImageReplicationStatus", `{"repositoryName": "app", "imageId": {"imageTag": "v2"}}`,
			"ImageNotFoundException: The image with imageId {imageDigest:'null', imageTag:'v2'} does not exist within the repository with name 'app' in the registry with id '000000000000'"},
		step{"ListReplicationBackfills", `{}`, `{` + registry + `, "backfills": []}`},
		step{"DescribeReplicationBackfillResults", `{"replicationBackfillId": "12345678-1234-1234-1234-123456789012"}`, backfill},
		step{"StopReplicationBackfill", `{"replicationBackfillId": "12345678-1234-1234-1234-123456789012"}`, backfill},
		step{"StartReplicationBackfill", `{"destination": {"region": "eu-north-1", ` + registry + `}}`,
			"InvalidParameterException: Invalid parameter at 'destination' failed to satisfy constraint: 'No rule of the replication configuration has the destination 000000000000/eu-north-1'"},
	)
	if err := s.stores.Replication.Advance(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.steps(t, step{"DescribeImageReplicationStatus", `{` + app + `}`, `{` + app + `, "replicationStatuses": [{"region": "eu-west-1", ` + registry + `, "status": "COMPLETE"}]}`})
}
