package ecrapi

import (
	"strings"
	"testing"
)

func TestRegistryOperations(t *testing.T) {
	s := newServer(t)
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "plain"}`)
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "scanned", "imageScanningConfiguration": {"scanOnPush": true}}`)
	const policy = `{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"import\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::111122223333:root\"},` +
		`\"Action\":\"ecr:CreateRepository\",\"Resource\":\"arn:aws:ecr:us-east-1:000000000000:repository/*\"}]}`
	s.steps(t,
		step{"DescribeRegistry", `{}`, `{"registryId": "000000000000", "replicationConfiguration": {"rules": []}}`},
		step{"GetRegistryScanningConfiguration", `{}`, `{"registryId": "000000000000", "scanningConfiguration": {"scanType": "BASIC", "rules": []}}`},
		step{"GetRegistryPolicy", `{}`, "RegistryPolicyNotFoundException: Registry policy does not exist in the registry with id '000000000000'"},
		step{"DeleteRegistryPolicy", `{}`, "RegistryPolicyNotFoundException: Registry policy does not exist in the registry with id '000000000000'"},
		step{"PutRegistryPolicy", `{}`, "InvalidParameterException: Invalid parameter at 'policyText' failed to satisfy constraint: 'Member must not be null'"},
		step{"PutRegistryPolicy", `{"policyText": "{}"}`, "InvalidParameterException: Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid registry policy provided'"},
		step{"GetAccountSetting", `{"name": "BLOB_MOUNTING"}`, `{"name": "BLOB_MOUNTING", "value": "ENABLED"}`},
		step{"PutAccountSetting", `{"name": "BLOB_MOUNTING", "value": "DISABLED"}`, `{"name": "BLOB_MOUNTING", "value": "DISABLED"}`},
		step{"GetAccountSetting", `{"name": "BLOB_MOUNTING"}`, `{"name": "BLOB_MOUNTING", "value": "DISABLED"}`},
		step{"PutAccountSetting", `{"name": "BLOB_MOUNTING"}`, "InvalidParameterException: Invalid parameter at 'value' failed to satisfy constraint: 'Member must not be null'"},
		step{"PutAccountSetting", `{"name": "BLOB_MOUNTING", "value": "MAYBE"}`,
			"ValidationException: 'MAYBE' is not a value of the account setting BLOB_MOUNTING; it takes [ENABLED DISABLED]"},
		step{"GetAccountSetting", `{"name": "COLOUR"}`,
			"InvalidParameterException: 'COLOUR' is not an account setting; there are [BASIC_SCAN_TYPE_VERSION BLOB_MOUNTING REGISTRY_POLICY_SCOPE]"},
		step{"BatchGetRepositoryScanningConfiguration", `{"repositoryNames": ["scanned", "nowhere", "plain"]}`, `{
			"scanningConfigurations": [
				{"repositoryArn": "arn:aws:ecr:us-east-1:000000000000:repository/scanned", "repositoryName": "scanned", "scanOnPush": true, "scanFrequency": "SCAN_ON_PUSH", "appliedScanFilters": []},
				{"repositoryArn": "arn:aws:ecr:us-east-1:000000000000:repository/plain", "repositoryName": "plain", "scanOnPush": false, "scanFrequency": "MANUAL", "appliedScanFilters": []}
			],
			"failures": [{"repositoryName": "nowhere", "failureCode": "REPOSITORY_NOT_FOUND",
				"failureReason": "REPOSITORY_NOT_FOUND"}]}`},
	)
	const scan = `{"scanType": "ENHANCED", "rules": [{"scanFrequency": "CONTINUOUS_SCAN", "repositoryFilters": [{"filter": "pla*", "filterType": "WILDCARD"}]}]}`
	s.steps(t,
		step{"PutRegistryScanningConfiguration", scan, `{"registryScanningConfiguration": ` + scan + `}`},
		step{"GetRegistryScanningConfiguration", `{}`, `{"registryId": "000000000000", "scanningConfiguration": ` + scan + `}`},
		step{"BatchGetRepositoryScanningConfiguration", `{"repositoryNames": ["plain", "scanned"]}`, `{"scanningConfigurations": [
			{"repositoryArn": "arn:aws:ecr:us-east-1:000000000000:repository/plain", "repositoryName": "plain", "scanOnPush": false,
				"scanFrequency": "CONTINUOUS_SCAN", "appliedScanFilters": [{"filter": "pla*", "filterType": "WILDCARD"}]},
			{"repositoryArn": "arn:aws:ecr:us-east-1:000000000000:repository/scanned", "repositoryName": "scanned", "scanOnPush": true, "scanFrequency": "MANUAL", "appliedScanFilters": []}],
			"failures": []}`},
		step{"PutRegistryScanningConfiguration", `{"scanType": "BASIC", "rules": [{"scanFrequency": "CONTINUOUS_SCAN", "repositoryFilters": []}]}`,
			"ValidationException: The scan type BASIC has no rules of the scan frequency CONTINUOUS_SCAN; it takes [SCAN_ON_PUSH MANUAL]"},
		step{"PutRegistryScanningConfiguration", `{"scanType": "FAST"}`,
			"InvalidParameterException: Invalid parameter at 'scanType' failed to satisfy constraint: 'Member must satisfy enum value set: [ENHANCED, BASIC]'"},
		step{"PutRegistryScanningConfiguration", `{}`, `{"registryScanningConfiguration": {"scanType": "BASIC", "rules": []}}`},
	)
	put := ok[PutRegistryPolicyResponse](t, s, "PutRegistryPolicy", `{"policyText": "`+policy+`"}`)
	got := ok[GetRegistryPolicyResponse](t, s, "GetRegistryPolicy", `{}`)
	gone := ok[DeleteRegistryPolicyResponse](t, s, "DeleteRegistryPolicy", `{}`)
	if *got.PolicyText != *put.PolicyText || *gone.PolicyText != *put.PolicyText || !strings.Contains(*got.PolicyText, "111122223333") || *got.RegistryId != "000000000000" {
		t.Errorf("put %s, got %s, deleted %s", *put.PolicyText, *got.PolicyText, *gone.PolicyText)
	}
}
