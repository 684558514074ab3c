// The published client of web services: create, poll, get, list, keys, patch, score, delete.
//
//     node webservices.mjs MODEL OTHER_MODEL NO_MODEL
import process from "node:process";
import { AzureMLWebServicesManagementClient } from "@azure/arm-webservices";
import { all, check, credential, definition, equal, failure, score, subscription, token, until, upload, url } from "./common.mjs";

const group = "clients";
const [model, other, noModel] = await Promise.all(process.argv.slice(2).map(upload));

for (const apiVersion of ["2017-01-01", "2016-05-01-preview"]) {
  const client = new AzureMLWebServicesManagementClient(credential, subscription, { endpoint: url, apiVersion });
  const { webServices } = client;
  const name = `Linear.${apiVersion}`;

  // Create: the poller follows the operation to its end and reads the service.
  const made = await webServices.beginCreateOrUpdateAndWait(group, name, definition(model), { updateIntervalInMs: 50 });
  equal(made.name, name, "the name");
  equal(made.properties.provisioningState, "Succeeded", "the state");

  const got = await webServices.get(group, name);
  equal(got.properties.title, "Linear", "the title");
  equal(got.tags, { team: "tests" }, "the tags");
  equal(got.properties.keys, undefined, "keys are not shown");
  equal(Object.keys(got.properties.assets), ["score", "model"], "the assets");
  equal(got.properties.package.edges.length, 3, "the graph");
  check(got.properties.modifiedOn instanceof Date, "a time of change", got.properties.modifiedOn);
  check(got.properties.swaggerLocation.endsWith("/swagger.json"), got.properties.swaggerLocation);

  for (const list of [webServices.listByResourceGroup(group), webServices.listBySubscriptionId()]) {
    const found = (await all(list)).find((s) => s.name === name);
    check(found, "the service is listed");
    equal(found.properties.packageType, "Graph", "its kind");
    equal(found.properties.package, undefined, "lists are short");
  }

  const base = got.properties.swaggerLocation.replace("/swagger.json", "");
  const keys = await webServices.listKeys(group, name);
  equal((await score(base, keys.primary, 3)).label, "7", "2·3 + 1 by the primary key");
  equal((await score(base, keys.secondary, 3)).label, "7", "2·3 + 1 by the secondary key");

  // Patch: one key alone, then the model; what is not named stays.
  await webServices.beginPatchAndWait(
    group, name, { properties: { packageType: "Graph", keys: { primary: "highly secure key" }, description: "Changed." } },
    { updateIntervalInMs: 50 },
  );
  const patched = await webServices.listKeys(group, name);
  equal(patched, { primary: "highly secure key", secondary: keys.secondary }, "the keys");
  equal((await score(base, "highly secure key", 3)).label, "7", "by the new key");
  equal((await score(base, keys.primary, 3)).status, 401, "by the old key");

  const { assets } = (await webServices.get(group, name)).properties;
  assets.model.locationInfo.uri = other;
  await webServices.beginPatchAndWait(group, name, { properties: { packageType: "Graph", assets } }, { updateIntervalInMs: 50 });
  equal((await score(base, "highly secure key", 3)).label, "31", "10·3 + 1 by the retrained model");
  const after = await webServices.get(group, name);
  equal(after.properties.title, "Linear", "the title stays");
  equal(after.properties.description, "Changed.", "the description stays changed");
  check(after.properties.modifiedOn > got.properties.modifiedOn, "changed later");

  // The same definition again is an update, under the same keys.
  await webServices.beginCreateOrUpdateAndWait(group, name, definition(model), { updateIntervalInMs: 50 });
  equal((await webServices.listKeys(group, name)).secondary, keys.secondary, "the key stays");

  // Failures are told with their class and code.
  const refused = await failure(
    webServices.beginCreateOrUpdateAndWait(group, "broken", { ...definition(model), properties: { packageType: "Graph" } }),
    "a service without a package",
  );
  equal(refused.statusCode, 400, "its status");
  equal(refused.code, "BadArgument", "its class");
  equal(refused.details?.body?.error?.details?.[0]?.code, "MissingWebServicePackage", "its code");

  // What comes out only when the model is loaded is found in the operation.
  const late = await failure(
    webServices.beginCreateOrUpdateAndWait(group, "broken", definition(noModel), { updateIntervalInMs: 50 }),
    "a service whose model does not load",
  );
  check(late.message.includes("ModelPackageFormatError"), "its class in the client's words:", late.message);

  await webServices.beginRemoveAndWait(group, name, { updateIntervalInMs: 50 });
  const absent = await failure(webServices.get(group, name), "get of a removed service");
  equal(absent.statusCode, 404, "its status");
  equal((await score(base, "highly secure key", 3)).status === 200, false, "no call is answered any more");
  // Removing what is not there is no failure.
  await webServices.beginRemoveAndWait(group, name, { updateIntervalInMs: 50 });
}

// A service with sample rows is read as well. This client cannot write them: it takes a cell for an
// object, and sends nothing.
const client = new AzureMLWebServicesManagementClient(credential, subscription, { endpoint: url });
const sampled = definition(model);
sampled.properties.exampleRequest = { inputs: { input1: [[1.5]] } };
const put = await fetch(
  `${url}/subscriptions/${subscription}/resourceGroups/${group}/providers/Microsoft.MachineLearning/webServices/sampled?api-version=2017-01-01`,
  { method: "PUT", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body: JSON.stringify(sampled) },
);
equal(put.status, 201, "a PUT without the client");
await until(async () => (await client.webServices.get(group, "sampled")).properties.provisioningState === "Succeeded");
await client.webServices.beginRemoveAndWait(group, "sampled", { updateIntervalInMs: 50 });

const regional = definition(model);
await client.webServices.beginCreateOrUpdateAndWait(group, "regional", regional, { updateIntervalInMs: 50 });
const early = await failure(client.webServices.get(group, "regional", { region: "westcentralus" }), "a region not made yet");
equal(early.statusCode, 404, "its status");
await client.webServices.beginCreateRegionalPropertiesAndWait(group, "regional", "westcentralus", { updateIntervalInMs: 50 });
const there = await client.webServices.get(group, "regional", { region: "westcentralus" });
equal(there.properties.title, "Linear", "the definition for the region");
await client.webServices.beginRemoveAndWait(group, "regional", { updateIntervalInMs: 50 });

const operations = await all(client.operations.list());
check(operations.length > 0 && operations.every((o) => o.name && o.display), "operations", operations);
console.log("the published web services client is content");
