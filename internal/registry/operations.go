package registry

import "github.com/kontor-registry/kontor/internal/gate"

// Operations lists every operation. Each stands beside its method; a test
// holds the list against the methods of Caller.
func Operations() []gate.Operation {
	return []gate.Operation{
		opAuthorizationToken,
		opCreateRepository, opDescribeRepositories, opListRepositories, opDeleteRepository,
		opSetTagMutability, opSetScanOnPush, opScanning,
		opRegistryScanning, opSetRegistryScanning, opSetRegistryPolicy, opRegistryPolicy, opDeleteRegistryPolicy,
		opAccountSetting, opSetAccountSetting,
		opSetPolicy, opPolicy, opDeletePolicy,
		opSetStorageClass,
		opTagResource, opUntagResource, opResourceTags, opTaggedRepositories,
		opPutImage, opManifest, opStatManifest, opBatchGetImage,
		opBatchDeleteImage, opDeleteManifest, opDeleteTag,
		opListImages, opDescribeImages, opListImageDetails, opListTags, opListReferrers,
		opBatchCheckLayers, opStatBlob, opOpenBlob, opMountBlob, opFindBlob, opDeleteBlob, opDownloadableLayer,
		opStartUpload, opUploadOffset, opAppendUpload, opCompleteUpload, opCancelUpload,
	}
}
