package adminapi

import "context"

// served are the operations, by name.
var served = map[string]func(ctx context.Context, c *call, body []byte) (any, error){
	"ListJournal":    serve((*call).listJournal),
	"ListRecycleBin": serve((*call).listRecycleBin),
	"RestoreImage":   serve((*call).restoreImage),
	"PurgeImage":     serve((*call).purgeImage),
	"CollectGarbage": serve((*call).collectGarbage),
	"ListJobs":       serve((*call).listJobs),

	"ListPullActivity": serve((*call).listPullActivity),
	"ListAuditRecords": serve((*call).listAuditRecords),

	"CreateConsoleLink": serve((*call).createConsoleLink),

	"DescribeUsage":      serve((*call).describeUsage),
	"EstimateFreedBytes": serve((*call).estimateFreedBytes),
	"ReportLeases":       serve((*call).reportLeases),
	"ListLeases":         serve((*call).listLeases),
	"ForgetLeases":       serve((*call).forgetLeases),
	"RunLifecycle":       serve((*call).runLifecycle),
	"MoveClock":          serve((*call).moveClock),

	"CreateUserToken": serve((*call).createUserToken),
	"ListUserTokens":  serve((*call).listUserTokens),
	"DeleteUserToken": serve((*call).deleteUserToken),

	"ListUpstreams":    serve((*call).listUpstreams),
	"CreateUpstream":   serve((*call).createUpstream),
	"DeleteUpstream":   serve((*call).deleteUpstream),
	"ValidateUpstream": serve((*call).validateUpstream),
	"PutSecret":        serve((*call).putSecret),
	"ListSecrets":      serve((*call).listSecrets),
	"DeleteSecret":     serve((*call).deleteSecret),
	"RefreshUpstream":  serve((*call).refreshUpstream),

	"PutSigner":           serve((*call).putSigner),
	"ListSigners":         serve((*call).listSigners),
	"DeleteSigner":        serve((*call).deleteSigner),
	"ListImageSignatures": serve((*call).listImageSignatures),

	"ListIndexManifests": serve((*call).listIndexManifests),
}
