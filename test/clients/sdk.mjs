// What the SDK for JavaScript sees of the registry, as one line of JSON.
// Endpoint and credentials come from the variables of `kontor env`.
import { BatchGetImageCommand, ECRClient, PutImageCommand, paginateDescribeRepositories, paginateListImages } from "@aws-sdk/client-ecr";

const client = new ECRClient({ endpoint: process.env.AWS_ENDPOINT_URL });
const seen = { repositories: [], tags: [] };
for await (const page of paginateDescribeRepositories({ client, pageSize: 2 }, {})) {
  seen.repositories.push(...page.repositories.map((r) => r.repositoryName));
}
for await (const page of paginateListImages({ client }, { repositoryName: "website", filter: { tagStatus: "TAGGED" } })) {
  seen.tags.push(...page.imageIds.map((id) => id.imageTag));
}
const got = await client.send(new BatchGetImageCommand({ repositoryName: "website", imageIds: [{ imageTag: "v1" }] }));
seen.manifest = got.images[0].imageManifest;
try {
  await client.send(new PutImageCommand({ repositoryName: "website", imageManifest: seen.manifest, imageTag: "v1" }));
} catch (e) {
  seen.error = e.name;
  seen.message = e.message;
}
console.log(JSON.stringify(seen));
