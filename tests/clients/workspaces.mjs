// The published client of workspaces: make, read, list, change, tokens, remove.
import { MachineLearningWorkspacesManagementClient } from "@azure/arm-workspaces";
import { all, check, credential, equal, failure, subscription, url } from "./common.mjs";

const group = "clients";
const storage = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a";

for (const apiVersion of ["2019-10-01", "2016-04-01"]) {
  const client = new MachineLearningWorkspacesManagementClient(credential, subscription, { endpoint: url, apiVersion });
  const name = `workspace-${apiVersion}`;

  const made = await client.workspaces.createOrUpdate(group, name, {
    location: "South Central US",
    tags: { team: "tests" },
    userStorageAccountId: storage,
    ownerEmail: "owner@example.com",
    workspaceType: "Production",
  });
  equal(made.name, name, "the name");
  check(/^[0-9a-f]{32}$/.test(made.workspaceId), "the workspace's id", made);

  const got = await client.workspaces.get(group, name);
  equal(got.workspaceId, made.workspaceId, "the same workspace");
  equal(got.userStorageAccountId, storage, "the storage account");
  equal(got.ownerEmail, "owner@example.com", "the owner");
  check(got.creationTime instanceof Date || typeof got.creationTime === "string", "a creation time", got);

  for (const list of [client.workspaces.listByResourceGroup(group), client.workspaces.list()]) {
    const names = (await all(list)).map((w) => w.name);
    check(names.includes(name), "listed", names);
  }

  const changed = await client.workspaces.update(group, name, { tags: { team: "others" } });
  equal(changed.tags, { team: "others" }, "the tags");
  equal(changed.workspaceId, made.workspaceId, "still the same workspace");

  // This client has these two arguments the other way about.
  const keys = await client.workspaces.listWorkspaceKeys(name, group);
  check(keys.primaryToken && keys.secondaryToken && keys.primaryToken !== keys.secondaryToken, "two tokens");
  await client.workspaces.resyncStorageKeys(name, group);

  const operations = await all(client.operations.list());
  check(operations.length > 0 && operations.every((o) => o.name && o.display), "operations", operations);

  await client.workspaces.delete(group, name);
  const absent = await failure(client.workspaces.get(group, name), "get of a deleted workspace");
  equal(absent.statusCode, 404, "its status");
  check(absent.code, "an error code", absent);
}
console.log("the published workspaces client is content");
