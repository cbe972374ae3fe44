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

	"PutEventReceiver":    serve((*call).putEventReceiver),
	"ListEventReceivers":  serve((*call).listEventReceivers),
	"DeleteEventReceiver": serve((*call).deleteEventReceiver),
	"TestEventReceiver":   serve((*call).testEventReceiver),
	"ListEventDeliveries": serve((*call).listEventDeliveries),
	"RedeliverEvents":     serve((*call).redeliverEvents),

	"ListReplications":      serveReplication(replications.list),
	"DescribeReplication":   serveReplication(replications.describe),
	"PutReplicationOptions": serveReplication(replications.putOptions),
	"RetryReplications":     serveReplication(replications.retry),
	"StartBackfill":         serveReplication(replications.startBackfill),
	"StopBackfill":          serveReplication(replications.stopBackfill),
	"DescribeBackfill":      serveReplication(replications.describeBackfill),
	"ListBackfills":         serveReplication(replications.listBackfills),
	"GetScanner":            serve((*call).getScanner),

	"PutSigner":           serve((*call).putSigner),
	"ListSigners":         serve((*call).listSigners),
	"DeleteSigner":        serve((*call).deleteSigner),
	"ListImageSignatures": serve((*call).listImageSignatures),

	"CreateSigningProfile": serve((*call).createSigningProfile),
	"ListSigningProfiles":  serve((*call).listSigningProfiles),
	"DeleteSigningProfile": serve((*call).deleteSigningProfile),

	"ListIndexManifests": serve((*call).listIndexManifests),
}
